//! Daymark's own telemetry: logs to standard error, and, on request, spans, logs and ledger counts over OTLP into itself.
//!
//! Where it sits: beside every role; each role's process starts it once, with where to send.
//!
//! Feedback is impossible by construction: the exporter's own crates are filtered out, the ingest path opens no span and
//! logs nothing per request, and the export goes to a tenant of its own (`daymark`), so users' counts stay theirs.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::{
    ExporterBuildError, LogExporter, MetricExporter, SpanExporter, WithExportConfig, WithTonicConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer};

use daymark_model::Ledger;

const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Tenant of Daymark's own telemetry, so that users' counts stay theirs.
pub const OWN_TENANT: &str = "daymark";

/// The file in a data directory with the key of [`OWN_TENANT`], which the roles that share the directory share.
pub fn own_key_file(data_dir: &Path) -> PathBuf {
    data_dir.join("telemetry.key")
}

/// Where and as whom Daymark sends its own telemetry.
pub struct SelfExport {
    /// OTLP/gRPC endpoint.
    pub endpoint: String,
    /// Key of [`OWN_TENANT`].
    pub key: String,
    /// `service.name`: `daymark`, or `daymark-` and the role where roles run apart.
    pub service: &'static str,
}

/// Why own telemetry cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The key is not one line of printable ASCII.
    #[error("the key of tenant {OWN_TENANT} cannot be sent as a header")]
    Key,
    /// The exporter cannot be made.
    #[error("own telemetry: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// Somebody else listens to this process's events.
    #[error("own telemetry: {0}")]
    Subscriber(#[from] TryInitError),
}

/// The running exporters.
#[derive(Default)]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
    logs: Option<SdkLoggerProvider>,
    metrics: Option<SdkMeterProvider>,
}

/// Whether logs on standard error are coloured: on a terminal, unless `NO_COLOR` is set.
fn colours_stderr() -> bool {
    colours(std::io::stderr().is_terminal(), std::env::var_os("NO_COLOR").as_deref())
}

/// As <https://no-color.org> asks: any value but the empty one.
fn colours(is_terminal: bool, no_color: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty)
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
/// [`TelemetryError`] when an exporter cannot be built or a subscriber is installed already.
pub fn start(export: Option<&SelfExport>) -> Result<Telemetry, TelemetryError> {
    let stderr = tracing_subscriber::fmt::layer()
        .with_ansi(colours_stderr())
        .with_writer(std::io::stderr)
        .with_filter(stderr_filter());
    let Some(export) = export else {
        tracing_subscriber::registry().with(stderr).try_init()?;
        return Ok(Telemetry::default());
    };
    let resource = Resource::builder()
        .with_service_name(export.service)
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let mut metadata = MetadataMap::new();
    metadata.insert("x-daymark-key", export.key.parse().map_err(|_| TelemetryError::Key)?);
    let traces = SdkTracerProvider::builder()
        .with_resource(resource.clone())
        .with_batch_exporter(addressed(SpanExporter::builder().with_tonic(), export, &metadata).build()?)
        .build();
    let logs = SdkLoggerProvider::builder()
        .with_resource(resource.clone())
        .with_batch_exporter(addressed(LogExporter::builder().with_tonic(), export, &metadata).build()?)
        .build();
    let metrics = SdkMeterProvider::builder()
        .with_resource(resource)
        .with_periodic_exporter(addressed(MetricExporter::builder().with_tonic(), export, &metadata).build()?)
        .build();
    tracing_subscriber::registry()
        .with(stderr)
        .with(tracing_opentelemetry::layer().with_tracer(traces.tracer("daymark")).with_filter(own_filter()))
        .with(OpenTelemetryTracingBridge::new(&logs).with_filter(own_filter()))
        .try_init()?;
    Ok(Telemetry { traces: Some(traces), logs: Some(logs), metrics: Some(metrics) })
}

fn addressed<B: WithExportConfig + WithTonicConfig>(builder: B, export: &SelfExport, metadata: &MetadataMap) -> B {
    builder.with_endpoint(&export.endpoint).with_metadata(metadata.clone()).with_timeout(EXPORT_TIMEOUT)
}

/// One value of a gauge.
#[derive(Clone, Debug)]
pub struct Reading {
    value: u64,
    attributes: Vec<KeyValue>,
}

impl Reading {
    /// A value without attributes.
    pub fn new(value: u64) -> Reading {
        Reading { value, attributes: Vec::new() }
    }

    /// With one attribute more.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: &str) -> Reading {
        self.attributes.push(KeyValue::new(key, value.to_owned()));
        self
    }
}

impl Telemetry {
    /// Exports the counts of a ledger as `daymark.ledger.items`, one series an outcome.
    pub fn watch_ledger(&self, ledger: Ledger) {
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

    /// Exports what `read` returns as the gauge `name`.
    pub fn watch<R>(&self, name: &'static str, unit: &'static str, description: &'static str, read: R)
    where
        R: Fn() -> Vec<Reading> + Send + Sync + 'static,
    {
        let Some(metrics) = &self.metrics else { return };
        metrics
            .meter("daymark")
            .u64_observable_gauge(name)
            .with_unit(unit)
            .with_description(description)
            .with_callback(move |observer| {
                read().iter().for_each(|reading| observer.observe(reading.value, &reading.attributes));
            })
            .build();
    }

    /// Stops the exporters; what they have not sent yet is given up after their time-out.
    pub async fn shutdown(self) {
        // The SDK's shutdown blocks; losing the last of our own telemetry harms nobody.
        let _ = tokio::task::spawn_blocking(move || {
            let _ = self.traces.map(|provider| provider.shutdown());
            let _ = self.logs.map(|provider| provider.shutdown());
            let _ = self.metrics.map(|provider| provider.shutdown());
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_coloured_on_a_terminal_only() {
        assert!(colours(true, None) && colours(true, Some(OsStr::new(""))));
        assert!(!colours(true, Some(OsStr::new("1"))) && !colours(false, None));
    }
}
