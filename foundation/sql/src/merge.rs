//! `hdr_merge(hist)`: one histogram of all values, exactly. `hdr_quantile` and `hist_buckets` read it.
//!
//! Histograms with different buckets, or of different kinds, have no exact sum: that is an error, not an estimate.

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_err};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};
use daymark_sketch::Histogram;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct HdrMerge {
    signature: Signature,
}

impl HdrMerge {
    pub(crate) fn new() -> HdrMerge {
        HdrMerge { signature: Signature::exact(vec![DataType::Binary], Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for HdrMerge {
    fn name(&self) -> &str {
        "hdr_merge"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Merged(None)))
    }
}

/// What was merged so far; nothing without a histogram.
#[derive(Debug)]
struct Merged(Option<Histogram>);

impl Accumulator for Merged {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [histograms] = values else { return exec_err!("hdr_merge(hist) takes one argument") };
        for bytes in histograms.as_binary::<i32>().iter().flatten() {
            let next = Histogram::decode(bytes)
                .map_err(|error| DataFusionError::Execution(format!("hist column: {error}")))?;
            let Some(merged) = &mut self.0 else {
                self.0 = Some(next);
                continue;
            };
            if merged.merge(&next).is_err() {
                return exec_err!(
                    "hdr_merge: histograms with different buckets cannot be merged; group by metric, hist_kind or more \
                     attributes"
                );
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Binary(self.0.as_ref().map(Histogram::encode)))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn size(&self) -> usize {
        let held = match &self.0 {
            None => 0,
            Some(Histogram::Hdr(sketch)) => sketch.memory_bytes(),
            Some(Histogram::Explicit(explicit)) => {
                size_of_val(explicit.bounds.as_slice()) + size_of_val(explicit.counts.as_slice())
            }
        };
        size_of::<Merged>() + held
    }
}
