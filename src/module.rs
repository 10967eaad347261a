//! Modules: compiled code with its wasmer engine, shared by all instances made from it.

use crate::abi::{self, Abi};
use crate::account::Opened;
use crate::artifact::Key;
use crate::bytes::{Encoder, borrow, wasmergo_bytes};
use crate::charge::Source;
use crate::code::{self, Code};
use crate::compilation::{Compilation, Shared};
use crate::digest::DIGEST;
use crate::dwarf::{Dwarf, Sections};
use crate::engine::{HEADLESS, wasmergo_engine, wasmergo_limits};
use crate::error::{Error, wasmergo_error_kind};
use crate::guard::{fallible, guard, infallible};
use crate::header::Header;
use crate::live::ModuleCode;
use crate::locations::Locations;
use crate::meter::CELLS;
use crate::metering::{Charges, Metering};
use crate::prepare::{Notes, prepare};
use crate::resource;
use crate::results::ImportWithResults;
use crate::tunables::GuestTunables;
use crate::{bounds, embed, header, perfmap, profile, types, validate};
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;
use wasmer::wasmparser::BinaryReaderError;
use wasmer_compiler::{Artifact, ArtifactCreate, Engine};
use wasmer_types::{ExportIndex, ExternType, FunctionType, ImportIndex, ModuleInfo, Type};

/// A module of more bytes takes some time to compile.
const LONG: usize = 256 << 10;

/// Field order is drop order: the code leaves the map, and the artifact unregisters its frames, before the engine frees it.
pub(crate) struct Compiled {
    pub code: Code,
    pub artifact: Arc<Artifact>,
    /// In the order of `artifact`'s exports: what an instance looks up.
    pub exports: Vec<ExportIndex>,
    pub notes: Notes,
    pub dwarf: Arc<Dwarf>,
    /// Of a loaded module; wasmer has those of others.
    pub locations: Option<Locations>,
    pub abi: Abi,
    /// Code outside of the module can call its references, or the other way round.
    pub shares_references: bool,
    /// What makes forwarders to its functions where others refer to them, if its code stays apart; see `tier.rs`.
    pub linker: Option<Arc<wasmergo_engine>>,
    /// What compiles forwarders, if there may be need of some.
    engine: Option<Arc<wasmergo_engine>>,
    pub limits: wasmergo_limits,
    /// Why this machine cannot run it, if so.
    pub foreign: Option<String>,
    /// Its code counts; see `metering.rs`.
    pub metered: bool,
    pub tunables: GuestTunables,
    /// How much code it is, as long as there is some.
    pub size: ModuleCode,
    _engine: Engine,
}

/// What a module is made of.
pub(crate) struct Parts {
    pub artifact: Arc<Artifact>,
    pub notes: Notes,
    pub debug: Sections,
    pub locations: Option<Locations>,
    pub wasmer_engine: Engine,
    pub abi: Abi,
    pub metered: bool,
}

impl Compiled {
    /// Compiles a valid binary, unless that is to end early.
    pub fn new(
        binary: &[u8],
        engine: &wasmergo_engine,
        metering: Option<&Arc<Metering>>,
        shared: Shared,
    ) -> Result<Arc<Self>, Error> {
        // Before anything of the compilers, which is left out of such a build.
        if HEADLESS {
            return Err(Error::new(
                wasmergo_error_kind::Unsupported,
                "this build has no compilers: load artifacts (Engine.Deserialize) that a build with compilers has made",
            ));
        }
        let malformed = |error: BinaryReaderError| {
            Error::invalid(error.message(), error.offset() as usize, None)
        };
        resource::room_to_compile(binary.len())?;
        let mut prepared = prepare(binary).map_err(malformed)?;
        let mut notes = std::mem::take(&mut prepared.notes);
        if Abi::from(engine.compiler) == Abi::Singlepass {
            notes.results = ImportWithResults::all(binary).map_err(malformed)?;
        }
        let mut charges = None;
        let mut source = None;
        if let Some(metering) = metering {
            let read = Arc::new(Source::read(&prepared.binary).map_err(malformed)?);
            for import in &mut notes.results {
                import.global += CELLS as u32;
            }
            charges = Some(Charges::new(metering, &read));
            source = Some(read);
        }
        let limit = engine.options.max_memory;
        let mut threads = engine.options.threads;
        if limit != 0 {
            let most = threads.map_or_else(available_parallelism, Ok);
            let most = most.map_or(1, NonZero::get);
            let metered = charges.is_some();
            let fit = bounds::threads(binary, engine.compiler, metered, limit, most);
            threads = Some(fit.map_err(malformed)??);
        }
        let wasmer_engine = engine.wasmer_engine_on(&notes, charges, threads)?;
        let opened = Opened::new(limit, limit != 0 || binary.len() > LONG);
        let compilation = Compilation::new(shared, &opened, limit);
        // A compiler that panics over a valid module has met something that it cannot do; the engine is dropped.
        let artifact = guard(|| {
            Ok(wasmer_engine
                .compile_with_progress(&prepared.binary, Some(compilation.callback()))?)
        })
        .map_err(|error| compilation.explain(engine.options.explain(error)))
        .map_err(|error| match error.kind {
            wasmergo_error_kind::Internal => Error::new(
                wasmergo_error_kind::Unsupported,
                format!("the compiler gave up: {}", error.message),
            ),
            _ => error,
        })?;
        drop(source);
        let debug = match engine.drop_debug_info {
            true => Sections::default(),
            false => prepared.sections(),
        };
        let parts = Parts {
            artifact,
            notes,
            debug,
            locations: None,
            wasmer_engine,
            abi: Abi::from(engine.compiler),
            metered: metering.is_some(),
        };
        let module = Self::with(parts, engine);
        compilation.end(module.size.bytes)?;
        Ok(module)
    }

    pub fn with(parts: Parts, engine: &wasmergo_engine) -> Arc<Self> {
        let Parts {
            artifact,
            notes,
            debug,
            locations,
            wasmer_engine,
            abi,
            metered,
        } = parts;
        let info = artifact.module_info();
        let exports = info.exports.values().copied().collect();
        let mut imported = notes
            .references
            .iter()
            .map(|index| notes.function_type(info, *index));
        let forwards = imported.any(abi::differs);
        let shares_references = abi::shares_references(info);
        let extents = artifact.finished_function_extents().unwrap_or_default();
        let size = extents.iter().map(|(_, extent)| extent.length);
        let size = ModuleCode::new(&engine.code, size);
        let module = Arc::new_cyclic(|module| Self {
            size,
            code: code::add(code::range(&artifact), module.clone()),
            shares_references,
            artifact,
            exports,
            abi,
            engine: forwards.then(|| engine.share()),
            linker: engine.linker.clone(),
            tunables: engine.tunables(notes.tables.clone()),
            notes,
            dwarf: Dwarf::new(debug),
            locations,
            limits: engine.limits,
            foreign: engine.options.runs_here().err().map(|error| error.message),
            metered,
            _engine: wasmer_engine,
        });
        perfmap::add(&module);
        module
    }

    /// The module whose function calls an import of this type.
    pub fn forwarder(&self, ty: &FunctionType) -> Result<Arc<Self>, Error> {
        match &self.engine {
            Some(engine) => engine.forwarder(ty),
            None => Err(Error::new(
                wasmergo_error_kind::Internal,
                "no engine to compile a forwarder",
            )),
        }
    }

    /// Whether an instance can give others references to its functions before it has started.
    pub fn gives_references(&self) -> bool {
        self.info().imports().any(|import| match import.ty() {
            ExternType::Function(ty) => ty.params().contains(&Type::FuncRef),
            ExternType::Table(ty) => ty.ty == Type::FuncRef,
            ExternType::Global(ty) => ty.ty == Type::FuncRef,
            ExternType::Tag(ty) => ty.params.contains(&Type::FuncRef),
            ExternType::Memory(_) => false,
        })
    }

    pub fn info(&self) -> &ModuleInfo {
        self.artifact.module_info()
    }

    /// Where the function begins whose compiled code holds the address.
    pub fn function_start(&self, pc: usize) -> Option<usize> {
        // They lie in order.
        let starts = self.artifact.finished_functions().values().as_slice();
        let after = starts.partition_point(|start| **start as usize <= pc);
        Some(*starts[after.checked_sub(1)?] as usize)
    }

    /// The same as an index among the functions of the module, and how far in it the address lies.
    pub fn place(&self, pc: usize) -> Option<(usize, usize)> {
        let starts = self.artifact.finished_functions().values().as_slice();
        let after = starts.partition_point(|start| **start as usize <= pc);
        let index = after.checked_sub(1)?;
        Some((index, pc - *starts[index] as usize))
    }
}

impl Drop for Compiled {
    fn drop(&mut self) {
        profile::forget(self);
    }
}

/// A module; immutable, any thread may use it.
#[allow(non_camel_case_types)]
pub struct wasmergo_module {
    pub(crate) compiled: Arc<Compiled>,
    /// What its artifacts say of it.
    pub(crate) header: Header,
    pub(crate) artifact_key: Option<Key>,
}

impl wasmergo_module {
    pub(crate) fn new(
        compiled: Arc<Compiled>,
        header: Header,
        engine: &wasmergo_engine,
    ) -> Box<Self> {
        Box::new(Self {
            compiled,
            header,
            artifact_key: engine.artifact_key.clone(),
        })
    }
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

/// Compiles a module; owned by the caller. `numbers` are atomic: stop, to which another thread may write a number other than 0 to
/// have it end early; bytes of functions that are done; of how many; the most bytes of memory that it took, which is told at the
/// end.
///
/// # Safety
/// `bytes` holds `len` bytes, `numbers` is null or holds 4, `out` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_module_compile(
    engine: &wasmergo_engine,
    bytes: *const u8,
    len: usize,
    numbers: *const u64,
    out: *mut *mut wasmergo_module,
) -> wasmergo_bytes {
    fallible(|| {
        let binary = validate::binary(unsafe { borrow(bytes, len) })?;
        validate::validate(&binary, engine)?;
        let shared = unsafe { Shared::new(numbers) };
        let compiled = Compiled::new(&binary, engine, engine.metering.as_ref(), shared)?;
        let header = Header {
            cpu: header::names(compiled.artifact.cpu_features()),
            ..Header::new(engine, embed::digest(&binary)?)
        };
        let module = wasmergo_module::new(compiled, header, engine);
        unsafe { out.write(Box::into_raw(module)) };
        Ok(())
    })
}

/// Name, imports and exports with types, encoded: `name, { module, name, type }*, { name, type }*`, counts before lists.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_module_describe(module: &wasmergo_module) -> wasmergo_bytes {
    guard(|| {
        let info = module.compiled.info();
        let notes = &module.compiled.notes.tables;
        let mut out = Encoder::default();
        out.str(info.name.as_deref().unwrap_or_default());
        out.u32(info.imports().len() as u32);
        for (import, index) in info.imports().zip(info.imports.values()) {
            out.str(import.module());
            out.str(import.name());
            match index {
                ImportIndex::Function(index) => {
                    let ty = module.compiled.notes.function_type(info, index.as_u32());
                    types::encode(&mut out, &ExternType::Function(ty.clone()));
                }
                _ => types::encode(&mut out, import.ty()),
            }
        }
        out.u32(info.exports().len() as u32);
        for export in info.exports() {
            out.str(export.name());
            let mut ty = export.ty().clone();
            if let Some(ExportIndex::Function(index)) = info.exports.get(export.name()) {
                let ty = module.compiled.notes.function_type(info, index.as_u32());
                types::encode(&mut out, &ExternType::Function(ty.clone()));
                continue;
            }
            if let (ExternType::Table(table), Some(ExportIndex::Table(index))) =
                (&mut ty, info.exports.get(export.name()))
                && let Some(fixed) = notes.iter().find(|fixed| fixed.index == index.as_u32())
            {
                table.maximum = Some(fixed.size);
            }
            types::encode(&mut out, &ty);
        }
        Ok(out.finish())
    })
    .unwrap_or(wasmergo_bytes::NONE)
}

/// Writes the digest of the module in binary format, without code that is embedded in it: 32 bytes.
///
/// # Safety
/// `out` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_module_digest(module: &wasmergo_module, out: *mut u8) {
    unsafe { out.cast::<[u8; DIGEST]>().write(module.header.module) };
}

/// The contents of the custom sections of this name: a count, then their bytes, each after its length.
///
/// # Safety
/// `name` holds `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_module_custom_sections(
    module: &wasmergo_module,
    name: *const u8,
    len: usize,
) -> wasmergo_bytes {
    guard(|| {
        let name = String::from_utf8_lossy(unsafe { borrow(name, len) });
        let all = module.compiled.notes.sections.iter();
        let sections: Vec<_> = all.filter(|(other, _)| *other == name).collect();
        let mut out = Encoder::default();
        out.u32(sections.len() as u32);
        sections
            .iter()
            .for_each(|(_, contents)| out.bytes(contents));
        Ok(out.finish())
    })
    .unwrap_or(wasmergo_bytes::NONE)
}

/// How many functions were compiled, and the bytes of their machine code.
///
/// # Safety
/// `functions` and `bytes` are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_module_code(
    module: &wasmergo_module,
    functions: *mut u64,
    bytes: *mut u64,
) {
    unsafe {
        functions.write(module.compiled.size.functions);
        bytes.write(module.compiled.size.bytes);
    }
}

/// Frees the module; instances keep what they need of it.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_module_delete(module: Option<Box<wasmergo_module>>) {
    infallible(|| drop(module));
}
