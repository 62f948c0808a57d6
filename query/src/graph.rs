//! `/api/v1/services/graph`: who calls whom, how often, how often in vain, and how long it takes.
//!
//! The rows of `edges` are fragments: counts add up, negative ones take back calls that were counted before they were
//! known better. Quantiles are those of all fragments less those taken back.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, RecordBatch};
use axum::response::Response;
use daymark_model::{TimeRange, UnixNanos};
use daymark_sketch::{Histogram, Sketch};
use daymark_store::{Filter, ReadSpec, TableName};
use serde::Serialize;

use crate::QueryError;
use crate::asked::Asked;
use crate::router::on_cpu;
use crate::rows::{longs, strings};
use crate::time::format_time;

#[derive(Serialize)]
struct Graph {
    /// The whole minutes that the edges cover.
    start_time: String,
    end_time: String,
    nodes: Vec<Node>,
    edges: Vec<Edge>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Node {
    name: String,
    /// `service`, or `peer`: known by its callers only.
    kind: String,
}

#[derive(Debug, Serialize)]
struct Edge {
    caller: String,
    callee: String,
    callee_kind: String,
    connection: String,
    calls: i64,
    errors: i64,
    duration_mean_ns: f64,
    duration_p50_ns: Option<u64>,
    duration_p90_ns: Option<u64>,
    duration_p99_ns: Option<u64>,
}

/// Caller, callee, kind of callee, connection.
type Key = [String; 4];

#[derive(Default)]
struct Sum {
    calls: i64,
    errors: i64,
    duration_sum_ns: f64,
    durations: Sketch,
    taken_back: Sketch,
}

pub(crate) async fn show(asked: Asked) -> Result<Response, QueryError> {
    let Asked { app, tenant, params, .. } = &asked;
    params.check(&["start", "end", "from", "to", "service"], &[])?;
    let range = whole_windows(params.range_or("from", "to", &*app.clock)?);
    let service = params.one("service").map(str::to_owned);

    let mut view = app.view(tenant, TableName::Edges, range).await?;
    let spec = ReadSpec::default().filter(Filter::time(TableName::Edges, range));
    let batches = view.read(&spec).await?;
    let mut receipt = view.receipt;
    let mut edges = on_cpu(move || edges(&batches, service.as_deref())).await??;
    let limit = app.options.max_rows;
    if edges.len() > limit {
        receipt.miss(format!("{} of {} edges (option query.max_rows)", edges.len() - limit, edges.len()));
        edges.truncate(limit);
    }
    let [start_time, end_time] = [range.start, range.end].map(|time| format_time(time.0 as i64));
    let graph = Graph { start_time, end_time, nodes: nodes(&edges), edges };
    asked.answer(receipt, graph).await
}

/// Rows are windows: the range grows to whole ones.
fn whole_windows(range: TimeRange) -> TimeRange {
    let width_ns = TableName::Edges.window_ns().unwrap_or(1);
    let end = UnixNanos(range.end.0.div_ceil(width_ns).saturating_mul(width_ns));
    TimeRange { start: range.start.window(width_ns), end }
}

/// The edges with calls, those with most first.
fn edges(batches: &[RecordBatch], service: Option<&str>) -> Result<Vec<Edge>, QueryError> {
    let mut sums: BTreeMap<Key, Sum> = BTreeMap::new();
    for batch in batches {
        add(&mut sums, batch, service)?;
    }
    let mut edges: Vec<Edge> = sums.into_iter().filter(|(_, sum)| sum.calls > 0).map(Edge::of).collect();
    edges.sort_by_key(|edge| std::cmp::Reverse(edge.calls));
    Ok(edges)
}

fn add(sums: &mut BTreeMap<Key, Sum>, batch: &RecordBatch, service: Option<&str>) -> Result<(), QueryError> {
    let [caller, callee, kind, connection] =
        ["caller", "callee", "callee_kind", "connection"].map(|name| strings(batch, name));
    let keys = [caller?, callee?, kind?, connection?];
    let (calls, errors) = (longs(batch, "calls")?, longs(batch, "errors")?);
    let durations = batch.column_by_name("duration_sum_ns").and_then(|column| column.as_primitive_opt());
    let hist = batch.column_by_name("hist").and_then(|column| column.as_binary_opt::<i32>());
    let damaged = || QueryError::Damaged("columns of edges are missing".to_owned());
    let durations: &arrow::array::Float64Array = durations.ok_or_else(damaged)?;
    let hist = hist.ok_or_else(damaged)?;
    for row in 0..batch.num_rows() {
        if service.is_some_and(|service| keys[0].value(row) != service && keys[1].value(row) != service) {
            continue;
        }
        let sum = sums.entry(keys.map(|column| column.value(row).to_owned())).or_default();
        sum.calls += calls.value(row);
        sum.errors += errors.value(row);
        sum.duration_sum_ns += durations.value(row);
        let sketch = if calls.value(row) < 0 { &mut sum.taken_back } else { &mut sum.durations };
        if hist.is_valid(row) {
            match Histogram::decode(hist.value(row)) {
                Ok(Histogram::Hdr(durations)) => sketch.merge(&durations),
                Ok(Histogram::Explicit(_)) => {
                    return Err(QueryError::Damaged("an edge has explicit buckets".to_owned()));
                }
                Err(error) => return Err(QueryError::Damaged(format!("durations of an edge: {error}"))),
            }
        }
    }
    Ok(())
}

impl Edge {
    fn of((key, sum): (Key, Sum)) -> Edge {
        let [caller, callee, callee_kind, connection] = key;
        let quantile = |q| sum.quantile(q);
        Edge {
            caller,
            callee,
            callee_kind,
            connection,
            calls: sum.calls,
            errors: sum.errors.clamp(0, sum.calls),
            duration_mean_ns: sum.duration_sum_ns / sum.calls as f64,
            duration_p50_ns: quantile(0.5),
            duration_p90_ns: quantile(0.9),
            duration_p99_ns: quantile(0.99),
        }
    }
}

impl Sum {
    fn quantile(&self, q: f64) -> Option<u64> {
        if self.taken_back.count() == 0 {
            return self.durations.quantile(q);
        }
        let back: BTreeMap<u64, u64> = self.taken_back.buckets().map(|bucket| (bucket.lowest, bucket.count)).collect();
        let left = self.durations.buckets().map(|bucket| {
            let taken = back.get(&bucket.lowest).copied().unwrap_or(0);
            (bucket.lowest + (bucket.highest - bucket.lowest) / 2, bucket.count.saturating_sub(taken))
        });
        let left: Vec<(u64, u64)> = left.filter(|(_, count)| *count > 0).collect();
        let total: u64 = left.iter().map(|(_, count)| count).sum();
        let rank = ((q * total as f64).ceil() as u64).max(1);
        let mut below = 0;
        left.iter()
            .find(|(_, count)| {
                below += count;
                below >= rank
            })
            .map(|(middle, _)| *middle)
    }
}

fn nodes(edges: &[Edge]) -> Vec<Node> {
    let mut nodes = BTreeSet::new();
    for edge in edges {
        nodes.insert(Node { name: edge.caller.clone(), kind: "service".to_owned() });
        nodes.insert(Node { name: edge.callee.clone(), kind: edge.callee_kind.clone() });
    }
    nodes.into_iter().collect()
}
