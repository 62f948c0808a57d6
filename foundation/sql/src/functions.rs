//! The functions Daymark adds to SQL: `match(body, 'words')`, `hdr_quantile(hist, q)`,
//! [`hist_buckets(hist)`](crate::buckets) and [`hdr_merge(hist)`](crate::merge).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::logical_expr::{
    AggregateUDF, ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use daymark_sketch::Histogram;

use crate::buckets::HistBuckets;
use crate::merge::HdrMerge;
use crate::words::parse_words;

/// Name of the full-text function, which the scan looks for in filters.
pub(crate) const MATCH: &str = "match";

/// Functions of one row.
pub(crate) fn scalar() -> [Arc<ScalarUDF>; 3] {
    [
        Arc::new(ScalarUDF::new_from_impl(Match::new())),
        Arc::new(ScalarUDF::new_from_impl(HdrQuantile::new())),
        Arc::new(ScalarUDF::new_from_impl(HistBuckets::new())),
    ]
}

/// Functions of many rows.
pub(crate) fn aggregate() -> [Arc<AggregateUDF>; 1] {
    [Arc::new(AggregateUDF::new_from_impl(HdrMerge::new()))]
}

/// `match(text, words)`: whether every word (or `"phrase"`, or `prefix*`) stands in the text, whatever its case.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Match {
    signature: Signature,
}

impl Match {
    fn new() -> Match {
        Match { signature: Signature::exact(vec![DataType::Utf8, DataType::Utf8], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Match {
    fn name(&self) -> &str {
        MATCH
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [text, words] = args.args.as_slice() else { return exec_err!("match(text, words) takes two arguments") };
        let ColumnarValue::Scalar(words) = words else { return exec_err!("the words of match() must be a literal") };
        let Some(Some(words)) = words.try_as_str() else { return exec_err!("the words of match() must be a text") };
        let query = parse_words(words).map_err(DataFusionError::Execution)?;
        let texts = strings(text.to_array(args.number_rows)?)?;
        let mut matcher = query.matcher();
        let matched: BooleanArray = texts.iter().map(|text| text.map(|text| matcher.matches(text))).collect();
        Ok(ColumnarValue::Array(Arc::new(matched)))
    }
}

fn strings(array: ArrayRef) -> Result<StringArray> {
    Ok(cast(&array, &DataType::Utf8)?.as_string::<i32>().clone())
}

/// `hdr_quantile(hist, q)`: quantile `q` (0 to 1) of the stored histogram, in the unit of the metric. Within 0.39 % for
/// HDR; for explicit buckets an interpolation inside the bucket that holds it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct HdrQuantile {
    signature: Signature,
}

impl HdrQuantile {
    fn new() -> HdrQuantile {
        HdrQuantile { signature: Signature::exact(vec![DataType::Binary, DataType::Float64], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for HdrQuantile {
    fn name(&self) -> &str {
        "hdr_quantile"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [histograms, quantiles] = arrays.as_slice() else {
            return exec_err!("hdr_quantile(hist, q) takes two arguments");
        };
        let (histograms, quantiles) = (histograms.as_binary::<i32>(), quantiles.as_primitive::<Float64Type>());
        let mut answers = Vec::with_capacity(histograms.len());
        for row in 0..histograms.len() {
            let known = !histograms.is_null(row) && !quantiles.is_null(row);
            let answer = if known { quantile(histograms.value(row), quantiles.value(row))? } else { None };
            answers.push(answer);
        }
        Ok(ColumnarValue::Array(Arc::new(Float64Array::from(answers))))
    }
}

fn quantile(bytes: &[u8], q: f64) -> Result<Option<f64>> {
    if !(0.0..=1.0).contains(&q) {
        return exec_err!("a quantile lies between 0 and 1, got {q}");
    }
    match Histogram::decode(bytes) {
        Ok(Histogram::Hdr(sketch)) => Ok(sketch.quantile(q).map(|value| value as f64)),
        Ok(Histogram::Explicit(explicit)) => Ok(explicit.quantile(q).map(|quantile| quantile.estimate)),
        Err(error) => exec_err!("hist column: {error}"),
    }
}
