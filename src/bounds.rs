//! Bounds of what a compilation takes, found before it begins: compilers cannot be stopped in the middle of a function.

use crate::engine::wasmergo_compiler;
use crate::error::{Error, wasmergo_error_kind};
use crate::validate::function_at;
use std::num::NonZero;
use wasmer::wasmparser::{BinaryReaderError, FunctionBody, Operator, Parser, Payload};

/// Calls `visit` with the body of each function.
fn bodies<'a>(
    binary: &'a [u8],
    mut visit: impl FnMut(FunctionBody<'a>) -> Result<(), BinaryReaderError>,
) -> Result<(), BinaryReaderError> {
    for payload in Parser::new(0).parse_all(binary) {
        if let Payload::CodeSectionEntry(body) = payload? {
            visit(body)?;
        }
    }
    Ok(())
}

fn size(body: &FunctionBody<'_>) -> u64 {
    body.range().end - body.range().start
}

/// Refuses a valid module with a function of more bytes than the limit; 0 is none.
pub(crate) fn refuse_large(
    binary: &[u8],
    limit: u64,
) -> Result<Result<(), Error>, BinaryReaderError> {
    let mut refused = None;
    if limit != 0 {
        bodies(binary, |body| {
            if size(&body) > limit && refused.is_none() {
                refused = Some(body.range());
            }
            Ok(())
        })?;
    }
    let Some(range) = refused else {
        return Ok(Ok(()));
    };
    let offset = range.start as usize;
    let (index, name) = function_at(binary, offset).unwrap_or_default();
    let space = if name.is_empty() { "" } else { " " };
    Ok(Err(Error::new(
        wasmergo_error_kind::Resource,
        format!(
            "function[{index}]{space}{name} has {} bytes, the limit of EngineConfig.MaxFunctionSize is {limit} (at offset {offset:#x})",
            range.end - range.start
        ),
    )))
}

/// On how many threads, of so many, functions can be compiled in the given memory whichever they are: each may have to do with
/// one of the largest. If there is not enough for the largest it is refused.
pub(crate) fn threads(
    binary: &[u8],
    compiler: wasmergo_compiler,
    metered: bool,
    memory: u64,
    threads: usize,
) -> Result<Result<NonZero<usize>, Error>, BinaryReaderError> {
    let mut needs = Vec::new();
    bodies(binary, |body| {
        needs.push((need(compiler, &body, metered)?, body.range().start as usize));
        Ok(())
    })?;
    needs.sort_unstable_by(|a, b| b.cmp(a));
    // What all have together.
    let mut left = memory.saturating_sub(4 * binary.len() as u64);
    let mut fit = 0;
    for (need, _) in needs.iter().take(threads) {
        let Some(rest) = left.checked_sub(*need) else {
            break;
        };
        (left, fit) = (rest, fit + 1);
    }
    if let (0, Some((need, offset))) = (fit, needs.first()) {
        let (index, name) = function_at(binary, *offset).unwrap_or_default();
        let space = if name.is_empty() { "" } else { " " };
        return Ok(Err(Error::new(
            wasmergo_error_kind::Resource,
            format!(
                "function[{index}]{space}{name} may take {need} bytes of memory to compile, the limit of \
                 EngineConfig.MaxCompileMemory is {memory} (at offset {offset:#x})"
            ),
        )));
    }
    Ok(Ok(NonZero::new(fit).unwrap_or(NonZero::<usize>::MIN)))
}

/// Measured on functions made to take much; see the test.
fn need(
    compiler: wasmergo_compiler,
    body: &FunctionBody<'_>,
    metered: bool,
) -> Result<u64, BinaryReaderError> {
    let mut locals = 0;
    for group in body.get_locals_reader()? {
        locals += u64::from(group?.0);
    }
    let size = size(body) * if metered { 4 } else { 1 };
    // Nearly all functions are so small that it does not matter what they branch to.
    let blocks = match size * locals < 1 << 20 {
        true => 0,
        false => blocks(body)?,
    };
    let (byte, local, live) = match compiler {
        wasmergo_compiler::Cranelift => (800, 1000, blocks * locals),
        wasmergo_compiler::None => (0, 0, 0),
        wasmergo_compiler::Singlepass => (200, 100, 0),
        wasmergo_compiler::Llvm => (800, 2000, blocks * locals),
    };
    Ok((64 << 10) + byte * size + local * locals + live)
}

/// How many parts without branches there are.
fn blocks(body: &FunctionBody<'_>) -> Result<u64, BinaryReaderError> {
    let mut blocks = 1;
    for operator in body.get_operators_reader()? {
        blocks += match operator? {
            Operator::If { .. } | Operator::BrIf { .. } | Operator::Loop { .. } => 2,
            Operator::Else | Operator::BrTable { .. } | Operator::Block { .. } => 1,
            _ => 0,
        };
    }
    Ok(blocks)
}
