//! Daymark's own telemetry: logs to standard error, and, on request, spans, logs and ledger counts over OTLP into itself.
//!
//! Feedback is impossible by construction: the exporter's own crates are filtered out, the ingest path opens no span and
//! logs nothing per request, and the export goes to a tenant of its own (`daymark`), so users' counts stay theirs.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use daymark_model::Ledger;

const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where and as whom Daymark sends its own telemetry.
pub(crate) struct SelfExport {
    /// OTLP/gRPC endpoint.
    pub(crate) endpoint: String,
    /// Key of tenant `daymark`.
    pub(crate) key: String,
    /// `service.instance.id` is the data directory, the name of the service is the role.
    pub(crate) service: &'static str,
}

/// The running exporters.
#[derive(Default)]
pub(crate) struct Telemetry {
    traces: Option<SdkTracerProvider>,
    logs: Option<SdkLoggerProvider>,
    metrics: Option<SdkMeterProvider>,
}

fn stderr_filter() -> EnvFilter {
    EnvFilter::try_from_env("DAYMARK_LOG").unwrap_or_else(|_| EnvFilter::new("warn,daymark=info"))
}

fn own_filter() -> EnvFilter {
    EnvFilter::new("off,daymark=info")
}

/// Logs to standard error and, with `export`, over OTLP.
///
/// # Errors
/// When an exporter cannot be built or a subscriber is installed already.
pub(crate) fn start(export: Option<SelfExport>) -> anyhow::Result<Telemetry> {
    let stderr = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(stderr_filter());
    let Some(export) = export else {
        tracing_subscriber::registry().with(stderr).try_init()?;
        return Ok(Telemetry::default());
    };
    let resource = Resource::builder().with_service_name(export.service).build();
    let mut metadata = MetadataMap::new();
    metadata.insert("x-daymark-key", export.key.parse()?);
    let traces = SdkTracerProvider::builder()
        .with_resource(resource.clone())
        .with_batch_exporter(
            SpanExporter::builder()
                .with_tonic()
                .with_endpoint(&export.endpoint)
                .with_metadata(metadata.clone())
                .with_timeout(EXPORT_TIMEOUT)
                .build()?,
        )
        .build();
    let logs = SdkLoggerProvider::builder()
        .with_resource(resource.clone())
        .with_batch_exporter(
            LogExporter::builder()
                .with_tonic()
                .with_endpoint(&export.endpoint)
                .with_metadata(metadata.clone())
                .with_timeout(EXPORT_TIMEOUT)
                .build()?,
        )
        .build();
    let metrics = SdkMeterProvider::builder()
        .with_resource(resource)
        .with_periodic_exporter(
            MetricExporter::builder()
                .with_tonic()
                .with_endpoint(&export.endpoint)
                .with_metadata(metadata)
                .with_timeout(EXPORT_TIMEOUT)
                .build()?,
        )
        .build();
    tracing_subscriber::registry()
        .with(stderr)
        .with(tracing_opentelemetry::layer().with_tracer(traces.tracer("daymark")).with_filter(own_filter()))
        .with(OpenTelemetryTracingBridge::new(&logs).with_filter(own_filter()))
        .try_init()?;
    Ok(Telemetry { traces: Some(traces), logs: Some(logs), metrics: Some(metrics) })
}

impl Telemetry {
    /// Exports the counts of a ledger as `daymark.ledger.items`, one series an outcome.
    pub(crate) fn watch_ledger(&self, ledger: Ledger) {
        let Some(metrics) = &self.metrics else { return };
        metrics
            .meter("daymark")
            .u64_observable_counter("daymark.ledger.items")
            .with_unit("{item}")
            .with_description("items by component, signal and outcome; received is the sum of the others")
            .with_callback(move |observer| {
                let snapshot = ledger.snapshot();
                for row in &snapshot.rows {
                    let observe = |outcome: &'static str, reason: &str, items: u64| {
                        observer.observe(
                            items,
                            &[
                                KeyValue::new("component", snapshot.component.clone()),
                                KeyValue::new("signal", row.signal.as_str()),
                                KeyValue::new("outcome", outcome),
                                KeyValue::new("reason", reason.to_owned()),
                            ],
                        );
                    };
                    observe("received", "", row.received);
                    observe("stored", "", row.stored);
                    for (outcome, by) in [("rejected", &row.rejected), ("shed", &row.shed), ("sampled", &row.sampled)] {
                        by.iter().for_each(|(reason, items)| observe(outcome, reason, *items));
                    }
                }
            })
            .build();
    }

    /// Stops the exporters; what they have not sent yet is given up after their time-out.
    pub(crate) async fn shutdown(self) {
        // The SDK's shutdown blocks; losing the last of our own telemetry harms nobody.
        let _ = tokio::task::spawn_blocking(move || {
            let _ = self.traces.map(|provider| provider.shutdown());
            let _ = self.logs.map(|provider| provider.shutdown());
            let _ = self.metrics.map(|provider| provider.shutdown());
        })
        .await;
    }
}
