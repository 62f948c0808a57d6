//! Where a join lets go of its thread: it can work for hours on two batches of input.
//!
//! - A join that makes many batches of one yields to the scheduler between them ([`YieldingJoins`]).
//! - A join whose filter leaves nothing makes no batch at all, so that the filter asks whether to stop ([`AskingJoins`]).

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;

use crate::bounded::{Bounds, bounded};

const UNLESS_STOPPED: &str = "unless_stopped";

/// Wraps joins, and what unpacks lists, so that a loop over their batches ends now and then.
#[derive(Debug)]
pub(crate) struct YieldingJoins;

impl PhysicalOptimizerRule for YieldingJoins {
    fn name(&self) -> &str {
        "yielding_joins"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let wrapped = plan.transform_up(|plan| {
            let multiplies = plan.name().contains("Join") || plan.name().contains("Unnest");
            Ok(if multiplies {
                Transformed::yes(Arc::new(CooperativeExec::new(plan)) as _)
            } else {
                Transformed::no(plan)
            })
        });
        Ok(wrapped?.data)
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Puts filters of joins within the bounds of the statement. The last rule: it hides what others look for in them.
#[derive(Debug)]
pub(crate) struct AskingJoins(pub(crate) Arc<Bounds>);

impl OptimizerRule for AskingJoins {
    fn name(&self) -> &str {
        "asking_joins"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Join(mut join) = plan else { return Ok(Transformed::no(plan)) };
        let asks = |filter: &Expr| matches!(filter, Expr::ScalarFunction(call) if call.name() == UNLESS_STOPPED);
        let Some(filter) = join.filter.take_if(|filter| !asks(filter)) else {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        };
        let func = bounded(&Arc::new(ScalarUDF::new_from_impl(UnlessStopped::new())), &self.0);
        join.filter = Some(Expr::ScalarFunction(ScalarFunction { func, args: vec![filter] }));
        Ok(Transformed::yes(LogicalPlan::Join(join)))
    }
}

/// Its argument; calling it within [`Bounds`] fails once the statement is stopped.
#[derive(Debug, PartialEq, Eq, Hash)]
struct UnlessStopped {
    signature: Signature,
}

impl UnlessStopped {
    fn new() -> UnlessStopped {
        UnlessStopped { signature: Signature::exact(vec![DataType::Boolean], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for UnlessStopped {
    fn name(&self) -> &str {
        UNLESS_STOPPED
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Ok([holds]) = <[ColumnarValue; 1]>::try_from(args.args) else {
            return exec_err!("{UNLESS_STOPPED} takes one argument");
        };
        Ok(holds)
    }
}
