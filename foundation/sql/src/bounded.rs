//! Bounds every function of a statement: cells, constants and memory, and stops it when nobody waits any more.
//!
//! Invariants:
//! - no function is called whose result could pass a limit, as far as its arguments tell ([`Growth`]);
//! - what a function made counts against `memory_bytes` until the last user of it is gone;
//! - a statement that was stopped calls no function any more, at planning time neither.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arrow::array::{ArrayData, ArrayRef, make_array};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, FieldRef};
use bytes::Bytes;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ExpressionPlacement, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, StructFieldMapping,
};

use crate::growth::Growth;
use crate::size::{column_bytes, largest_cell};
use crate::{SqlError, SqlOptions};

/// Results smaller than this are not worth an account of their own.
const SMALL_BYTES: usize = 64 << 10;

/// The bounds of one statement.
#[derive(Debug)]
pub(crate) struct Bounds {
    max_cell_bytes: usize,
    max_constant_bytes: usize,
    constant_bytes: AtomicUsize,
    memory: MemoryReservation,
    stopped: AtomicBool,
}

impl Bounds {
    pub(crate) fn new(options: &SqlOptions, pool: &Arc<dyn MemoryPool>) -> Bounds {
        Bounds {
            max_cell_bytes: options.max_cell_bytes,
            max_constant_bytes: options.max_constant_bytes,
            constant_bytes: AtomicUsize::new(0),
            memory: MemoryConsumer::new("functions").register(pool),
            stopped: AtomicBool::new(false),
        }
    }

    /// From here on every function, and the writing of the answer, fails.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// # Errors
    /// When the statement was stopped.
    pub(crate) fn check_stopped(&self) -> Result<(), SqlError> {
        if self.stopped.load(Ordering::Relaxed) { Err(SqlError::Stopped) } else { Ok(()) }
    }

    /// # Errors
    /// When a cell of `bytes` is too large. `what` made it.
    pub(crate) fn check_cell(&self, what: &str, bytes: u64) -> Result<(), SqlError> {
        let limit = self.max_cell_bytes as u64;
        if bytes <= limit {
            return Ok(());
        }
        Err(SqlError::Limit {
            what: format!("a cell of {what} is too large"),
            option: "max_cell_bytes",
            limit,
            advice: "make less of it, for instance with substr()",
        })
    }

    fn count_constant(&self, bytes: usize) -> Result<(), SqlError> {
        let before = self.constant_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) <= self.max_constant_bytes {
            return Ok(());
        }
        Err(SqlError::Limit {
            what: "the constants of the statement are too large".to_owned(),
            option: "max_constant_bytes",
            limit: self.max_constant_bytes as u64,
            advice: "make shorter ones: each may be repeated in every row",
        })
    }

    /// Checks a result, and counts it for as long as it lives.
    fn keep(&self, name: &str, made: ColumnarValue) -> Result<ColumnarValue> {
        match made {
            ColumnarValue::Scalar(scalar) => {
                let bytes = scalar_bytes(&scalar)?;
                self.check_cell(name, bytes as u64)?;
                self.count_constant(bytes)?;
                Ok(ColumnarValue::Scalar(scalar))
            }
            ColumnarValue::Array(array) => {
                self.check_cell(name, largest_cell(&array, self.max_cell_bytes) as u64)?;
                if column_bytes(&array) < SMALL_BYTES {
                    return Ok(ColumnarValue::Array(array));
                }
                Ok(ColumnarValue::Array(self.counted(&array)?))
            }
        }
    }

    /// The same column; its memory is given back to the pool when its last buffer is dropped.
    fn counted(&self, array: &ArrayRef) -> Result<ArrayRef> {
        let data = array.to_data();
        let memory = self.memory.new_empty();
        memory.try_grow(data.get_buffer_memory_size())?;
        Ok(make_array(owned_by(data, &Arc::new(memory))?))
    }
}

fn scalar_bytes(scalar: &ScalarValue) -> Result<usize> {
    match scalar.try_as_str() {
        Some(text) => Ok(text.map_or(0, str::len)),
        None => Ok(column_bytes(&scalar.to_array()?)),
    }
}

/// A buffer and the memory it was counted with.
struct Counted {
    buffer: Buffer,
    _memory: Arc<MemoryReservation>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        self.buffer.as_slice()
    }
}

fn owned_by(data: ArrayData, memory: &Arc<MemoryReservation>) -> Result<ArrayData> {
    let counted = |buffer: &Buffer| {
        Buffer::from(Bytes::from_owner(Counted { buffer: buffer.clone(), _memory: Arc::clone(memory) }))
    };
    let buffers = data.buffers().iter().map(counted).collect();
    let children = data.child_data().iter().map(|child| owned_by(child.clone(), memory));
    let children = children.collect::<Result<Vec<ArrayData>>>()?;
    Ok(data.into_builder().buffers(buffers).child_data(children).build()?)
}

/// A function within [`Bounds`]; else the one it holds.
#[derive(Debug)]
struct Bounded {
    function: Arc<ScalarUDF>,
    bounds: Arc<Bounds>,
}

impl PartialEq for Bounded {
    fn eq(&self, other: &Bounded) -> bool {
        self.function == other.function
    }
}

impl Eq for Bounded {}

impl Hash for Bounded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.hash(state);
    }
}

/// The function within the bounds.
pub(crate) fn bounded(function: &Arc<ScalarUDF>, bounds: &Arc<Bounds>) -> Arc<ScalarUDF> {
    if function.inner().is::<Bounded>() {
        return Arc::clone(function);
    }
    let bounded = Bounded { function: Arc::clone(function), bounds: Arc::clone(bounds) };
    Arc::new(ScalarUDF::new_from_impl(bounded))
}

/// All functions of the plan within the bounds: the planner takes some past the registry.
pub(crate) fn bounded_plan(plan: LogicalPlan, bounds: &Arc<Bounds>) -> Result<LogicalPlan> {
    let of_node = |node: LogicalPlan| node.map_expressions(|expr| Ok(Transformed::yes(bounded_expr(expr, bounds)?)));
    Ok(plan.transform_down_with_subqueries(of_node)?.data)
}

fn bounded_expr(expr: Expr, bounds: &Arc<Bounds>) -> Result<Expr> {
    let of_call = |expr: Expr| match expr {
        Expr::ScalarFunction(ScalarFunction { func, args }) => {
            Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func: bounded(&func, bounds), args })))
        }
        other => Ok(Transformed::no(other)),
    };
    Ok(expr.transform_down(of_call)?.data)
}

impl ScalarUDFImpl for Bounded {
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (name, bounds) = (self.name(), &self.bounds);
        bounds.check_stopped()?;
        let growth = Growth::of(name, &args.args, args.number_rows)?;
        bounds.check_cell(name, growth.cell_bytes)?;
        let during = bounds.memory.new_empty();
        let bytes = usize::try_from(growth.batch_bytes).unwrap_or(usize::MAX);
        if bytes >= SMALL_BYTES {
            during.try_grow(bytes)?;
        }
        let made = self.function.invoke_with_args(args)?;
        drop(during);
        bounds.keep(name, made)
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        match self.function.inner().simplify(args, info)? {
            ExprSimplifyResult::Simplified(expr) => {
                Ok(ExprSimplifyResult::Simplified(bounded_expr(expr, &self.bounds)?))
            }
            same @ ExprSimplifyResult::Original(_) => Ok(same),
        }
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        let updated = self.function.inner().with_updated_config(config)?;
        Some(bounded(&Arc::new(updated), &self.bounds).as_ref().clone())
    }

    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.function.inner().schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.function.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.function.inner().return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.function.inner().return_field_from_args(args)
    }

    fn is_strict(&self) -> bool {
        self.function.inner().is_strict()
    }

    fn preimage(&self, args: &[Expr], literal: &Expr, info: &SimplifyContext) -> Result<PreimageResult> {
        self.function.inner().preimage(args, literal, info)
    }

    fn short_circuits(&self) -> bool {
        self.function.inner().short_circuits()
    }

    fn conditional_arguments<'a>(&self, args: &'a [Expr]) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.function.inner().conditional_arguments(args)
    }

    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        self.function.inner().evaluate_bounds(inputs)
    }

    fn propagate_constraints(&self, interval: &Interval, inputs: &[&Interval]) -> Result<Option<Vec<Interval>>> {
        self.function.inner().propagate_constraints(interval, inputs)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.function.inner().output_ordering(inputs)
    }

    fn preserves_lex_ordering(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.function.inner().preserves_lex_ordering(inputs)
    }

    fn strictly_order_preserving(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.function.inner().strictly_order_preserving(inputs)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.function.inner().coerce_types(types)
    }

    fn struct_field_mapping(&self, literals: &[Option<ScalarValue>]) -> Option<StructFieldMapping> {
        self.function.inner().struct_field_mapping(literals)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function.inner().documentation()
    }

    fn placement(&self, args: &[ExpressionPlacement]) -> ExpressionPlacement {
        self.function.inner().placement(args)
    }
}
