//! Singlepass makes the NaNs of its operations canonical, but for those that change between f32 and f64. A multiplication by
//! 1 after them, which leaves all other values as they are, makes theirs so.

use std::sync::Arc;
use wasmer::wasmparser::Operator;
use wasmer_compiler::{FunctionMiddleware, MiddlewareReaderState, ModuleMiddleware};
use wasmer_types::{LocalFunctionIndex, MiddlewareError};

#[derive(Debug)]
pub(crate) struct CanonicalConversions;

impl CanonicalConversions {
    pub fn middleware() -> Arc<dyn ModuleMiddleware> {
        Arc::new(Self)
    }
}

impl ModuleMiddleware for CanonicalConversions {
    fn generate_function_middleware<'a>(
        &self,
        _: LocalFunctionIndex,
    ) -> Box<dyn FunctionMiddleware<'a> + 'a> {
        Box::new(Self)
    }
}

impl<'a> FunctionMiddleware<'a> for CanonicalConversions {
    fn feed(
        &mut self,
        operator: Operator<'a>,
        state: &mut MiddlewareReaderState<'a>,
    ) -> Result<(), MiddlewareError> {
        let times_one = match operator {
            Operator::F32DemoteF64 => {
                Some([Operator::F32Const { value: 1f32.into() }, Operator::F32Mul])
            }
            Operator::F64PromoteF32 => {
                Some([Operator::F64Const { value: 1f64.into() }, Operator::F64Mul])
            }
            _ => None,
        };
        state.push_operator(operator);
        state.extend(times_one.into_iter().flatten());
        Ok(())
    }
}
