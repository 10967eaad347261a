//! Validation before any compiler sees a module: it gives the offset and the function of the first error, and it is
//! where type collisions and component binaries are found.

use crate::bounds;
use crate::engine::{wasmergo_compiler, wasmergo_engine};
use crate::error::{Error, wasmergo_error_kind};
use crate::feature::{self, FeatureSet};
use crate::frame;
use crate::instruction;
use crate::signature::SignatureTable;
use crate::tier;
use std::borrow::Cow;
use wasmer::wasmparser::{
    BinaryReaderError, CompositeInnerType, ElementItems, KnownCustom, Name, Parser, Payload,
    RefType, TypeRef, ValType, Validator, WasmFeatures,
};
use wasmer_types::{FunctionType, Type};

const MAGIC: &[u8] = b"\0asm";
const COMPONENT_LAYER: &[u8] = &[0x0d, 0, 1, 0];

/// The binary as it is, or made from the text format.
pub(crate) fn binary(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
    if bytes.is_empty() {
        return Err(Error::new(
            wasmergo_error_kind::Invalid,
            "empty input: expected a WebAssembly module",
        ));
    }
    if bytes.starts_with(MAGIC) {
        return core_module(bytes.into());
    }
    // A NUL never occurs in text: a binary with a broken magic number deserves a better message than a lexer's.
    if bytes.contains(&0) || std::str::from_utf8(bytes).is_err() {
        return Err(Error::invalid(
            "neither a WebAssembly binary (magic number \\0asm) nor text",
            0,
            None,
        ));
    }
    let binary = wasmer::wat2wasm(bytes).map_err(|error| {
        let message = error.to_string().replace("<anon>", "text");
        Error::new(wasmergo_error_kind::Invalid, message)
    })?;
    core_module(binary.into_owned().into())
}

fn core_module(binary: Cow<'_, [u8]>) -> Result<Cow<'_, [u8]>, Error> {
    match binary.get(4..8) == Some(COMPONENT_LAYER) {
        false => Ok(binary),
        true => Err(Error::new(
            wasmergo_error_kind::Unsupported,
            "this is a WebAssembly component, not a core module: build the guest as a module \
             (for instance for the target wasm32-wasip1), or extract the core module from it",
        )),
    }
}

/// Checks the module against the features, and its function types against each other.
pub(crate) fn validate(binary: &[u8], engine: &wasmergo_engine) -> Result<(), Error> {
    check(binary, engine.features).map_err(|error| invalid(binary, &error, engine))?;
    refuse_unknown(binary, engine).map_err(|error| invalid(binary, &error, engine))??;
    let types = function_types(binary).map_err(|error| invalid(binary, &error, engine))??;
    SignatureTable::default().insert_all(types.iter())?;
    bounds::refuse_large(binary, engine.options.max_function_size)
        .map_err(|error| invalid(binary, &error, engine))??;
    if engine.compiler == wasmergo_compiler::Singlepass {
        frame::refuse_large(binary).map_err(|error| invalid(binary, &error, engine))??;
    }
    if engine.linker.is_some() {
        tier::refuse_sharing(binary, engine.compiler)
            .map_err(|error| invalid(binary, &error, engine))??;
    }
    Ok(())
}

fn check(binary: &[u8], features: FeatureSet) -> Result<(), BinaryReaderError> {
    Validator::new_with_features(feature::wasm_features(features)).validate_all(binary)?;
    Ok(())
}

/// Refuses what is valid with the features, but not known to the compilers.
fn refuse_unknown(
    binary: &[u8],
    engine: &wasmergo_engine,
) -> Result<Result<(), Error>, BinaryReaderError> {
    let unsupported = |what: String, flag: WasmFeatures, offset: u64| {
        let feature = feature::of(flag).unwrap_or_default();
        let (name, compiler) = (feature::name(feature), engine.compiler);
        let message =
            format!("{what} of the feature {name}, which the compiler {compiler} does not support");
        Err(Error {
            kind: wasmergo_error_kind::Unsupported,
            feature,
            ..Error::invalid(message, offset as usize, None)
        })
    };
    let refuse = |what: &str, ty: RefType, offset: u64| {
        if ty.is_func_ref() || ty.is_extern_ref() {
            return Ok(());
        }
        unsupported(format!("{what} of {ty}"), WasmFeatures::EXCEPTIONS, offset)
    };
    for payload in Parser::new(0).parse_all(binary) {
        let refused = match payload? {
            Payload::ImportSection(imports) => {
                let (mut refused, start) = (Ok(()), imports.range().start);
                for import in imports.into_imports() {
                    refused = refused.and(match import?.ty {
                        TypeRef::Table(table) => refuse("a table", table.element_type, start),
                        TypeRef::FuncExact(_) => unsupported(
                            "an exact function import".into(),
                            WasmFeatures::CUSTOM_DESCRIPTORS,
                            start,
                        ),
                        _ => Ok(()),
                    });
                }
                refused
            }
            Payload::TableSection(tables) => {
                let mut refused = Ok(());
                for table in tables.into_iter_with_offsets() {
                    let (offset, table) = table?;
                    refused = refused.and(refuse("a table", table.ty.element_type, offset));
                }
                refused
            }
            Payload::ElementSection(segments) => {
                let mut refused = Ok(());
                for segment in segments.into_iter_with_offsets() {
                    let (offset, segment) = segment?;
                    if let ElementItems::Expressions(ty, _) = segment.items {
                        refused = refused.and(refuse("elements", ty, offset));
                    }
                }
                refused
            }
            Payload::CodeSectionStart { .. } => break,
            _ => Ok(()),
        };
        if refused.is_err() {
            return Ok(refused);
        }
    }
    Ok(Ok(()))
}

fn invalid(binary: &[u8], error: &BinaryReaderError, engine: &wasmergo_engine) -> Error {
    let offset = error.offset() as usize;
    let mut out = Error::invalid(error.message(), offset, function_at(binary, offset));
    out.instruction = instruction::at(binary, offset).unwrap_or_default();
    let Some(missing) = missing(binary, error, engine.features) else {
        return out;
    };
    out.feature = missing;
    let name = feature::name(missing);
    if feature::supported(engine.compiler) >> missing & 1 == 0 {
        out.kind = wasmergo_error_kind::Unsupported;
        let compiler = engine.compiler;
        out.message =
            format!("needs the feature {name}, which the compiler {compiler} does not support");
    } else {
        out.message = format!("needs the feature {name}, which is turned off");
    }
    out
}

/// The feature without which the module is invalid. The validator may know it; else it is one whose presence moves the
/// error, or, where that takes several, the first whose absence from all of them leaves it.
fn missing(binary: &[u8], error: &BinaryReaderError, features: FeatureSet) -> Option<u32> {
    let moves = |features| match check(binary, features) {
        Ok(()) => true,
        Err(other) => other.offset() > error.offset(),
    };
    let told = error.missing_wasm_feature().and_then(feature::of);
    let all = feature::others(features).fold(features, |all, bit| all | 1 << bit);
    if told.is_some() || !moves(all) {
        return told;
    }
    let alone = || feature::others(features).find(|bit| moves(features | 1 << bit));
    let together = || feature::others(features).find(|bit| !moves(all & !(1 << bit)));
    alone().or_else(together)
}

fn function_types(binary: &[u8]) -> Result<Result<Vec<FunctionType>, Error>, BinaryReaderError> {
    let mut types = Vec::new();
    for payload in Parser::new(0).parse_all(binary) {
        let Payload::TypeSection(section) = payload? else {
            continue;
        };
        for group in section {
            for ty in group?.types() {
                let CompositeInnerType::Func(ty) = &ty.composite_type.inner else {
                    continue;
                };
                match (values(ty.params()), values(ty.results())) {
                    (Ok(params), Ok(results)) => types.push(FunctionType::new(params, results)),
                    (Err(error), _) | (_, Err(error)) => return Ok(Err(error)),
                }
            }
        }
    }
    Ok(Ok(types))
}

fn values(types: &[ValType]) -> Result<Vec<Type>, Error> {
    types
        .iter()
        .map(|ty| {
            Ok(match ty {
                ValType::I32 => Type::I32,
                ValType::I64 => Type::I64,
                ValType::F32 => Type::F32,
                ValType::F64 => Type::F64,
                ValType::V128 => Type::V128,
                ValType::Ref(RefType::FUNCREF) => Type::FuncRef,
                ValType::Ref(RefType::EXTERNREF) => Type::ExternRef,
                ValType::Ref(RefType::EXNREF) => Type::ExceptionRef,
                ValType::Ref(_) => {
                    let message =
                        format!("the engine does not support the type {ty} in function types");
                    return Err(Error::new(wasmergo_error_kind::Unsupported, message));
                }
            })
        })
        .collect()
}

/// The function whose body covers the offset, with its name from the name section: best effort, the module is broken.
pub(crate) fn function_at(binary: &[u8], offset: usize) -> Option<(u32, String)> {
    let (mut index, mut found) = (0, None);
    for payload in Parser::new(0).parse_all(binary) {
        match payload {
            Ok(Payload::ImportSection(imports)) => {
                let functions = imports.into_imports().filter(
                    |import| matches!(import, Ok(import) if matches!(import.ty, TypeRef::Func(_))),
                );
                index += functions.count() as u32;
            }
            Ok(Payload::CodeSectionEntry(body)) => {
                let range = body.range();
                if range.start as usize <= offset && offset <= range.end as usize {
                    found = Some(index);
                }
                index += 1;
            }
            Ok(Payload::CustomSection(section)) => {
                let (Some(found), KnownCustom::Name(names)) = (found, section.as_known()) else {
                    continue;
                };
                for name in names.into_iter().flatten() {
                    let Name::Function(functions) = name else {
                        continue;
                    };
                    for naming in functions.into_iter().flatten() {
                        if naming.index == found {
                            return Some((found, naming.name.to_string()));
                        }
                    }
                }
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    found.map(|index| (index, String::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine() -> std::sync::Arc<wasmergo_engine> {
        wasmergo_engine::for_test(wasmergo_compiler::Cranelift)
    }

    #[test]
    fn an_invalid_body_is_named_with_offset_and_function() {
        let text = r#"(module (import "a" "b" (func)) (func $fine) (func $broken (result i32) i64.const 1))"#;
        let binary = wasmer::wat2wasm(text.as_bytes()).unwrap();
        let error = validate(&binary, &engine()).unwrap_err();
        assert_eq!(error.kind, wasmergo_error_kind::Invalid);
        assert!(error.offset > 8, "{error:?}");
        assert!(format!("{:?}", error.trace).contains("broken"), "{error:?}");
    }

    #[test]
    fn colliding_types_in_one_module_are_refused() {
        let (a, b) = crate::signature::tests::colliding_pair();
        let func = |ty: &FunctionType| {
            let params: Vec<_> = ty
                .params()
                .iter()
                .map(|t| if *t == Type::I64 { "i64" } else { "i32" })
                .collect();
            format!("(func (param {}))", params.join(" "))
        };
        let text = format!("(module {} {})", func(&a), func(&b));
        let binary = wasmer::wat2wasm(text.as_bytes()).unwrap();
        let error = validate(&binary, &engine()).unwrap_err();
        assert_eq!(error.kind, wasmergo_error_kind::SignatureCollision);
    }
}
