//! Instances: a module's code with its imports, memories, tables and globals in a store.

use crate::bytes::{borrow, wasmergo_bytes};
use crate::error::{Error, wasmergo_error_kind};
use crate::r#extern::{Item, wasmergo_extern};
use crate::function::run;
use crate::guard::{fallible, guard};
use crate::host::{self, wasmergo_import};
use crate::module::{Compiled, wasmergo_module};
use crate::store::wasmergo_store;
use crate::tunables::GuestTunables;
use crate::{stack, thread};
use std::cell::UnsafeCell;
use std::sync::Arc;
use wasmer_compiler::ArtifactCreate;
use wasmer_types::entity::EntityRef;
use wasmer_types::{ExportIndex, FunctionIndex, FunctionType, ImportIndex};
use wasmer_vm::{VMCallerCheckedAnyfunc, VMExtern, VMFunctionContext, VMInstance};

/// An instance. Owned by its store and freed with it: there is nothing to delete.
#[allow(non_camel_case_types)]
pub struct wasmergo_instance {
    store: *const wasmergo_store,
    instance: UnsafeCell<VMInstance>,
    /// The imported functions, ready to be called: an export may be one of them.
    imported: Vec<VMCallerCheckedAnyfunc>,
    /// Last, so that the code outlives the instance.
    module: Arc<Compiled>,
}

/// Links an instance; its exports can be used, its data and start function have yet to come. `imports` is in the
/// order of the module's.
///
/// # Safety
/// `imports` holds `len` elements of the same store, `out` is valid; the caller holds the store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_instance_new(
    store: &wasmergo_store,
    module: &wasmergo_module,
    imports: *const wasmergo_import,
    len: usize,
    out: *mut *const wasmergo_instance,
) -> wasmergo_bytes {
    fallible(|| {
        thread::find_trap_handler();
        let module = module.compiled.clone();
        store
            .signatures
            .borrow_mut()
            .insert_all(module.info().signatures.values())?;
        let imports = unsafe { resolve(store, &module, borrow(imports, len))? };
        let objects = unsafe { &mut *store.objects.get() };
        let instance = unsafe {
            module
                .artifact
                .instantiate(&GuestTunables, &imports, objects)?
        };
        let imported = imports.iter().filter_map(|import| match import {
            VMExtern::Function(handle) => {
                Some(unsafe { *handle.get(objects).anyfunc.as_ptr().as_ref() })
            }
            _ => None,
        });
        let instance = Box::new(wasmergo_instance {
            store,
            instance: UnsafeCell::new(instance),
            imported: imported.collect(),
            module,
        });
        unsafe { out.write(&*instance) };
        store.instances.borrow_mut().push(instance);
        Ok(())
    })
}

unsafe fn resolve(
    store: &wasmergo_store,
    module: &Compiled,
    imports: &[wasmergo_import],
) -> Result<Vec<VMExtern>, Error> {
    let info = module.info();
    if imports.len() != info.imports.len() {
        let message = format!(
            "{} imports for a module that has {}",
            imports.len(),
            info.imports.len()
        );
        return Err(Error::new(wasmergo_error_kind::Internal, message));
    }
    let mut resolved = Vec::with_capacity(imports.len());
    for (import, index) in imports.iter().zip(info.imports.values()) {
        resolved.push(match (unsafe { import.item.as_ref() }, index) {
            (Some(item), _) if std::ptr::eq(item.store, store) => unsafe { item.import() },
            (Some(_), _) => {
                return Err(Error::new(
                    wasmergo_error_kind::Link,
                    "an import belongs to another store",
                ));
            }
            (None, ImportIndex::Function(index)) => {
                let ty: &FunctionType = &info.signatures[info.functions[*index]];
                host::new(store, ty, import.function)
            }
            (None, _) => {
                return Err(Error::new(
                    wasmergo_error_kind::Internal,
                    "only functions can be made by number",
                ));
            }
        });
    }
    Ok(resolved)
}

impl wasmergo_instance {
    /// What a call of the function needs: from the module and this instance alone, which nobody changes.
    fn callee(&self, index: FunctionIndex) -> VMCallerCheckedAnyfunc {
        let info = self.module.info();
        let Some(local) = info.local_func_index(index) else {
            return self.imported[index.index()];
        };
        let signature = info.functions[index];
        let artifact = &self.module.artifact;
        VMCallerCheckedAnyfunc {
            func_ptr: artifact.finished_functions()[local].0,
            type_signature_hash: artifact.signatures()[signature],
            vmctx: VMFunctionContext {
                vmctx: unsafe { (*self.instance.get()).vmctx_ptr() },
            },
            call_trampoline: artifact.finished_function_call_trampolines()[signature],
        }
    }
}

/// Initializes memories and tables and runs the start function. Returns as `wasmergo_function_call` does. An instance
/// that failed stays in its store: others may hold its functions.
///
/// # Safety
/// Called once, before any other use; the caller holds the store.
#[unsafe(no_mangle)]
#[allow(clippy::result_large_err)] // wasmer's
pub unsafe extern "C" fn wasmergo_instance_start(instance: &wasmergo_instance) -> u32 {
    run(unsafe { &*instance.store }, |call| unsafe {
        let artifact = &instance.module.artifact;
        if artifact.module_info().start_function.is_some() {
            let end = stack::guard_next().map_err(wasmer_compiler::InstantiationError::Start)?;
            (*call).stack.set(end);
        }
        artifact.finish_instantiation(
            &stack::VM_CONFIG,
            stack::trap_handler(),
            &mut *instance.instance.get(),
        )
    })
}

/// The export with this position in the module's list of exports; null if there is none. Functions may be looked up
/// by any thread at any time.
///
/// # Safety
/// If the export is no function, the caller holds the store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_instance_export(
    instance: &wasmergo_instance,
    position: usize,
) -> *const wasmergo_extern {
    let found = guard(|| {
        let Some(index) = instance.module.exports.get(position) else {
            return Ok(std::ptr::null());
        };
        let item = match index {
            ExportIndex::Function(function) => Item::Function {
                callee: instance.callee(*function),
                instance: instance.instance.get(),
                index: *index,
            },
            _ => Item::Other(unsafe { (*instance.instance.get()).lookup_by_declaration(*index) }),
        };
        Ok(unsafe { &*instance.store }.keep(item))
    });
    found.unwrap_or(std::ptr::null())
}
