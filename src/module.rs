//! Modules: compiled code with its wasmer engine, shared by all instances made from it.

use crate::bytes::{Encoder, borrow, wasmergo_bytes};
use crate::engine::wasmergo_engine;
use crate::error::{Error, wasmergo_error_kind};
use crate::guard::{fallible, guard, infallible};
use crate::{artifact, debug, types, validate};
use std::sync::Arc;
use wasmer_compiler::{Artifact, ArtifactCreate, Engine};
use wasmer_types::{ExportIndex, ModuleInfo};

/// Field order is drop order: the artifact unregisters its frames before the engine frees the code.
pub(crate) struct Compiled {
    pub artifact: Arc<Artifact>,
    /// In the order of `artifact`'s exports: what an instance looks up.
    pub exports: Vec<ExportIndex>,
    _engine: Engine,
}

impl Compiled {
    fn new(artifact: Arc<Artifact>, engine: Engine) -> Arc<Self> {
        let exports = artifact.module_info().exports.values().copied().collect();
        Arc::new(Self {
            artifact,
            exports,
            _engine: engine,
        })
    }

    pub fn info(&self) -> &ModuleInfo {
        self.artifact.module_info()
    }
}

/// A module; immutable, any thread may use it.
#[allow(non_camel_case_types)]
pub struct wasmergo_module {
    pub(crate) compiled: Arc<Compiled>,
    fingerprint: String,
}

/// Translates the text format; binaries are copied as they are.
///
/// # Safety
/// `bytes` holds `len` bytes, `out` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_wat2wasm(
    bytes: *const u8,
    len: usize,
    out: *mut wasmergo_bytes,
) -> wasmergo_bytes {
    fallible(|| {
        let binary = validate::binary(unsafe { borrow(bytes, len) })?;
        unsafe { out.write(binary.into_owned().into()) };
        Ok(())
    })
}

/// Checks a module against the engine's features; generates no code.
///
/// # Safety
/// `bytes` holds `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_module_validate(
    engine: &wasmergo_engine,
    bytes: *const u8,
    len: usize,
) -> wasmergo_bytes {
    fallible(|| {
        let binary = validate::binary(unsafe { borrow(bytes, len) })?;
        validate::validate(&binary, engine)
    })
}

/// Compiles a module; owned by the caller.
///
/// # Safety
/// `bytes` holds `len` bytes, `out` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_module_compile(
    engine: &wasmergo_engine,
    bytes: *const u8,
    len: usize,
    out: *mut *mut wasmergo_module,
) -> wasmergo_bytes {
    fallible(|| {
        let binary = validate::binary(unsafe { borrow(bytes, len) })?;
        validate::validate(&binary, engine)?;
        let wasmer_engine = engine.wasmer_engine()?;
        // A compiler that panics over a valid module has met something that it cannot do; the engine is dropped.
        let artifact =
            guard(|| Ok(wasmer_engine.compile(&debug::strip(&binary))?)).map_err(|error| {
                match error.kind {
                    wasmergo_error_kind::Internal => Error::new(
                        wasmergo_error_kind::Unsupported,
                        format!("the compiler gave up: {}", error.message),
                    ),
                    _ => error,
                }
            })?;
        unsafe { write(out, artifact, wasmer_engine, engine) };
        Ok(())
    })
}

/// Loads what `wasmergo_module_serialize` of the same build made. Anything else is refused before wasmer sees it.
///
/// # Safety
/// `bytes` holds `len` bytes, `out` is valid. The digest finds damage, not forgery: an artifact is machine code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_module_deserialize(
    engine: &wasmergo_engine,
    bytes: *const u8,
    len: usize,
    out: *mut *mut wasmergo_module,
) -> wasmergo_bytes {
    fallible(|| {
        let payload = artifact::open(unsafe { borrow(bytes, len) }, &engine.fingerprint())?;
        let wasmer_engine = engine.wasmer_engine()?;
        let artifact = unsafe { wasmer_engine.deserialize(payload.to_vec().into())? };
        crate::signature::SignatureTable::default()
            .insert_all(artifact.module_info().signatures.values())?;
        unsafe { write(out, artifact, wasmer_engine, engine) };
        Ok(())
    })
}

unsafe fn write(
    out: *mut *mut wasmergo_module,
    artifact: Arc<Artifact>,
    wasmer: Engine,
    engine: &wasmergo_engine,
) {
    let module = wasmergo_module {
        compiled: Compiled::new(artifact, wasmer),
        fingerprint: engine.fingerprint(),
    };
    unsafe { out.write(Box::into_raw(Box::new(module))) };
}

/// The module as an artifact of this build.
///
/// # Safety
/// `out` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_module_serialize(
    module: &wasmergo_module,
    out: *mut wasmergo_bytes,
) -> wasmergo_bytes {
    fallible(|| {
        let payload = module
            .compiled
            .artifact
            .serialize()
            .map_err(|error| Error::new(wasmergo_error_kind::Unsupported, error.to_string()))?;
        unsafe { out.write(artifact::seal(&payload, &module.fingerprint).into()) };
        Ok(())
    })
}

/// Name, imports and exports with types, encoded: `name, { module, name, type }*, { name, type }*`, counts before lists.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_module_describe(module: &wasmergo_module) -> wasmergo_bytes {
    guard(|| {
        let info = module.compiled.info();
        let mut out = Encoder::default();
        out.str(info.name.as_deref().unwrap_or_default());
        out.u32(info.imports().len() as u32);
        for import in info.imports() {
            out.str(import.module());
            out.str(import.name());
            types::encode(&mut out, import.ty());
        }
        out.u32(info.exports().len() as u32);
        for export in info.exports() {
            out.str(export.name());
            types::encode(&mut out, export.ty());
        }
        Ok(out.finish())
    })
    .unwrap_or(wasmergo_bytes::NONE)
}

/// Frees the module; instances keep what they need of it.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_module_delete(module: Option<Box<wasmergo_module>>) {
    infallible(|| drop(module));
}
