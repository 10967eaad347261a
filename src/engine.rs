//! Engines: how modules are compiled. Each module gets a wasmer engine of its own, because wasmer frees machine code
//! only with the engine, and because a panic in a compiler poisons one.

use crate::artifact::Key;
use crate::budget::Budget;
use crate::bytes::{borrow, wasmergo_bytes};
use crate::compilation::Shared;
use crate::compiler::{Options, wasmergo_code_options};
use crate::error::{Error, wasmergo_error_kind};
use crate::feature::{self, FeatureSet};
use crate::guard::{fallible, infallible, silence_panics};
use crate::live::{self, wasmergo_code_count};
use crate::metering::{Charges, Metering, wasmergo_cost, wasmergo_metering};
use crate::module::Compiled;
use crate::prepare::Notes;
use crate::results::ResultsInGlobals;
use crate::table::{FixedTable, SharedTables};
use crate::tunables::GuestTunables;
use crate::validate;
use std::collections::HashMap;
use std::fmt;
use std::num::NonZero;
use std::sync::{Arc, Mutex};
use wasmer::sys::{EngineBuilder, Features};
use wasmer_compiler::Engine;
use wasmer_types::FunctionType;

/// The compilers.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types)]
pub enum wasmergo_compiler {
    /// No compiler: the engine loads artifacts.
    None = 0,
    Cranelift = 1,
    Singlepass = 2,
    Llvm = 3,
}

/// Options of an engine, read once by `wasmergo_engine_new`.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct wasmergo_engine_config {
    /// A `wasmergo_compiler`.
    pub compiler: u32,
    pub code: wasmergo_code_options,
    /// The features that modules may use (bits as in `feature.rs`), or `WASMERGO_FEATURES_DEFAULT`.
    pub features: u64,
    pub limits: wasmergo_limits,
    pub metering: wasmergo_metering,
    /// Modules are kept without debug information.
    pub drop_debug_info: bool,
    /// The secret that artifacts are made with and must be made with; none if it is empty.
    pub artifact_key: *const u8,
    pub artifact_key_len: usize,
}

/// Bounds for guests.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct wasmergo_limits {
    /// Pages of a memory.
    pub memory_pages: u32,
    /// Elements of a table.
    pub table_elements: u32,
    /// Bytes of stack for a guest's frames.
    pub stack_size: u64,
    /// Memories take the address space that they use, and no more: the code checks bounds.
    pub bounded_memories: bool,
    /// Pages of all memories together; 0 for no bound.
    pub total_memory_pages: u64,
}

/// An engine; immutable, any thread may use it.
#[allow(non_camel_case_types)]
pub struct wasmergo_engine {
    pub(crate) compiler: wasmergo_compiler,
    pub(crate) options: Options,
    pub(crate) features: FeatureSet,
    pub(crate) limits: wasmergo_limits,
    pub(crate) metering: Option<Arc<Metering>>,
    pub(crate) drop_debug_info: bool,
    pub(crate) artifact_key: Option<Key>,
    pub(crate) code: Arc<live::Code>,
    pub(crate) forwarders: Mutex<HashMap<FunctionType, Arc<Compiled>>>,
    pub(crate) budget: Option<Arc<Budget>>,
    /// Its code stays apart from that of others, and this engine makes what they refer to; see `tier.rs`.
    pub(crate) linker: Option<Arc<wasmergo_engine>>,
}

impl wasmergo_engine {
    pub(crate) fn new(
        config: &wasmergo_engine_config,
        costs: &[wasmergo_cost],
    ) -> Result<Self, Error> {
        let compiler = compiler(config.compiler)?;
        let supported = feature::supported(compiler);
        let features = match config.features {
            feature::WASMERGO_FEATURES_DEFAULT => supported,
            chosen => chosen,
        };
        if let Some(lacking) = feature::others(supported).find(|bit| features >> bit & 1 == 1) {
            return Err(Error {
                feature: lacking,
                ..Error::new(
                    wasmergo_error_kind::Unsupported,
                    format!(
                        "the compiler {compiler} does not support the feature {}",
                        feature::name(lacking)
                    ),
                )
            });
        }
        Ok(Self {
            compiler,
            options: Options::new(compiler, &config.code)?,
            features,
            limits: config.limits,
            metering: Metering::new(&config.metering, costs),
            drop_debug_info: config.drop_debug_info,
            artifact_key: Key::new(unsafe { borrow(config.artifact_key, config.artifact_key_len) }),
            code: Arc::default(),
            forwarders: Mutex::default(),
            budget: Budget::new(config.limits.total_memory_pages),
            linker: None,
        })
    }

    /// A wasmer engine for one module. It may use all features: which ones a module may use is checked before.
    pub(crate) fn wasmer_engine(
        &self,
        notes: &Notes,
        charges: Option<Charges>,
    ) -> Result<Engine, Error> {
        self.wasmer_engine_on(notes, charges, self.options.threads)
    }

    /// As `wasmer_engine`, for so many threads.
    pub(crate) fn wasmer_engine_on(
        &self,
        notes: &Notes,
        charges: Option<Charges>,
        threads: Option<NonZero<usize>>,
    ) -> Result<Engine, Error> {
        let mut config = self.options.configure(threads)?;
        // First, so that it counts what the module has, not what is added.
        if let Some(charges) = charges {
            config.push_middleware(Arc::new(charges));
        }
        let tables = notes.tables.clone();
        if !tables.is_empty() {
            config.push_middleware(Arc::new(SharedTables(tables.clone())));
        }
        if !notes.results.is_empty() {
            config.push_middleware(Arc::new(ResultsInGlobals(notes.results.clone())));
        }
        for middleware in self.options.middlewares() {
            config.push_middleware(middleware);
        }
        #[cfg(feature = "llvm")]
        if self.compiler == wasmergo_compiler::Llvm {
            config = crate::llvm::tame(config, self.limits.bounded_memories);
        }
        let mut features = Features::all();
        features.memory64(false).module_linking(false);
        let mut engine = EngineBuilder::new(config)
            .set_target(Some(self.options.target.clone()))
            .set_features(Some(features))
            .engine();
        engine.set_tunables(self.tunables(tables));
        Ok(engine)
    }

    /// Another owner: engines live behind an `Arc` only.
    pub(crate) fn share(&self) -> Arc<Self> {
        unsafe {
            Arc::increment_strong_count(self);
            Arc::from_raw(self)
        }
    }

    /// The module that makes a host function a compiled one; the same for all functions of a type.
    pub(crate) fn forwarder(&self, ty: &FunctionType) -> Result<Arc<Compiled>, Error> {
        let known = || {
            self.forwarders
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner())
        };
        if let Some(module) = known().get(ty) {
            return Ok(module.clone());
        }
        let text = crate::host::forwarder(ty);
        let binary = validate::binary(text.as_bytes())?;
        validate::validate(&binary, self)?;
        let module = Compiled::new(&binary, self, None, Shared::none())?; // what it does is not the guest's
        known().insert(ty.clone(), module.clone());
        Ok(module)
    }

    pub(crate) fn tunables(&self, tables: Vec<FixedTable>) -> GuestTunables {
        GuestTunables::new(&self.limits, tables, self.budget.clone())
    }
}

#[cfg(test)]
impl wasmergo_engine {
    /// An engine for tests: one that compiles on one thread, without further options.
    pub(crate) fn for_test(compiler: wasmergo_compiler) -> Arc<Self> {
        let config = wasmergo_engine_config {
            compiler: compiler as u32,
            code: wasmergo_code_options {
                threads: 1,
                ..Default::default()
            },
            features: feature::WASMERGO_FEATURES_DEFAULT,
            limits: wasmergo_limits {
                memory_pages: 65536,
                table_elements: 1000,
                stack_size: 1 << 20,
                bounded_memories: false,
                total_memory_pages: 0,
            },
            metering: Default::default(),
            drop_debug_info: false,
            artifact_key: std::ptr::null(),
            artifact_key_len: 0,
        };
        Arc::new(Self::new(&config, &[]).unwrap())
    }
}

impl wasmergo_compiler {
    const ALL: [Self; 4] = [Self::None, Self::Cranelift, Self::Singlepass, Self::Llvm];

    /// The one of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.to_string() == name)
    }
}

impl fmt::Display for wasmergo_compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Cranelift => "cranelift",
            Self::Singlepass => "singlepass",
            Self::Llvm => "llvm",
        })
    }
}

/// Whether the build has no compiler.
pub(crate) const HEADLESS: bool = cfg!(not(any(
    feature = "cranelift",
    feature = "singlepass",
    feature = "llvm"
)));

pub(crate) fn compiler(code: u32) -> Result<wasmergo_compiler, Error> {
    let (compiler, built_in) = match code {
        0 => (wasmergo_compiler::None, HEADLESS),
        1 => (wasmergo_compiler::Cranelift, cfg!(feature = "cranelift")),
        2 => (wasmergo_compiler::Singlepass, cfg!(feature = "singlepass")),
        3 => (wasmergo_compiler::Llvm, cfg!(feature = "llvm")),
        _ => {
            return Err(Error::new(
                wasmergo_error_kind::Unsupported,
                format!("no compiler has the number {code}"),
            ));
        }
    };
    match built_in {
        true => Ok(compiler),
        false => Err(Error::new(
            wasmergo_error_kind::Unsupported,
            format!("the compiler {compiler} is not part of this build"),
        )),
    }
}

/// Whether this build contains the compiler.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_compiler_available(code: u32) -> bool {
    infallible(|| compiler(code).is_ok())
}

/// Makes an engine; owned by the caller. `costs` are for its metering.
///
/// # Safety
/// `config` and `out` are valid, `costs` holds `len` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_engine_new(
    config: &wasmergo_engine_config,
    costs: *const wasmergo_cost,
    len: usize,
    out: *mut *mut wasmergo_engine,
) -> wasmergo_bytes {
    silence_panics();
    fallible(|| {
        let engine = Arc::new(wasmergo_engine::new(config, unsafe { borrow(costs, len) })?);
        wasmer_vm::init_traps();
        crate::stack::prepare();
        crate::signal::prepare();
        unsafe { out.write(Arc::into_raw(engine).cast_mut()) };
        Ok(())
    })
}

/// The count of the engine's code; owned by the caller.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_engine_code_count(engine: &wasmergo_engine) -> Box<wasmergo_code_count> {
    Box::new(wasmergo_code_count::new(&engine.code))
}

/// Frees an engine; its modules stay valid.
///
/// # Safety
/// `engine` comes from `wasmergo_engine_new` and is not used again; null is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_engine_delete(engine: *const wasmergo_engine) {
    infallible(|| {
        if !engine.is_null() {
            drop(unsafe { Arc::from_raw(engine) });
        }
    });
}
