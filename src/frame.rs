//! Frames of Singlepass. Its code makes room on the stack for the results of each block that it enters, and for the arguments
//! and results of each call, without touching it. A frame must not be so large that it steps over the guard of its stack into
//! memory of somebody else; see `stack.rs`.

use crate::error::{Error, wasmergo_error_kind};
use crate::stack;
use wasmer::wasmparser::{
    BinaryReaderError, BlockType, CompositeInnerType, FunctionBody, Operator, Parser, Payload,
};

/// What a value takes in a frame, and in a call.
const SLOT: usize = 8;
const ARGUMENT: usize = 16;

/// What a frame may take of the guard; the rest is for what is touched.
const LIMIT: usize = stack::GUARD - (128 << 10);

/// Refuses a valid module with a function whose frame could step over the guard.
pub(crate) fn refuse_large(binary: &[u8]) -> Result<Result<(), Error>, BinaryReaderError> {
    let (mut arities, mut largest) = (Vec::new(), 1);
    for payload in Parser::new(0).parse_all(binary) {
        match payload? {
            Payload::TypeSection(section) => {
                for group in section {
                    for ty in group?.types() {
                        let arity = match &ty.composite_type.inner {
                            CompositeInnerType::Func(ty) => ty.params().len() + ty.results().len(),
                            _ => 0,
                        };
                        arities.push(arity);
                        largest = largest.max(arity);
                    }
                }
            }
            Payload::CodeSectionEntry(body) => {
                let call = largest * (ARGUMENT + SLOT);
                // A block takes three bytes at least: few functions can hold enough of them.
                let blocks = body.range().end as usize - body.range().start as usize;
                if blocks / 3 * largest * SLOT + call > LIMIT
                    && largest_frame(&body, &arities)? + call > LIMIT
                {
                    let message = "the compiler singlepass does not support a function whose nested blocks have so many \
                                   parameters and results";
                    let offset = body.range().start as usize;
                    return Ok(Err(Error {
                        kind: wasmergo_error_kind::Unsupported,
                        ..Error::invalid(message, offset, None)
                    }));
                }
            }
            _ => {}
        }
    }
    Ok(Ok(()))
}

fn largest_frame(body: &FunctionBody<'_>, arities: &[usize]) -> Result<usize, BinaryReaderError> {
    let (mut open, mut size, mut largest) = (Vec::new(), 0, 0);
    for operator in body.get_operators_reader()? {
        match operator? {
            Operator::Block { blockty } | Operator::Loop { blockty } | Operator::If { blockty } => {
                let arity = match blockty {
                    BlockType::Empty => 0,
                    BlockType::Type(_) => 1,
                    BlockType::FuncType(ty) => arities.get(ty as usize).copied().unwrap_or(0),
                };
                open.push(arity * SLOT);
                size += arity * SLOT;
                largest = largest.max(size);
            }
            Operator::End => size -= open.pop().unwrap_or(0),
            _ => {}
        }
    }
    Ok(largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize, results: usize) -> Vec<u8> {
        let types = "i64 ".repeat(results);
        let text = format!(
            "(module (type $t (func (result {types}))) (func $g (type $t) unreachable) (func (type $t) {} call $g {}))",
            "block (type $t) ".repeat(depth),
            "end ".repeat(depth)
        );
        wasmer::wat2wasm(text.as_bytes()).unwrap().into_owned()
    }

    #[test]
    fn blocks_that_are_nested_add_up() {
        for (depth, results, fits) in [
            (1, 1000, true),
            (100, 1000, true),
            (200, 1000, false),
            (9000, 1, true),
        ] {
            let refused = refuse_large(&nested(depth, results)).unwrap();
            assert_eq!(refused.is_ok(), fits, "{depth} blocks of {results} results");
        }
    }
}
