//! Decode: the bytes of one durable frame walk straight into a tenant's columns, traces and rollups.
//!
//! Where it sits: the applier calls [`apply`] for each frame in offset order. The bytes were checked when they were
//! admitted, so an error here means damage or a mistake.
//!
//! Invariants:
//! - a table that has consumed the frame's offset gets nothing of it (replay);
//! - spans come before log records of the same frame, so that a correlation value is known when it is asked for.

use std::sync::Arc;

use arrow::error::ArrowError;
use daymark_log::{Frame, FrameKind};
use daymark_model::{LogOffset, UnixNanos};
use daymark_sketch::Sketch;
use daymark_store::{TableName, Tally};
use daymark_trace::{Kind, Span};
use daymark_wire::decode::{
    LogView, LogVisitor, MetricView, MetricVisitor, PointView, ResourceView, ScopeView, SpanView, TraceVisitor,
};
use daymark_wire::{BatchView, DerivedView, walk_logs_within, walk_metrics_within, walk_traces_within};

use crate::columns::LogRow;
use crate::correlate::{CorrelationKey, find};
use crate::error::CollectorError;
use crate::resources::Resource;
use crate::rollup::{Catalogue, Metric, PointResource, unsupported};
use crate::stitch::{DATABASE, SETTLED, SpanFacts, target};
use crate::tenant::{Tenant, at};
use crate::{CollectorOptions, account, admit};

/// Span status that counts as an error.
const STATUS_ERROR: u8 = 2;

/// What a frame brought.
#[derive(Default)]
pub(crate) struct Applied {
    /// Services that occur in it.
    pub(crate) services: Vec<Arc<str>>,
}

/// Applies one frame to its tenant.
///
/// # Errors
/// [`CollectorError::Frame`] when it does not decode; the parts before are applied.
pub(crate) fn apply(
    tenant: &mut Tenant,
    frame: &Frame,
    options: &CollectorOptions,
    now_ms: u64,
) -> Result<Applied, CollectorError> {
    let broken = |source| CollectorError::Frame { offset: frame.offset.0, source };
    let payload: &[u8] = &frame.payload;
    let parts = match frame.kind {
        FrameKind::Traces => BatchView { traces: Some(payload), ..BatchView::default() },
        FrameKind::Logs => BatchView { logs: Some(payload), ..BatchView::default() },
        FrameKind::Metrics => BatchView { metrics: Some(payload), ..BatchView::default() },
        FrameKind::Batch => BatchView::parse(payload).map_err(broken)?,
    };
    let (limits, point_limits) = admit::limits_of(&parts, options, frame.received);
    let wants = |table: TableName| frame.offset > tenant.holds_until(table);
    let wanted = TableName::ALL.map(wants);
    let wanted_metrics = TableName::METRICS.map(|table| wanted[at(table)]);
    let mut stage = Stage {
        tenant,
        keys: &options.correlation_keys,
        offset: frame.offset,
        received: frame.received,
        now_ms,
        wanted,
        resource: None,
        scope: String::new(),
        metric: Metric::default(),
        points: 0,
        applied: Applied::default(),
        failed: None,
    };
    if let Some(traces) = parts.traces {
        walk_traces_within(traces, &mut Spans(&mut stage), limits).map_err(broken)?;
    }
    if let Some(logs) = parts.logs {
        walk_logs_within(logs, &mut Logs(&mut stage), limits).map_err(broken)?;
    }
    if let Some(metrics) = parts.metrics {
        stage.tenant.want_metrics(wanted_metrics, frame.offset)?;
        walk_metrics_within(metrics, &mut Points(&mut stage), point_limits).map_err(broken)?;
    }
    if let Some(derived) = parts.derived {
        stage.tenant.want_metrics(wanted_metrics, frame.offset)?;
        admit::walk_sketches(derived, point_limits, |view, sketch| stage.derived(view, sketch)).map_err(broken)?;
    }
    let Stage { tenant, applied, failed, .. } = stage;
    tenant.stitcher.make_room(frame.offset, &mut tenant.traces)?;
    failed.map_or(Ok(applied), |error| Err(error.into()))
}

/// State of the walk over one frame.
struct Stage<'t> {
    tenant: &'t mut Tenant,
    keys: &'t [String],
    offset: LogOffset,
    received: UnixNanos,
    now_ms: u64,
    wanted: [bool; TableName::ALL.len()],
    resource: Option<Arc<Resource>>,
    scope: String,
    metric: Metric,
    /// Points that metric tables took.
    points: u64,
    applied: Applied,
    /// A row that did not fit its columns: a mistake in this crate, reported after the walk.
    failed: Option<ArrowError>,
}

impl Stage<'_> {
    fn begin_resource(&mut self, view: &ResourceView<'_, '_>) {
        let resource = self.tenant.resources.get(view, &mut self.tenant.stitcher.names);
        if !self.applied.services.contains(&resource.service) {
            self.applied.services.push(Arc::clone(&resource.service));
        }
        self.resource = Some(resource);
        self.scope.clear();
    }

    fn begin_scope(&mut self, view: &ScopeView<'_, '_>) {
        self.scope.clear();
        self.scope.push_str(view.name);
    }

    fn wants(&self, table: TableName) -> bool {
        self.wanted[at(table)]
    }

    fn touch(&mut self, table: TableName) {
        self.tenant.touch(table, self.offset, self.now_ms);
    }

    fn keep(&mut self, outcome: Result<(), ArrowError>) {
        if let Err(error) = outcome {
            self.failed.get_or_insert(error);
        }
    }

    fn span(&mut self, span: &SpanView<'_, '_>) {
        let Some(resource) = self.resource.clone() else { return };
        let correlation = find(self.keys, &span.attributes);
        if let Some(value) = correlation {
            self.tenant.correlations.learn(CorrelationKey::of(value), span.trace_id);
        }
        if self.wants(TableName::Spans) {
            self.touch(TableName::Spans);
            let columns = &mut self.tenant.spans;
            let outcome = columns.push(self.offset, &resource.service, &self.scope, &resource.text, span, correlation);
            self.keep(outcome);
        }
        let [traces, edges] = [TableName::Traces, TableName::Edges].map(|table| self.wants(table));
        for table in [(TableName::Traces, traces), (TableName::Edges, edges)].into_iter().filter(|(_, wanted)| *wanted)
        {
            self.touch(table.0);
        }
        if traces || edges {
            self.stitch(span, &resource, correlation, (!traces, !edges));
        }
    }

    /// `consumed`: the tables of traces and of edges hold the frame.
    fn stitch(
        &mut self,
        span: &SpanView<'_, '_>,
        resource: &Resource,
        correlation: Option<&str>,
        consumed: (bool, bool),
    ) {
        let kind = Kind::from_otlp(span.kind);
        let texts = span.attributes.iter().filter_map(|(key, value)| Some((key, value.as_str()?)));
        let callee = target(kind, texts);
        let mark = |mark: u8, set: bool| if set { mark } else { 0 };
        let facts = SpanFacts {
            offset: self.offset,
            written: consumed.0,
            span: Span {
                id: u64::from_be_bytes(span.span_id.0),
                parent: span.parent_span_id.map_or(0, |parent| u64::from_be_bytes(parent.0)),
                start: span.start.0,
                duration: span.duration_ns(),
                clock: resource.clock,
                service: resource.service_number,
                peer: self.tenant.stitcher.names.number(callee.name),
                kind,
                marks: mark(Span::ERROR, span.status_code == STATUS_ERROR)
                    | mark(DATABASE, callee.is_database)
                    | mark(SETTLED, consumed.1),
            },
            name: span.name,
            correlation,
        };
        self.tenant.stitcher.count(span.trace_id, &facts, self.now_ms);
    }

    fn log(&mut self, log: &LogView<'_, '_>) {
        if !self.wants(TableName::Logs) {
            return;
        }
        let Some(resource) = self.resource.clone() else { return };
        let correlation = find(self.keys, &log.attributes);
        let key = correlation.map(CorrelationKey::of);
        let joined = || key.and_then(|key| self.tenant.correlations.lookup(key));
        let trace_id = log.trace_id.or_else(joined);
        self.touch(TableName::Logs);
        let row = LogRow {
            offset: self.offset,
            received: self.received,
            service: &resource.service,
            scope: &self.scope,
            resource: &resource.text,
            correlation,
            trace_id,
            waits_for: key.filter(|_| trace_id.is_none()),
        };
        let outcome = self.tenant.logs.push(&row, log);
        self.keep(outcome);
    }

    fn point(&mut self, point: &PointView<'_, '_>) {
        let Some(resource) = &self.resource else { return };
        let catalogue_wanted = self.wants(TableName::Series);
        if !(catalogue_wanted || self.tenant.rollups.wanted().contains(&true)) || unsupported(point).is_some() {
            return;
        }
        let from = PointResource { service: &resource.service, text: &resource.text, hash: resource.hash };
        let Tenant { rollups, series, .. } = &mut *self.tenant;
        let catalogue = catalogue_wanted.then_some(Catalogue { columns: series, offset: self.offset });
        rollups.add(&self.metric, &from, point, catalogue);
        self.counted(account::tally_of(&self.metric, point));
    }

    /// Of the items, so they name no service that the items did not.
    fn derived(&mut self, view: &DerivedView<'_>, sketch: &Sketch) {
        let catalogue_wanted = self.wants(TableName::Series);
        if catalogue_wanted || self.tenant.rollups.wanted().contains(&true) {
            let Tenant { rollups, series, .. } = &mut *self.tenant;
            let catalogue = catalogue_wanted.then_some(Catalogue { columns: series, offset: self.offset });
            rollups.add_derived(view, sketch, catalogue);
            self.counted(Tally { values: sketch.count(), totals: 0 });
        }
    }

    /// The rollups took a point.
    fn counted(&mut self, tally: Tally) {
        self.tenant.account.enter(self.offset, self.tenant.rollups.wanted(), tally);
        self.points += 1;
        if self.points == 1 {
            let wanted = self.wanted;
            let tables = TableName::METRICS.into_iter().chain([TableName::Series]);
            tables.filter(|table| wanted[at(*table)]).for_each(|table| self.touch(table));
        }
    }
}

struct Spans<'s, 't>(&'s mut Stage<'t>);

impl TraceVisitor for Spans<'_, '_> {
    fn resource(&mut self, resource: &ResourceView<'_, '_>) {
        self.0.begin_resource(resource);
    }

    fn scope(&mut self, scope: &ScopeView<'_, '_>) {
        self.0.begin_scope(scope);
    }

    fn span(&mut self, span: &SpanView<'_, '_>) {
        self.0.span(span);
    }
}

struct Logs<'s, 't>(&'s mut Stage<'t>);

impl LogVisitor for Logs<'_, '_> {
    fn resource(&mut self, resource: &ResourceView<'_, '_>) {
        self.0.begin_resource(resource);
    }

    fn scope(&mut self, scope: &ScopeView<'_, '_>) {
        self.0.begin_scope(scope);
    }

    fn log(&mut self, log: &LogView<'_, '_>) {
        self.0.log(log);
    }
}

struct Points<'s, 't>(&'s mut Stage<'t>);

impl MetricVisitor for Points<'_, '_> {
    fn resource(&mut self, resource: &ResourceView<'_, '_>) {
        self.0.begin_resource(resource);
    }

    fn metric(&mut self, metric: &MetricView<'_, '_>) {
        self.0.metric.set(metric);
    }

    fn point(&mut self, point: &PointView<'_, '_>) {
        self.0.point(point);
    }
}
