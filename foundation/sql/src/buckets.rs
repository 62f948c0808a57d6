//! `hist_buckets(hist)`: the buckets of a stored histogram as JSON, for eyes and for tools that draw their own.
//!
//! Explicit buckets: `{"kind":"explicit","bounds":[..],"counts":[..]}`, one count more than bounds. HDR:
//! `{"kind":"hdr","buckets":[[lowest, highest, count], ..]}`, only buckets in use, in the unit of the metric.

use std::sync::Arc;

use arrow::array::{AsArray, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use daymark_sketch::Histogram;
use serde_json::json;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct HistBuckets {
    signature: Signature,
}

impl HistBuckets {
    pub(crate) fn new() -> HistBuckets {
        HistBuckets { signature: Signature::exact(vec![DataType::Binary], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for HistBuckets {
    fn name(&self) -> &str {
        "hist_buckets"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [histograms] = arrays.as_slice() else { return exec_err!("hist_buckets(hist) takes one argument") };
        let rows = histograms.as_binary::<i32>().iter().map(|bytes| bytes.map(buckets).transpose());
        Ok(ColumnarValue::Array(Arc::new(rows.collect::<Result<StringArray>>()?)))
    }
}

fn buckets(bytes: &[u8]) -> Result<String> {
    let json = match Histogram::decode(bytes) {
        Ok(Histogram::Hdr(sketch)) => {
            let used: Vec<_> = sketch.buckets().map(|b| json!([b.lowest, b.highest, b.count])).collect();
            json!({ "kind": "hdr", "buckets": used })
        }
        Ok(Histogram::Explicit(explicit)) => {
            json!({ "kind": "explicit", "bounds": explicit.bounds, "counts": explicit.counts })
        }
        Err(error) => return exec_err!("hist column: {error}"),
    };
    Ok(json.to_string())
}

#[cfg(test)]
mod tests {
    use daymark_sketch::{ExplicitHistogram, Sketch};

    use super::*;

    #[test]
    fn buckets_are_shown_as_they_were_counted() {
        let explicit = ExplicitHistogram { bounds: vec![0.5, 10.0], counts: vec![1, 0, 7], ..Default::default() };
        let shown = buckets(&Histogram::Explicit(explicit).encode()).unwrap();
        assert_eq!(shown, r#"{"bounds":[0.5,10.0],"counts":[1,0,7],"kind":"explicit"}"#);

        let mut sketch = Sketch::new();
        [3, 3, 200, 7].into_iter().for_each(|value| sketch.record(value));
        let shown = buckets(&Histogram::Hdr(sketch).encode()).unwrap();
        assert_eq!(shown, r#"{"buckets":[[3,3,2],[7,7,1],[200,200,1]],"kind":"hdr"}"#);
        assert!(buckets(b"nonsense").is_err());
    }
}
