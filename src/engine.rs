//! Engines: how modules are compiled. Each module gets a wasmer engine of its own, because wasmer frees machine code
//! only with the engine, and because a panic in a compiler poisons one.

use crate::bytes::wasmergo_bytes;
use crate::error::{Error, wasmergo_error_kind};
use crate::guard::{fallible, infallible, silence_panics};
use crate::tunables::GuestTunables;
use std::num::NonZero;
use wasmer::sys::{CompilerConfig, EngineBuilder, Features, Target};
use wasmer_compiler::Engine;

/// The compilers. A build has at least one.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types)]
pub enum wasmergo_compiler {
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
    /// Threads of one compilation; 0 means one a core.
    pub compile_threads: u32,
}

/// An engine; immutable, any thread may use it.
#[allow(non_camel_case_types)]
pub struct wasmergo_engine {
    pub(crate) compiler: wasmergo_compiler,
    threads: Option<NonZero<usize>>,
    pub(crate) features: Features,
    pub(crate) target: Target,
}

impl wasmergo_engine {
    pub(crate) fn new(config: &wasmergo_engine_config) -> Result<Self, Error> {
        let compiler = compiler(config.compiler)?;
        let target = Target::default();
        let mut features = configure(compiler, None)?.supported_features_for_target(&target);
        if compiler == wasmergo_compiler::Singlepass {
            // Its code generator answers these with a panic.
            features.simd(false).relaxed_simd(false).exceptions(false);
        }
        features.memory64(false);
        Ok(Self {
            compiler,
            threads: NonZero::new(config.compile_threads as usize),
            features,
            target,
        })
    }

    /// A wasmer engine for one module.
    pub(crate) fn wasmer_engine(&self) -> Result<Engine, Error> {
        let mut engine = EngineBuilder::new(configure(self.compiler, self.threads)?)
            .set_target(Some(self.target.clone()))
            .set_features(Some(self.features.clone()))
            .engine();
        engine.set_tunables(GuestTunables);
        Ok(engine)
    }

    /// What an artifact must have in common with this engine to be loaded by it.
    pub(crate) fn fingerprint(&self) -> String {
        format!(
            "{}/{:?}/{}/{:?}/{:?}",
            env!("WASMERGO_BUILD_ID"),
            self.compiler,
            self.target.triple(),
            self.target.cpu_features(),
            self.features
        )
    }
}

fn compiler(code: u32) -> Result<wasmergo_compiler, Error> {
    let (compiler, built_in) = match code {
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
            format!(
                "the compiler {} is not part of this build",
                format!("{compiler:?}").to_lowercase()
            ),
        )),
    }
}

fn configure(
    compiler: wasmergo_compiler,
    threads: Option<NonZero<usize>>,
) -> Result<Box<dyn CompilerConfig>, Error> {
    Ok(match compiler {
        #[cfg(feature = "cranelift")]
        wasmergo_compiler::Cranelift => {
            let mut config = wasmer::sys::Cranelift::new();
            threads.map(|threads| config.num_threads(threads));
            Box::new(config)
        }
        #[cfg(feature = "singlepass")]
        wasmergo_compiler::Singlepass => {
            let mut config = wasmer::sys::Singlepass::new();
            threads.map(|threads| config.num_threads(threads));
            Box::new(config)
        }
        #[cfg(feature = "llvm")]
        wasmergo_compiler::Llvm => {
            let mut config = wasmer::sys::LLVM::new();
            threads.map(|threads| config.num_threads(threads));
            Box::new(config)
        }
        #[allow(unreachable_patterns)]
        other => {
            return Err(Error::new(
                wasmergo_error_kind::Unsupported,
                format!("{other:?} is not part of this build"),
            ));
        }
    })
}

/// Whether this build contains the compiler.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_compiler_available(code: u32) -> bool {
    infallible(|| compiler(code).is_ok())
}

/// Makes an engine; owned by the caller.
///
/// # Safety
/// `config` and `out` are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_engine_new(
    config: &wasmergo_engine_config,
    out: *mut *mut wasmergo_engine,
) -> wasmergo_bytes {
    silence_panics();
    fallible(|| {
        let engine = Box::new(wasmergo_engine::new(config)?);
        wasmer_vm::init_traps();
        crate::stack::prepare();
        unsafe { out.write(Box::into_raw(engine)) };
        Ok(())
    })
}

/// Frees an engine; its modules stay valid.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_engine_delete(engine: Option<Box<wasmergo_engine>>) {
    infallible(|| drop(engine));
}
