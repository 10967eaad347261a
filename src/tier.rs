//! Tiers: engines with one compiler each that work for one engine of the Go side. What they compile behaves the same; it must
//! link the same, too. Code of Singlepass calls functions as no other does (see `abi.rs`), so where another tier may come to take
//! its place it stays apart: it shares no references, and others refer to its functions by way of forwarders.

use crate::abi::{self, Abi};
use crate::bytes::wasmergo_bytes;
use crate::engine::{compiler, wasmergo_compiler, wasmergo_engine};
use crate::error::{Error, wasmergo_error_kind};
use crate::r#extern::{Item, wasmergo_extern};
use crate::feature;
use crate::guard::fallible;
use crate::host::wasmergo_import;
use crate::instance::wasmergo_instance;
use crate::module::wasmergo_module;
use crate::store::wasmergo_store;
use std::sync::Arc;
use wasmer::wasmparser::{
    BinaryReaderError, CompositeInnerType, ExternalKind, Parser, Payload, RefType, TypeRef, ValType,
};
use wasmer_types::FunctionType;
use wasmer_vm::VMCallerCheckedAnyfunc;

/// Makes an engine that differs from another one in its compiler, in the threads that it uses, and in the features that its
/// compiler lacks. What is counted and bounded is so for both together. Owned by the caller.
///
/// # Safety
/// `out` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_engine_tier(
    engine: &wasmergo_engine,
    code: u32,
    threads: u32,
    out: *mut *mut wasmergo_engine,
) -> wasmergo_bytes {
    fallible(|| {
        let compiler = compiler(code)?;
        // Compilers share threads, which have the priority of the one that starts them: not that of one in the background.
        rayon_core::current_num_threads();
        let apart = Abi::from(compiler) != Abi::from(engine.compiler);
        let tier = wasmergo_engine {
            compiler,
            options: engine.options.with(compiler, threads)?,
            features: engine.features & feature::supported(compiler),
            limits: engine.limits,
            metering: engine.metering.clone(),
            drop_debug_info: engine.drop_debug_info,
            artifact_key: engine.artifact_key.clone(),
            code: engine.code.clone(),
            forwarders: Default::default(),
            budget: engine.budget.clone(),
            linker: apart.then(|| engine.share()),
        };
        unsafe { out.write(Arc::into_raw(Arc::new(tier)).cast_mut()) };
        Ok(())
    })
}

/// The compiler that made the code, a `wasmergo_compiler`.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_module_compiler(module: &wasmergo_module) -> u32 {
    let compiler = wasmergo_compiler::named(&module.header.compiler);
    compiler.unwrap_or(wasmergo_compiler::None) as u32
}

/// Refuses a module that must not be compiled by an engine whose code stays apart.
pub(crate) fn refuse_sharing(
    binary: &[u8],
    compiler: wasmergo_compiler,
) -> Result<Result<(), Error>, BinaryReaderError> {
    Ok(match shares_references(binary)? {
        false => Ok(()),
        true => Err(unsupported(compiler)),
    })
}

pub(crate) fn unsupported(compiler: wasmergo_compiler) -> Error {
    Error::new(
        wasmergo_error_kind::Unsupported,
        format!(
            "references to functions are shared with other modules, whose code may call them in other ways than that of \
             the compiler {compiler}"
        ),
    )
}

/// As `abi::shares_references`, before compilation. Types of functions count whether or not they are imported or exported.
fn shares_references(binary: &[u8]) -> Result<bool, BinaryReaderError> {
    let references = |types: &[ValType]| types.contains(&ValType::FUNCREF);
    let (mut tables, mut globals) = (Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(binary) {
        match payload? {
            Payload::TypeSection(groups) => {
                for group in groups {
                    for ty in group?.types() {
                        if let CompositeInnerType::Func(ty) = &ty.composite_type.inner
                            && (references(ty.params()) || references(ty.results()))
                        {
                            return Ok(true);
                        }
                    }
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let shared = match import?.ty {
                        TypeRef::Table(ty) => {
                            tables.push(ty.element_type);
                            ty.element_type == RefType::FUNCREF
                        }
                        TypeRef::Global(ty) => {
                            globals.push(ty.content_type);
                            ty.content_type == ValType::FUNCREF
                        }
                        _ => false,
                    };
                    if shared {
                        return Ok(true);
                    }
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    tables.push(table?.ty.element_type);
                }
            }
            Payload::GlobalSection(section) => {
                for global in section {
                    globals.push(global?.ty.content_type);
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    let index = export.index as usize;
                    let shared = match export.kind {
                        ExternalKind::Table => tables.get(index) == Some(&RefType::FUNCREF),
                        ExternalKind::Global => globals.get(index) == Some(&ValType::FUNCREF),
                        _ => false,
                    };
                    if shared {
                        return Ok(true);
                    }
                }
            }
            Payload::CodeSectionStart { .. } => break,
            _ => {}
        }
    }
    Ok(false)
}

/// The function that references to this one lead to, if it is of code that stays apart and is called in its own way: a
/// forwarder that code of all other compilers can call. It is made once, and is the same function to the host.
///
/// # Safety
/// The caller holds the store.
pub(crate) unsafe fn stand_in(
    store: &wasmergo_store,
    function: &wasmergo_extern,
    callee: &VMCallerCheckedAnyfunc,
    ty: &FunctionType,
) -> Result<Option<*const wasmergo_extern>, Error> {
    let Some(instance) = store.instance_of(unsafe { callee.vmctx.vmctx }) else {
        return Ok(None);
    };
    let Some(linker) = instance.module.linker.as_ref().filter(|_| abi::differs(ty)) else {
        return Ok(None);
    };
    if let Some(known) = store.stand_ins.borrow().get(&std::ptr::from_ref(function)) {
        return Ok(Some(*known));
    }
    let import = wasmergo_import::item(function);
    let instance = wasmergo_instance::create(store, linker.forwarder(ty)?, &[import])?;
    let made = unsafe { &*instance }
        .export(0)
        .ok_or_else(|| Error::new(wasmergo_error_kind::Internal, "a forwarder exports nothing"))?;
    if let Item::Function { callee, .. } = unsafe { &(*made).item } {
        store.stand_for(callee, function);
    }
    store.stand_ins.borrow_mut().insert(function, made);
    Ok(Some(made))
}
