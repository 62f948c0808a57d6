//! The OpenTelemetry SDK of one shop service: spans and logs by batch exporters over OTLP/gRPC, W3C propagation.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::{LogExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// The running SDK of this process.
pub(crate) struct Telemetry {
    traces: SdkTracerProvider,
    logs: SdkLoggerProvider,
}

impl Telemetry {
    /// Installs the global subscriber for service `name`.
    ///
    /// # Errors
    /// When an exporter cannot be built or a subscriber is installed already.
    pub(crate) fn start(name: &'static str, otlp_grpc: &str) -> anyhow::Result<Telemetry> {
        let resource = Resource::builder().with_service_name(name).build();
        let span_exporter =
            SpanExporter::builder().with_tonic().with_endpoint(otlp_grpc).with_timeout(EXPORT_TIMEOUT).build()?;
        let log_exporter =
            LogExporter::builder().with_tonic().with_endpoint(otlp_grpc).with_timeout(EXPORT_TIMEOUT).build()?;
        let traces =
            SdkTracerProvider::builder().with_resource(resource.clone()).with_batch_exporter(span_exporter).build();
        let logs = SdkLoggerProvider::builder().with_resource(resource).with_batch_exporter(log_exporter).build();

        // Only the shop's own spans and events: the exporter's client would otherwise observe itself.
        let own = || EnvFilter::new("off,daymark_demo=info");
        tracing_subscriber::registry()
            .with(tracing_opentelemetry::layer().with_tracer(traces.tracer("shop")).with_filter(own()))
            .with(OpenTelemetryTracingBridge::new(&logs).with_filter(own()))
            .try_init()?;
        Ok(Telemetry { traces, logs })
    }

    /// Exports what is left.
    pub(crate) async fn shutdown(self) {
        // The SDK's shutdown blocks; a failed last export only loses demo data.
        let _ = tokio::task::spawn_blocking(move || {
            let _ = self.traces.shutdown();
            let _ = self.logs.shutdown();
        })
        .await;
    }
}

struct Carrier<'a>(&'a HeaderMap);

impl Extractor for Carrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct CarrierMut<'a>(&'a mut HeaderMap);

impl Injector for CarrierMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

/// Makes `span` a child of the span named in the request's `traceparent`.
pub(crate) fn extract_parent(span: &Span, headers: &HeaderMap) {
    // A request without a parent starts a trace of its own.
    let _ = span.set_parent(TraceContextPropagator::new().extract(&Carrier(headers)));
}

/// Writes the current span's `traceparent` into `headers`.
pub(crate) fn inject_current(headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut CarrierMut(headers));
}
