//! Reads rows of a view with the text index and bloom filters applied, segment by segment, and keeps the receipt.

use arrow::array::RecordBatch;
use daymark_model::{Classify, ErrorClass};
use daymark_store::{BodyQuery, Filter, ReadSpec, RowChoice, Segment, StoreError, View};
use futures::{StreamExt, TryStreamExt};

use crate::QueryError;

/// Segments of one query that are read at the same time.
const PARALLEL_SEGMENTS: usize = 2;

/// What rows are wanted, beside the view's range of time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// Columns of the answer.
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
    Read(u64, Vec<RecordBatch>),
    /// The segment is damaged or gone; why.
    Missing(String),
}

/// All rows of `view` that are wanted, in no order.
pub(crate) async fn rows(view: &mut View, wanted: Wanted) -> Result<Vec<RecordBatch>, QueryError> {
    let mut filters = vec![Filter::time(view.table, view.range)];
    filters.extend(wanted.filters.iter().cloned());
    let columns = wanted.columns.iter().map(|&column| column.to_owned()).collect();
    let spec = ReadSpec { columns: Some(columns), filters, ..ReadSpec::default() };

    let range = view.range;
    let reads = view.segments.clone().into_iter().map(|segment| {
        let (spec, wanted) = (&spec, &wanted);
        async move {
            match read(&segment, range, spec, wanted).await {
                Ok((looked_at, batches)) => Ok(Outcome::Read(looked_at, batches)),
                Err(error) if matches!(error.class(), ErrorClass::Corrupt | ErrorClass::Retry) => {
                    // WARN: rows are missing from this answer, which its receipt says.
                    tracing::warn!(segment = segment.meta().path, %error, "segment is not readable");
                    Ok(Outcome::Missing(format!("segment {}: {error}", segment.meta().path)))
                }
                Err(error) => Err(error),
            }
        }
    });
    let outcomes: Vec<Outcome> = futures::stream::iter(reads).buffered(PARALLEL_SEGMENTS).try_collect().await?;

    let mut batches = Vec::new();
    for outcome in outcomes {
        match outcome {
            Outcome::Read(looked_at, read) => {
                view.receipt.segments_read += u64::from(looked_at > 0);
                view.receipt.rows_scanned += looked_at;
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

async fn read(
    segment: &Segment,
    range: daymark_model::TimeRange,
    spec: &ReadSpec,
    wanted: &Wanted,
) -> Result<(u64, Vec<RecordBatch>), StoreError> {
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
    if rows.is_empty() {
        return Ok((0, Vec::new()));
    }
    let looked_at = rows.count(segment.meta().rows);
    Ok((looked_at, segment.read(&ReadSpec { rows, ..spec.clone() }).await?))
}
