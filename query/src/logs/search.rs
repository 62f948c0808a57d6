//! The search: volume and count from all matches, the newest records in full.

use arrow::array::RecordBatch;
use axum::response::Response;
use daymark_model::{Classify, ErrorClass, Receipt, TenantId, TimeRange, TraceId, UnixNanos};
use daymark_store::{BodyQuery, Filter, ReadSpec, TableName, View};
use serde::Serialize;

use super::plan::SearchPlan;
use super::record::{COLUMNS, LogRecord};
use super::syntax::{Expr, Field, Test, parse};
use super::volume::{Bar, Volume};
use crate::QueryError;
use crate::asked::Asked;
use crate::params::Params;
use crate::router::{App, on_cpu};
use crate::rows::{ints, longs};
use crate::scan::{self, Wanted};

const DEFAULT_LIMIT: usize = 100;
/// Where the indexes leave no more rows than this to look at, unpublished ones included, one pass reads everything; else the first pass only counts.
const ONE_PASS_ROWS: u64 = 65_536;

/// What severity numbers are stored as, and records without number and word.
const SEVERITIES: [&str; 7] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", "UNSPECIFIED"];

#[derive(Serialize)]
struct Found {
    logs: Vec<LogRecord>,
    matched: Option<u64>,
    volume: Option<Vec<Bar>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Order {
    NewestFirst,
    OldestFirst,
}

/// Everything a search asks for.
pub(super) struct Search {
    plan: SearchPlan,
    trace_id: Option<TraceId>,
    pub(super) range: TimeRange,
    pub(super) limit: usize,
    order: Order,
    /// Whether to count all matches; without, the search stops at the newest `limit`.
    pub(super) volume: bool,
}

pub(crate) async fn search(asked: Asked) -> Result<Response, QueryError> {
    let Asked { app, tenant, params, .. } = &asked;
    let search = Search::parse(app, params, DEFAULT_LIMIT)?;
    let mut receipt = Receipt::new();

    let mut volume = None;
    let mut whole = None;
    let mut range = search.range;
    if search.volume || search.order == Order::OldestFirst {
        let counted = count(app, tenant, &search, &mut receipt).await?;
        if search.order == Order::OldestFirst {
            range.end = counted.oldest_end;
        }
        whole = counted.whole;
        volume = search.volume.then_some(counted.volume);
    }
    let nothing_matched = volume.as_ref().is_some_and(|volume| volume.matched() == 0);
    let logs = match whole {
        _ if search.limit == 0 || nothing_matched => Vec::new(),
        Some(batches) => sorted(batches, search.limit, search.order).await?,
        None => records(app, tenant, &search, range, &mut receipt).await?,
    };
    let matched = volume.as_ref().map(Volume::matched);
    asked.answer(receipt, Found { logs, matched, volume: volume.map(Volume::into_bars) }).await
}

impl Search {
    pub(super) fn parse(app: &App, params: &Params, default_limit: usize) -> Result<Search, QueryError> {
        let single =
            ["query", "service", "severity", "trace_id", "correlation_id", "start", "end", "limit", "order", "volume"];
        params.check(&single, &[])?;
        let text = params.one("query").unwrap_or_default();
        let limit = app.options.max_query_bytes;
        if text.len() > limit {
            let message = format!("longer than {limit} bytes (option query.max_query_bytes)");
            return Err(QueryError::parameter("query", message));
        }
        let searched = parse(text).map_err(|error| QueryError::parameter("query", error.to_string()))?;
        let trace_id = params.id::<TraceId>("trace_id")?;
        let mut all = match searched {
            Expr::And(parts) => parts,
            Expr::All => Vec::new(),
            single => vec![single],
        };
        let mut field = |name, field, change: fn(&str) -> String| {
            all.extend(params.one(name).map(|value| Expr::Field(field, Test::Is(change(value)))));
        };
        field("service", Field::Service, str::to_owned);
        if let Some(severity) = params.one("severity") {
            check_severity(severity)?;
        }
        field("severity", Field::Severity, str::to_uppercase);
        field("correlation_id", Field::CorrelationId, str::to_owned);
        all.extend(trace_id.map(|id| Expr::Field(Field::TraceId, Test::IsBytes(id.0.to_vec()))));
        let order = match params.one("order") {
            None | Some("desc") => Order::NewestFirst,
            Some("asc") => Order::OldestFirst,
            Some(other) => {
                return Err(QueryError::parameter("order", format!("expected desc or asc, got {other:?}")));
            }
        };
        Ok(Search {
            plan: SearchPlan::of(Expr::And(all)),
            trace_id,
            range: params.range(&*app.clock)?,
            limit: params.limit(default_limit, app.options.max_rows)?,
            order,
            volume: params.flag("volume")?.unwrap_or(true),
        })
    }

    fn body(&self) -> Option<&BodyQuery> {
        Some(&self.plan.body).filter(|body| **body != BodyQuery::Everything)
    }

    /// All matches, read with everything that prunes.
    fn wanted(&self, columns: Vec<&'static str>) -> Wanted {
        let filters = [self.trace_id.map(Filter::trace_id), self.plan.rest_filter(), self.plan.body_filter()];
        Wanted {
            columns,
            filters: filters.into_iter().flatten().collect(),
            body: self.body().cloned(),
            bloom: self.trace_id.map(|id| ("trace_id", id.0.to_vec())),
        }
    }
}

/// Refuses a severity that no record is stored with, but for words of senders that gave no number.
fn check_severity(severity: &str) -> Result<(), QueryError> {
    if SEVERITIES.iter().any(|known| known.eq_ignore_ascii_case(severity)) {
        return Ok(());
    }
    let known = SEVERITIES.join(", ");
    let message = format!(
        "no severity {severity:?}; expected one of {known}. A sender's own word is found with query=severity:{severity}"
    );
    Err(QueryError::parameter("severity", message))
}

/// What the first pass over all matches found.
struct Counted {
    volume: Volume,
    /// Where the range of the `limit` oldest ends.
    oldest_end: UnixNanos,
    /// All matches in full, where there was little to look at.
    whole: Option<Vec<RecordBatch>>,
}

/// Counts all matches.
async fn count(app: &App, tenant: &TenantId, search: &Search, receipt: &mut Receipt) -> Result<Counted, QueryError> {
    let mut view = app.view(tenant, TableName::Logs, search.range).await?;
    let mut wanted = search.wanted(vec!["time_unix_nano", "severity_number"]);
    let pruned = scan::prune(&view, &wanted).await?;
    let hot: usize = view.hot.iter().map(RecordBatch::num_rows).sum();
    let one_pass = search.limit > 0 && pruned.rows + hot as u64 <= ONE_PASS_ROWS;
    if one_pass {
        wanted.columns = COLUMNS.to_vec();
    }
    let batches = scan::read(&mut view, pruned, wanted).await?;
    receipt.absorb(&view.receipt);
    let (range, limit, oldest_first) = (search.range, search.limit, search.order == Order::OldestFirst);
    on_cpu(move || {
        let mut volume = Volume::new(range);
        let mut times = Vec::new();
        for batch in &batches {
            let (time, severity) = (longs(batch, "time_unix_nano")?, ints(batch, "severity_number")?);
            for row in 0..batch.num_rows() {
                volume.add(time.value(row), severity.value(row));
            }
            if oldest_first {
                times.extend_from_slice(time.values());
            }
        }
        let mut oldest_end = range.end;
        if limit > 0 && limit < times.len() {
            let (_, last, _) = times.select_nth_unstable(limit - 1);
            oldest_end = UnixNanos(u64::try_from(*last).unwrap_or(0).saturating_add(1)).min(oldest_end);
        }
        Ok(Counted { volume, oldest_end, whole: one_pass.then_some(batches) })
    })
    .await?
}

/// The records themselves, in order, at most `limit`.
pub(super) async fn records(
    app: &App,
    tenant: &TenantId,
    search: &Search,
    range: TimeRange,
    receipt: &mut Receipt,
) -> Result<Vec<LogRecord>, QueryError> {
    let mut view = app.view(tenant, TableName::Logs, range).await?;
    let newest = if search.trace_id.is_none() && search.order == Order::NewestFirst {
        newest(&mut view, search).await?
    } else {
        None
    };
    let batches = match newest {
        Some(batches) => batches,
        None => scan::rows(&mut view, search.wanted(COLUMNS.to_vec())).await?,
    };
    let counted_before = search.volume || search.order == Order::OldestFirst;
    merge(receipt, &view.receipt, counted_before);
    sorted(batches, search.limit, search.order).await
}

/// At most `limit` of these records, in order.
async fn sorted(batches: Vec<RecordBatch>, limit: usize, order: Order) -> Result<Vec<LogRecord>, QueryError> {
    on_cpu(move || {
        let mut records = Vec::new();
        for batch in &batches {
            records.extend(LogRecord::all_of(batch)?);
        }
        // Equal times keep the order of arrival: the log offset, then the order inside one request (stable sort).
        records.sort_by_key(|record| (record.time_ns, record.log_offset));
        if order == Order::NewestFirst {
            records.reverse();
        }
        records.truncate(limit);
        Ok(records)
    })
    .await?
}

/// Reads no further than the newest `limit`. `None` when damage stopped that: a scan goes around it.
async fn newest(view: &mut View, search: &Search) -> Result<Option<Vec<RecordBatch>>, QueryError> {
    let mut spec = ReadSpec::columns(COLUMNS);
    spec.filters.extend(search.plan.rest_filter());
    match view.newest(&spec, search.body(), search.limit).await {
        Ok(batches) => Ok(Some(batches)),
        Err(error) if error.class() == ErrorClass::Corrupt => {
            tracing::warn!(%error, "newest records are not readable in order, scanning");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Adds the second look at the same table: its segments are the same ones, so they count once.
fn merge(receipt: &mut Receipt, second: &Receipt, had_first: bool) {
    if !had_first {
        return receipt.absorb(second);
    }
    let total = receipt.segments_total.max(second.segments_total);
    let read = receipt.segments_read.max(second.segments_read);
    let hot = receipt.hot_rows.max(second.hot_rows);
    let missing = receipt.missing.clone();
    receipt.absorb(second);
    (receipt.segments_total, receipt.segments_read, receipt.hot_rows) = (total, read, hot);
    receipt.missing = missing;
    for why in &second.missing {
        if !receipt.missing.contains(why) {
            receipt.missing.push(why.clone());
        }
    }
}
