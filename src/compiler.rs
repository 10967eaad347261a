//! How code is made: the options of the compilers, what each of them has of these, and wasmer's settings for them.

use crate::bytes::borrow;
use crate::dump::FileNames;
use crate::engine::wasmergo_compiler;
use crate::error::{Error, wasmergo_error_kind};
use crate::guard::guard;
use crate::nan::CanonicalConversions;
use crate::target::target;
use std::ffi::OsStr;
use std::fmt;
use std::num::NonZero;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use wasmer::sys::{CompilerConfig, CpuFeature, EngineBuilder, Target};
use wasmer_compiler::ModuleMiddleware;
use wasmer_types::target::{Architecture, OperatingSystem};

/// How much a compiler does for the code.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types)]
pub enum wasmergo_opt_level {
    /// What the compiler takes for the fastest code.
    Default = 0,
    None = 1,
    Less = 2,
    More = 3,
    Speed = 4,
    SpeedAndSize = 5,
    Size = 6,
}

use wasmergo_opt_level as OptLevel;

impl OptLevel {
    pub(crate) const ALL: [Self; 7] = [
        Self::Default,
        Self::None,
        Self::Less,
        Self::More,
        Self::Speed,
        Self::SpeedAndSize,
        Self::Size,
    ];

    /// What the compiler has. LLVM knows sizes as attributes of functions, which wasmer does not give them.
    fn of(compiler: wasmergo_compiler) -> &'static [Self] {
        match compiler {
            wasmergo_compiler::Cranelift => {
                &[Self::Default, Self::None, Self::Speed, Self::SpeedAndSize]
            }
            wasmergo_compiler::Singlepass => &[Self::Default, Self::None],
            wasmergo_compiler::None => &[Self::Default],
            wasmergo_compiler::Llvm => &[
                Self::Default,
                Self::None,
                Self::Less,
                Self::More,
                Self::Speed,
            ],
        }
    }
}

impl fmt::Display for OptLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::None => "none",
            Self::Less => "less",
            Self::More => "more",
            Self::Speed => "speed",
            Self::SpeedAndSize => "speed-and-size",
            Self::Size => "size",
        })
    }
}

/// Options for code, read once by `wasmergo_engine_new`. Texts are UTF-8; an empty one stands for the default.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct wasmergo_code_options {
    /// A `wasmergo_opt_level`.
    pub opt_level: u32,
    /// Threads of one compilation; 0 means one a core.
    pub threads: u32,
    /// The compiler checks its own work.
    pub verify_ir: bool,
    /// Operations give the one canonical NaN.
    pub canonicalize_nans: bool,
    /// The target's triple: this machine.
    pub triple: *const u8,
    pub triple_len: usize,
    /// What the target's CPU has: `native`, `generic`, or names of features between commas.
    pub cpu: *const u8,
    pub cpu_len: usize,
    /// The folder for what the compiler has in between: none.
    pub dump_ir: *const u8,
    pub dump_ir_len: usize,
    /// Bytes of a function's body, and of memory that one compilation may take; 0 for no bound.
    pub max_function_size: u64,
    pub max_memory: u64,
}

impl Default for wasmergo_code_options {
    fn default() -> Self {
        Self {
            opt_level: 0,
            threads: 0,
            verify_ir: false,
            canonicalize_nans: false,
            triple: std::ptr::null(),
            triple_len: 0,
            cpu: std::ptr::null(),
            cpu_len: 0,
            dump_ir: std::ptr::null(),
            dump_ir_len: 0,
            max_function_size: 0,
            max_memory: 0,
        }
    }
}

/// Options that the compiler has.
#[derive(Debug)]
pub(crate) struct Options {
    compiler: wasmergo_compiler,
    pub threads: Option<NonZero<usize>>,
    pub level: OptLevel,
    verify: bool,
    pub canonicalize_nans: bool,
    dump: Option<PathBuf>,
    pub target: Target,
    pub max_function_size: u64,
    pub max_memory: u64,
}

impl Options {
    /// Refuses what the compiler lacks.
    pub fn new(
        compiler: wasmergo_compiler,
        options: &wasmergo_code_options,
    ) -> Result<Self, Error> {
        let text = |data, len| String::from_utf8_lossy(unsafe { borrow(data, len) }).into_owned();
        let triple = text(options.triple, options.triple_len);
        let cpu = text(options.cpu, options.cpu_len);
        let dump = unsafe { borrow(options.dump_ir, options.dump_ir_len) };
        let has = OptLevel::of(compiler);
        let level = OptLevel::ALL.get(options.opt_level as usize).copied();
        let Some(level) = level.filter(|level| has.contains(level)) else {
            let names: Vec<_> = has.iter().map(|level| level.to_string()).collect();
            let given = level.map_or(options.opt_level.to_string(), |level| level.to_string());
            return Err(unsupported(format!(
                "EngineConfig.OptLevel: the compiler {compiler} does not have the level {given}, but {}",
                names.join(", ")
            )));
        };
        if options.verify_ir && compiler == wasmergo_compiler::Singlepass {
            return Err(unsupported(format!(
                "EngineConfig.VerifyIR: the compiler {compiler} has no intermediate code"
            )));
        }
        let out = Self {
            compiler,
            threads: NonZero::new(options.threads as usize),
            level,
            verify: options.verify_ir,
            canonicalize_nans: options.canonicalize_nans,
            dump: (!dump.is_empty()).then(|| OsStr::from_bytes(dump).into()),
            target: target(&triple, &cpu)?,
            max_function_size: options.max_function_size,
            max_memory: options.max_memory,
        };
        out.check_target()?;
        Ok(out)
    }

    /// Refuses targets that the compiler does not have.
    fn check_target(&self) -> Result<(), Error> {
        // wasmer's code for SSE rounds nothing, and makes all NaNs 0.
        let x86 = self.target.triple().architecture == Architecture::X86_64;
        let avx = self.target.cpu_features().contains(CpuFeature::AVX);
        if self.compiler == wasmergo_compiler::Singlepass && x86 && !avx {
            return Err(unsupported(format!(
                "EngineConfig.Target: the compiler {} needs the CPU feature avx",
                self.compiler
            )));
        }
        let arm = matches!(self.target.triple().architecture, Architecture::Aarch64(_));
        if self.compiler == wasmergo_compiler::Llvm && !x86 && !arm {
            return Err(unsupported(format!(
                "EngineConfig.Target: the compiler llvm makes no code for {}, but for x86_64 and aarch64",
                self.target.triple()
            )));
        }
        // LLVM ends the process over a section's name that wasmer gives it for macOS.
        if self.compiler == wasmergo_compiler::Llvm
            && self.target.triple().operating_system != OperatingSystem::Linux
            && !self.target.is_native()
        {
            return Err(unsupported(format!(
                "EngineConfig.Target: the compiler {} makes code for macOS only there",
                self.compiler
            )));
        }
        if self.target != Target::default() {
            self.try_target()?;
        }
        Ok(())
    }

    /// The same for another compiler, as far as it has them, on other threads.
    pub fn with(&self, compiler: wasmergo_compiler, threads: u32) -> Result<Self, Error> {
        let other = Self {
            compiler,
            threads: NonZero::new(threads as usize),
            level: match OptLevel::of(compiler).contains(&self.level) {
                true => self.level,
                false => OptLevel::Default,
            },
            verify: self.verify && compiler != wasmergo_compiler::Singlepass,
            dump: self.dump.clone(),
            target: self.target.clone(),
            ..*self
        };
        other.check_target()?;
        Ok(other)
    }

    /// Whether the compiler makes code for the target at all is known when it has made some.
    fn try_target(&self) -> Result<(), Error> {
        const EMPTY: &[u8] =
            b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a\x04\x01\x02\0\x0b";
        let quiet = Self {
            dump: None,
            target: self.target.clone(),
            ..*self
        };
        let attempt = guard(|| {
            let engine = EngineBuilder::new(quiet.configure(NonZero::new(1))?)
                .set_target(Some(self.target.clone()))
                .engine();
            Ok(engine.compile(EMPTY)?)
        });
        attempt.map(drop).map_err(|error| {
            unsupported(format!(
                "EngineConfig.Target: the compiler {} makes no code for {}: {}",
                self.compiler,
                self.target_name(),
                error.message
            ))
        })
    }

    /// wasmer's settings. This is the one place where they are made, for each module anew.
    #[allow(unused_variables, unreachable_code)] // in builds without compilers
    pub fn configure(
        &self,
        threads: Option<NonZero<usize>>,
    ) -> Result<Box<dyn CompilerConfig>, Error> {
        let not_written = |error: std::io::Error| self.not_written(&error.to_string());
        // What code looks like for the loader is not chosen here: it is wasmer's own format, for which code is not position
        // independent; `experimental_artifact(true)` of a compiler's settings would make ELF.
        let config: Box<dyn CompilerConfig> = match self.compiler {
            #[cfg(feature = "cranelift")]
            wasmergo_compiler::Cranelift => {
                use wasmer::sys::CraneliftOptLevel;
                let mut config = wasmer::sys::Cranelift::new();
                threads.map(|threads| config.num_threads(threads));
                config.opt_level(match self.level {
                    OptLevel::None => CraneliftOptLevel::None,
                    OptLevel::SpeedAndSize => CraneliftOptLevel::SpeedAndSize,
                    _ => CraneliftOptLevel::Speed,
                });
                config.canonicalize_nans(self.canonicalize_nans);
                if self.verify {
                    config.enable_verifier();
                }
                if let Some(folder) = self.dump.clone() {
                    let callbacks = wasmer_compiler_cranelift::CraneliftCallbacks::new(folder);
                    config.callbacks(Some(callbacks.map_err(not_written)?));
                }
                Box::new(config)
            }
            #[cfg(feature = "singlepass")]
            wasmergo_compiler::Singlepass => {
                // It makes NaNs canonical in any case, wasmer's default; see also `nan.rs`.
                let mut config = wasmer::sys::Singlepass::new();
                threads.map(|threads| config.num_threads(threads));
                if let Some(folder) = self.dump.clone() {
                    let callbacks = wasmer_compiler_singlepass::SinglepassCallbacks::new(folder);
                    config.callbacks(Some(callbacks.map_err(not_written)?));
                }
                Box::new(config)
            }
            #[cfg(feature = "llvm")]
            wasmergo_compiler::Llvm => {
                use wasmer::sys::LLVMOptLevel;
                let mut config = wasmer::sys::LLVM::new();
                threads.map(|threads| config.num_threads(threads));
                config.opt_level(match self.level {
                    OptLevel::None => LLVMOptLevel::None,
                    OptLevel::Less => LLVMOptLevel::Less,
                    OptLevel::More => LLVMOptLevel::Default,
                    _ => LLVMOptLevel::Aggressive,
                });
                config.canonicalize_nans(self.canonicalize_nans);
                if self.verify {
                    config.enable_verifier();
                }
                if let Some(folder) = self.dump.clone() {
                    let callbacks = wasmer_compiler_llvm::LLVMCallbacks::new(folder);
                    config.callbacks(Some(callbacks.map_err(not_written)?));
                }
                Box::new(config)
            }
            #[allow(unreachable_patterns)]
            other => return Err(unsupported(format!("{other} is not part of this build"))),
        };
        Ok(config)
    }

    /// What is done to modules for options, after all else.
    pub fn middlewares(&self) -> Vec<Arc<dyn ModuleMiddleware>> {
        let mut out = Vec::new();
        if self.canonicalize_nans && self.compiler == wasmergo_compiler::Singlepass {
            out.push(CanonicalConversions::middleware());
        }
        if self.dumps() {
            out.push(FileNames::middleware());
        }
        out
    }
}

impl Options {
    /// Whether this machine can run the code.
    pub fn runs_here(&self) -> Result<(), Error> {
        let lacks = *self.target.cpu_features() - CpuFeature::for_host();
        if self.target.is_native() && lacks.is_empty() {
            return Ok(());
        }
        let here = Target::default();
        let lacks = match self.target.is_native() {
            true => format!(
                "this machine's CPU lacks {}",
                lacks
                    .iter()
                    .map(|f| f.to_string())
                    .collect::<Vec<_>>()
                    .join(",")
            ),
            false => format!("this machine is {}", here.triple()),
        };
        Err(unsupported(format!(
            "the code is for {} (EngineConfig.Target), and {lacks}: it can be serialized, but not run here",
            self.target_name()
        )))
    }

    fn target_name(&self) -> String {
        let cpu: Vec<_> = self
            .target
            .cpu_features()
            .iter()
            .map(|f| f.to_string())
            .collect();
        match cpu.is_empty() {
            true => self.target.triple().to_string(),
            false => format!("{} with {}", self.target.triple(), cpu.join(",")),
        }
    }

    pub fn dumps(&self) -> bool {
        self.dump.is_some()
    }

    /// Tells a panic of wasmer over a file that it could not write from others.
    pub fn explain(&self, error: Error) -> Error {
        let writing =
            error.message.contains("Os {") || error.message.contains("Error while dumping");
        let failed = error.kind == wasmergo_error_kind::Internal && writing;
        match self.dumps() && (failed || error.message.contains("cannot create debug directory")) {
            true => self.not_written(&error.message),
            false => error,
        }
    }

    fn not_written(&self, why: &str) -> Error {
        let folder = self.dump.as_deref().unwrap_or("".as_ref());
        Error::new(
            wasmergo_error_kind::Resource,
            format!(
                "EngineConfig.DumpIR: cannot write into {}: {why}",
                folder.display()
            ),
        )
    }
}

pub(crate) fn unsupported(message: String) -> Error {
    Error::new(wasmergo_error_kind::Unsupported, message)
}
