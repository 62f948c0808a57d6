//! Which segments, and which rows of them, a scan has to look at.

use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use daymark_model::TimeRange;
use daymark_store::{BodyQuery, Filter, ReadSpec, RowChoice, Segment, StoreError, TableName};

use crate::pushdown::Hints;
use crate::words::parse_words;

/// Values of one column beyond which bloom filters are not asked: they would all say maybe.
const MAX_BLOOM_VALUES: usize = 64;

/// Hints made ready for reading.
#[derive(Clone, Debug)]
pub(crate) struct Pruning {
    hints: Hints,
    body: Option<BodyQuery>,
    /// Row filters, evaluated before the other columns are read.
    filters: Vec<Filter>,
}

impl Pruning {
    pub(crate) fn new(table: TableName, hints: Hints) -> Pruning {
        // Words that do not parse give no hint; evaluating `match` reports them.
        let parsed = hints.words.iter().filter_map(|words| parse_words(words).ok());
        let mut all: Vec<BodyQuery> = parsed.collect();
        let body = if all.len() > 1 { Some(BodyQuery::All(all)) } else { all.pop() };
        let mut filters = Vec::new();
        if hints.time != TimeRange::ALL {
            filters.push(Filter::time(table, hints.time));
        }
        filters.extend(hints.any_of.iter().filter_map(|(column, values)| equal_filter(table, column, values)));
        filters.extend(body.clone().map(body_filter));
        Pruning { hints, body, filters }
    }

    /// Whether nothing is left out.
    pub(crate) fn is_none(&self) -> bool {
        self.hints == Hints::none()
    }

    /// What to read of every segment.
    pub(crate) fn spec(&self, columns: Vec<String>, limit: Option<usize>) -> ReadSpec {
        ReadSpec { columns: Some(columns), rows: RowChoice::All, filters: self.filters.clone(), limit }
    }

    /// Whether the segment's statistics exclude it.
    pub(crate) fn excludes(&self, segment: &Segment) -> bool {
        let meta = segment.meta();
        if !meta.overlaps(self.hints.time) {
            return true;
        }
        let texts = |values: &[Vec<u8>]| -> Option<Vec<String>> {
            values.iter().map(|value| String::from_utf8(value.clone()).ok()).collect()
        };
        let named: Vec<(&String, Vec<String>)> =
            self.hints.any_of.iter().filter_map(|(column, values)| Some((column, texts(values)?))).collect();
        if named.is_empty() {
            return false;
        }
        let bounds = meta.column_bounds();
        named.iter().any(|(column, values)| {
            let Some((low, high)) = bounds.get(*column) else { return false };
            let (Some(low), Some(high)) = (low.as_str(), high.as_str()) else { return false };
            values.iter().all(|value| value.as_str() < low || value.as_str() > high)
        })
    }

    /// What the receipt says when the segment has no text index and words are looked for.
    pub(crate) fn scan_warning(&self, segment: &Segment) -> Option<String> {
        segment.scan_warning(self.body.as_ref())
    }

    /// Rows of the segment that may match.
    pub(crate) async fn rows(&self, segment: &Segment) -> Result<RowChoice, StoreError> {
        let mut rows = RowChoice::All;
        for (column, values) in self.hints.any_of.iter().filter(|(_, values)| values.len() <= MAX_BLOOM_VALUES) {
            let mut any = RowChoice::NONE;
            for value in values {
                any = union(any, segment.bloom(column, value).await?);
            }
            rows = rows.intersect(&any);
            if rows.is_empty() {
                return Ok(rows);
            }
        }
        if self.hints.time != TimeRange::ALL {
            rows = rows.intersect(&segment.pages_in(self.hints.time).await?);
        }
        if let Some(body) = self.body.as_ref().filter(|_| !rows.is_empty()) {
            let found = segment.search(body).await;
            if let Some(damage) = found.damage {
                // WARN: the answer stays complete but slower; the index can be rebuilt.
                tracing::warn!(segment = segment.meta().path, damage, "text index is not usable, scanning");
            }
            rows = rows.intersect(&found.rows);
        }
        Ok(rows)
    }
}

fn union(left: RowChoice, right: RowChoice) -> RowChoice {
    match (left, right) {
        (RowChoice::Ranges(mut ranges), RowChoice::Ranges(more)) => {
            ranges.extend(more);
            RowChoice::from_ranges(ranges)
        }
        _ => RowChoice::All,
    }
}

/// Equality with one value; several are left to DataFusion.
fn equal_filter(table: TableName, column: &str, values: &[Vec<u8>]) -> Option<Filter> {
    let [value] = values else { return None };
    let schema = table.schema();
    match schema.field_with_name(column).ok()?.data_type() {
        DataType::FixedSizeBinary(_) => Some(Filter::id(column, value)),
        _ => Some(Filter::text(column, std::str::from_utf8(value).ok()?)),
    }
}

fn body_filter(query: BodyQuery) -> Filter {
    Filter::new(&["body"], move |batch| {
        use arrow::array::AsArray;
        let bodies = batch.column_by_name("body").and_then(|column| column.as_string_opt::<i32>());
        let bodies = bodies.ok_or_else(|| ArrowError::SchemaError("column body is missing".to_owned()))?;
        let mut matcher = query.matcher();
        Ok(bodies.iter().map(|body| body.map(|body| matcher.matches(body))).collect())
    })
}
