//! Reads the parts of a table: segments, pruned, a few at a time, and rows in memory.

use std::fmt;
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, StatisticsArgs};
use daymark_model::{Classify, ErrorClass};
use daymark_store::{ReadSpec, Segment, StoreError, TableName};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use crate::prune::Pruning;
use crate::shape::show;
use crate::table::{Scope, SharedReceipt, external};

/// Where rows come from.
#[derive(Clone)]
pub(crate) enum Part {
    /// Rows in memory: hot rows, or rows already reduced.
    Rows(RecordBatch),
    /// A published segment.
    Segment(Segment),
}

impl Part {
    fn row_count(&self) -> usize {
        match self {
            Part::Rows(batch) => batch.num_rows(),
            Part::Segment(segment) => usize::try_from(segment.meta().rows).unwrap_or(usize::MAX),
        }
    }
}

/// The scan of one table.
pub(crate) struct SegmentScan {
    table: TableName,
    scope: Scope,
    partitions: Vec<Vec<Part>>,
    pruning: Arc<Pruning>,
    spec: ReadSpec,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl SegmentScan {
    pub(crate) fn new(
        table: TableName,
        scope: Scope,
        parts: Vec<Part>,
        pruning: Arc<Pruning>,
        spec: ReadSpec,
        schema: SchemaRef,
    ) -> SegmentScan {
        let mut partitions = vec![Vec::new(); scope.parallel_segments.clamp(1, parts.len().max(1))];
        let count = partitions.len();
        for (at, part) in parts.into_iter().enumerate() {
            partitions[at % count].push(part);
        }
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(count),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        SegmentScan { table, scope, partitions, pruning, spec, schema, properties: Arc::new(properties) }
    }

    /// Without pruning the number of rows is known from metadata alone, which makes `count(*)` free.
    fn statistics(&self, partition: Option<usize>) -> Statistics {
        let mut statistics = Statistics::new_unknown(&self.schema);
        let chosen: &[Vec<Part>] = match partition {
            Some(at) => self.partitions.get(at..=at).unwrap_or_default(),
            None => &self.partitions,
        };
        let rows = chosen.iter().flatten().map(Part::row_count).fold(0, usize::saturating_add);
        let is_exact = self.pruning.is_none() && self.spec.limit.is_none();
        statistics.num_rows = if is_exact { Precision::Exact(rows) } else { Precision::Inexact(rows) };
        statistics
    }
}

impl fmt::Debug for SegmentScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SegmentScan {}", self.table)
    }
}

impl DisplayAs for SegmentScan {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.partitions.iter().flatten();
        let segments = parts.filter(|part| matches!(part, Part::Segment(_))).count();
        write!(f, "SegmentScan: table={}, segments={segments}, filters={:?}", self.table, self.spec.filters)
    }
}

impl ExecutionPlan for SegmentScan {
    fn name(&self) -> &'static str {
        "SegmentScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn statistics_from_inputs(&self, _inputs: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        Ok(Arc::new(self.statistics(args.partition())))
    }

    fn execute(&self, partition: usize, _context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let parts = self.partitions.get(partition).cloned().unwrap_or_default();
        let (pruning, spec) = (Arc::clone(&self.pruning), self.spec.clone());
        let (receipt, schema) = (self.scope.receipt.clone(), Arc::clone(&self.schema));
        let opened = stream::iter(parts).then(move |part| {
            let (pruning, spec, receipt) = (Arc::clone(&pruning), spec.clone(), receipt.clone());
            async move {
                match part {
                    Part::Rows(batch) => Ok(stream::iter([Ok(batch)]).boxed()),
                    Part::Segment(segment) => open(segment, &pruning, spec, receipt).await,
                }
            }
        });
        let (shown, batch_rows) = (Arc::clone(&schema), self.scope.batch_rows);
        let rows = opened.try_flatten().map(move |batch| {
            let batch = show(&batch.map_err(external)?, &shown)?;
            Ok::<_, DataFusionError>(stream::iter(in_parts(batch, batch_rows)))
        });
        let rows = rows.try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}

/// The batch in parts of at most `rows` rows. Parts are copies: a slice would be charged for all it shares, by sorts and by
/// the limit of an answer, as often as there are slices.
fn in_parts(batch: RecordBatch, rows: usize) -> impl Iterator<Item = Result<RecordBatch, DataFusionError>> {
    let length = batch.num_rows();
    (0..length).step_by(rows.max(1)).map(move |at| {
        let end = length.min(at + rows);
        // A batch without columns has only its length.
        if batch.num_columns() == 0 || (at, end) == (0, length) {
            return Ok(batch.slice(at, end - at));
        }
        Ok(take_record_batch(&batch, &UInt32Array::from_iter_values(at as u32..end as u32))?)
    })
}

type Batches = BoxStream<'static, Result<RecordBatch, StoreError>>;

/// The rows of one segment. A damaged one yields what could be read of it and a note in the receipt.
async fn open(
    segment: Segment,
    pruning: &Pruning,
    spec: ReadSpec,
    receipt: SharedReceipt,
) -> Result<Batches, StoreError> {
    let path = segment.meta().path.clone();
    let opened = async {
        let rows = pruning.rows(&segment).await?;
        if rows.is_empty() {
            return Ok(stream::empty().boxed());
        }
        receipt.update(|receipt| {
            receipt.segments_read += 1;
            receipt.rows_scanned += rows.count(segment.meta().rows);
            pruning.scan_warning(&segment).into_iter().for_each(|why| receipt.warn(why));
        });
        segment.stream(&ReadSpec { rows, ..spec }).await
    };
    match opened.await {
        Ok(batches) => {
            let noted = move |batch| std::future::ready(note_damage(&path, &receipt, batch));
            Ok(batches.filter_map(noted).boxed())
        }
        Err(error) => match note_damage(&path, &receipt, Err(error)) {
            Some(Err(error)) => Err(error),
            _ => Ok(stream::empty().boxed()),
        },
    }
}

/// Turns damage into a note; other errors pass.
fn note_damage(
    path: &str,
    receipt: &SharedReceipt,
    batch: Result<RecordBatch, StoreError>,
) -> Option<Result<RecordBatch, StoreError>> {
    match batch {
        Err(error) if matches!(error.class(), ErrorClass::Corrupt | ErrorClass::Retry) => {
            // WARN: rows are missing from this answer, which its receipt says.
            tracing::warn!(segment = path, %error, "segment is not readable");
            receipt.update(|receipt| receipt.miss(format!("segment {path}: {error}")));
            None
        }
        passed => Some(passed),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, ListArray, RecordBatchOptions};
    use arrow::datatypes::{Int64Type, Schema};

    use super::*;
    use crate::size::column_bytes;

    #[test]
    fn parts_are_charged_for_their_own_rows_only() {
        let rows = (0..10_000).map(|row| Some(vec![Some(row); 4]));
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(rows));
        let batch = RecordBatch::try_from_iter([("lists", lists)]).unwrap();
        let whole = column_bytes(batch.column(0));
        let parts: Vec<RecordBatch> = in_parts(batch, 100).collect::<Result<_, _>>().unwrap();
        let sum: usize = parts.iter().map(|part| column_bytes(part.column(0))).sum();
        assert_eq!((parts.len(), parts.iter().map(RecordBatch::num_rows).sum::<usize>()), (100, 10_000));
        assert!(sum < whole * 2, "{sum} bytes in parts, {whole} in one");
    }

    #[test]
    fn a_batch_without_columns_keeps_its_length() {
        let options = RecordBatchOptions::new().with_row_count(Some(250));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options).unwrap();
        let rows: Vec<usize> = in_parts(batch, 100).map(|part| part.unwrap().num_rows()).collect();
        assert_eq!(rows, [100, 100, 50]);
    }
}
