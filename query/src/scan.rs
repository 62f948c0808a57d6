//! Reads rows of a view with the text index and bloom filters applied, segment by segment, and keeps the receipt.

use arrow::array::RecordBatch;
use daymark_model::{Classify, ErrorClass, TimeRange};
use daymark_store::{BodyQuery, Filter, ReadSpec, RowChoice, Segment, StoreError, View};
use futures::{StreamExt, TryStreamExt};
use tokio_util::task::AbortOnDropHandle;

use crate::QueryError;

/// Segments of one query that are read at the same time.
const PARALLEL_SEGMENTS: usize = 2;

/// What rows are wanted, beside the view's range of time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// Columns of the answer; none stands for all.
    pub(crate) columns: Vec<&'static str>,
    /// Rows must pass all, cheapest first.
    pub(crate) filters: Vec<Filter>,
    /// Leaves out pages by the text index; the filters verify.
    pub(crate) body: Option<BodyQuery>,
    /// Leaves out row groups by bloom filter: column and value; the filters verify.
    pub(crate) bloom: Option<(&'static str, Vec<u8>)>,
}

enum Outcome {
    /// Rows looked at, and those that passed. Nothing was looked at when pruning left no row.
    Read(Looked, Vec<RecordBatch>),
    /// The segment is damaged or gone; why.
    Missing(String),
}

/// What was looked at in a segment.
#[derive(Default)]
struct Looked {
    rows: u64,
    /// What the receipt says about it.
    warning: Option<String>,
}

/// What pruning left to read of a view.
pub(crate) struct Pruned {
    /// Each segment with the rows to look at, or why it cannot be read.
    segments: Vec<(Segment, Result<RowChoice, StoreError>)>,
    /// Rows to look at in all published segments.
    pub(crate) rows: u64,
}

/// All rows of `view` that are wanted, in no order.
pub(crate) async fn rows(view: &mut View, wanted: Wanted) -> Result<Vec<RecordBatch>, QueryError> {
    let pruned = prune(view, &wanted).await?;
    read(view, pruned, wanted).await
}

/// Asks the indexes which rows of `view` must be looked at; the columns of `wanted` do not matter yet.
pub(crate) async fn prune(view: &View, wanted: &Wanted) -> Result<Pruned, QueryError> {
    let range = view.range;
    let asks = view.segments.clone().into_iter().map(|segment| {
        let wanted = wanted.clone();
        on_a_thread(async move {
            let choice = choose(&segment, range, &wanted).await;
            (segment, choice)
        })
    });
    let segments: Vec<_> = futures::stream::iter(asks).buffered(PARALLEL_SEGMENTS).try_collect().await?;
    let rows = segments.iter().filter_map(|(segment, choice)| Some(choice.as_ref().ok()?.count(segment.meta().rows)));
    Ok(Pruned { rows: rows.sum(), segments })
}

/// Reads what pruning left.
pub(crate) async fn read(view: &mut View, pruned: Pruned, wanted: Wanted) -> Result<Vec<RecordBatch>, QueryError> {
    let mut filters = vec![Filter::time(view.table, view.range)];
    filters.extend(wanted.filters);
    let columns: Vec<String> = wanted.columns.iter().map(|&column| column.to_owned()).collect();
    let columns = Some(columns).filter(|columns| !columns.is_empty());
    let spec = ReadSpec { columns, filters, ..ReadSpec::default() };

    let reads = pruned.segments.into_iter().map(|(segment, choice)| {
        let (spec, body) = (spec.clone(), wanted.body.clone());
        on_a_thread(async move { outcome(&segment, read_chosen(&segment, choice, spec, body.as_ref()).await) })
    });
    let outcomes: Vec<Result<Outcome, StoreError>> =
        futures::stream::iter(reads).buffered(PARALLEL_SEGMENTS).try_collect().await?;

    let mut batches = Vec::new();
    for outcome in outcomes {
        match outcome? {
            Outcome::Read(looked_at, read) => {
                view.receipt.segments_read += u64::from(looked_at.rows > 0);
                view.receipt.rows_scanned += looked_at.rows;
                looked_at.warning.into_iter().for_each(|why| view.receipt.warn(why));
                batches.extend(read);
            }
            Outcome::Missing(why) => view.receipt.miss(why),
        }
    }
    for hot in &view.hot {
        batches.push(spec.apply(hot)?);
    }
    batches.retain(|batch| batch.num_rows() > 0);
    Ok(batches)
}

/// Runs the work on any thread of the runtime, so that segments are decoded side by side; it ends with its future.
async fn on_a_thread<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, QueryError> {
    Ok(AbortOnDropHandle::new(tokio::spawn(work)).await?)
}

fn outcome(segment: &Segment, read: Result<(Looked, Vec<RecordBatch>), StoreError>) -> Result<Outcome, StoreError> {
    match read {
        Ok((looked_at, batches)) => Ok(Outcome::Read(looked_at, batches)),
        Err(error) if matches!(error.class(), ErrorClass::Corrupt | ErrorClass::Retry) => {
            // WARN: rows are missing from this answer, which its receipt says.
            tracing::warn!(segment = segment.meta().path, %error, "segment is not readable");
            Ok(Outcome::Missing(format!("segment {}: {error}", segment.meta().path)))
        }
        Err(error) => Err(error),
    }
}

async fn read_chosen(
    segment: &Segment,
    choice: Result<RowChoice, StoreError>,
    spec: ReadSpec,
    body: Option<&BodyQuery>,
) -> Result<(Looked, Vec<RecordBatch>), StoreError> {
    let rows = choice?;
    if rows.is_empty() {
        return Ok(Default::default());
    }
    let looked_at = Looked { rows: rows.count(segment.meta().rows), warning: segment.scan_warning(body) };
    Ok((looked_at, segment.read(&ReadSpec { rows, ..spec }).await?))
}

async fn choose(segment: &Segment, range: TimeRange, wanted: &Wanted) -> Result<RowChoice, StoreError> {
    let mut rows = RowChoice::All;
    if let Some((column, value)) = &wanted.bloom {
        rows = segment.bloom(column, value).await?;
    }
    if let Some(body) = wanted.body.as_ref().filter(|_| !rows.is_empty()) {
        let found = segment.search(body).await;
        if let Some(damage) = found.damage {
            // WARN: the answer is complete but slower; the index can be rebuilt.
            tracing::warn!(segment = segment.meta().path, damage, "text index is not usable, scanning");
        }
        rows = rows.intersect(&found.rows);
    }
    if !rows.is_empty() {
        rows = rows.intersect(&segment.pages_in(range).await?);
    }
    Ok(rows)
}
