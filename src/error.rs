//! Errors cross the border as owned, encoded bytes: nothing is kept in a thread-local, nothing is lost by a goroutine
//! that moves to another thread.

use crate::bytes::{Encoder, wasmergo_bytes};
use crate::feature::WASMERGO_FEATURE_NONE;
use crate::resource;
use crate::trace::{self, Trace};
use std::any::Any;
use std::sync::Arc;
use wasmer_types::{CompileError, DeserializeError, MemoryError, TrapCode};
use wasmer_vm::Trap;

/// What went wrong; the Go side maps each to a type or a sentinel.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types)]
pub enum wasmergo_error_kind {
    /// A bug behind the border: a panic that the guard caught.
    Internal = 1,
    /// The module is malformed or invalid; has an offset.
    Invalid = 2,
    /// The module is valid, the compiler refused it.
    Compile = 3,
    /// The module needs something that this build or compiler lacks.
    Unsupported = 4,
    /// Imports do not fit.
    Link = 5,
    /// The guest trapped; has a trap code and frames.
    Trap = 6,
    /// A host function failed; the Go side holds its error.
    Host = 7,
    /// Two function types share the hash by which call_indirect tells them apart.
    SignatureCollision = 8,
    /// An artifact was not made by this build, or is damaged.
    Incompatible = 9,
    /// The operating system refused memory.
    Resource = 10,
    /// Calls are nested too deep for the thread's stack.
    Depth = 11,
    /// The caller has asked for the end of what it waits for.
    Interrupted = 12,
    /// The state of an instance cannot be captured; the message has a reason a line.
    State = 13,
    /// Bytes are no snapshot of the module.
    Snapshot = 14,
    /// A native function has failed, with its message.
    Native = 15,
    /// A shared library is no plug-in, or a bad one.
    Plugin = 16,
}

/// `trap_code` of an error that is no trap of a known kind.
pub const WASMERGO_TRAP_NONE: u32 = u32::MAX;

/// `offset` of an error without one.
pub const WASMERGO_OFFSET_NONE: u64 = u64::MAX;

#[derive(Debug)]
pub(crate) struct Error {
    pub kind: wasmergo_error_kind,
    pub message: String,
    pub trap_code: u32,
    pub offset: u64,
    /// The feature that a module needs; see `feature.rs`.
    pub feature: u32,
    /// The instruction that is invalid, in the text format.
    pub instruction: String,
    /// Where it happened.
    pub trace: Arc<Trace>,
}

impl Error {
    pub fn new(kind: wasmergo_error_kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            trap_code: WASMERGO_TRAP_NONE,
            offset: WASMERGO_OFFSET_NONE,
            feature: WASMERGO_FEATURE_NONE,
            instruction: String::new(),
            trace: Arc::default(),
        }
    }

    /// An invalid module: where in the binary, and in which function.
    pub fn invalid(
        message: impl Into<String>,
        offset: usize,
        function: Option<(u32, String)>,
    ) -> Self {
        let trace = function.map(|(index, name)| Trace::invalid(index, name, offset as u32));
        Self {
            offset: offset as u64,
            trace: Arc::new(trace.unwrap_or_default()),
            ..Self::new(wasmergo_error_kind::Invalid, message)
        }
    }

    pub fn panic(payload: Box<dyn Any + Send>) -> Self {
        let message = payload
            .downcast_ref::<&str>()
            .map(|s| s.to_string())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "panic".into());
        Self::new(wasmergo_error_kind::Internal, message)
    }

    /// `kind u32, trap u32, offset u64, feature u32, instruction, message`, trace (see `Trace::encode`)
    pub fn encode(&self) -> wasmergo_bytes {
        let mut out = Encoder::default();
        out.u32(self.kind as u32);
        out.u32(self.trap_code);
        out.u64(self.offset);
        out.u32(self.feature);
        out.str(&self.instruction);
        out.str(&self.message);
        self.trace.encode(&mut out);
        out.finish()
    }
}

impl From<Trap> for Error {
    fn from(trap: Trap) -> Self {
        if let Trap::User(error) = &trap
            && error.is::<crate::host::HostFailure>()
        {
            return Self::new(wasmergo_error_kind::Host, "host function failed");
        }
        if let Trap::User(error) = &trap
            && let Some(failure) = error.downcast_ref::<crate::foreign::NativeFailure>()
        {
            return Self::new(wasmergo_error_kind::Native, &*failure.0);
        }
        let (trace, mut code) = trace::of_trap(&trap);
        // wasmer looks at the instruction first, and Singlepass takes a spill for a part of the load around it.
        if let Trap::Wasm {
            signal_trap: Some(TrapCode::StackOverflow),
            ..
        } = &trap
        {
            code = Some(TrapCode::StackOverflow);
        }
        let message = match code {
            Some(code) => code.message().to_string(),
            None => trap.to_string(),
        };
        Self {
            trap_code: code.map_or(WASMERGO_TRAP_NONE, |code: TrapCode| code as u32),
            trace: Arc::new(trace),
            ..Self::new(wasmergo_error_kind::Trap, message)
        }
    }
}

/// Modules are validated before: what a compiler refuses then is something that it cannot do.
impl From<CompileError> for Error {
    fn from(error: CompileError) -> Self {
        use wasmergo_error_kind::{Compile, Interrupted, Resource, Unsupported};
        let kind = match &error {
            CompileError::Resource(_) => Resource,
            CompileError::Codegen(message) if message.contains("thread pool") => Resource,
            CompileError::Aborted(_) => Interrupted,
            CompileError::MiddlewareError(_) => Compile,
            _ => Unsupported,
        };
        let mut message = error.to_string();
        if kind == Resource {
            message.push_str(&resource::limits(0));
        }
        Self::new(kind, message)
    }
}

impl From<DeserializeError> for Error {
    fn from(error: DeserializeError) -> Self {
        match error {
            DeserializeError::Compiler(error) => error.into(),
            error => Self::new(wasmergo_error_kind::Incompatible, error.to_string()),
        }
    }
}

impl From<MemoryError> for Error {
    fn from(error: MemoryError) -> Self {
        Self::new(wasmergo_error_kind::Resource, error.to_string())
    }
}

impl From<wasmer_compiler::InstantiationError> for Error {
    fn from(error: wasmer_compiler::InstantiationError) -> Self {
        use wasmer_compiler::{InstantiationError, LinkError};
        match error {
            InstantiationError::Start(trap) | InstantiationError::Link(LinkError::Trap(trap)) => {
                trap.into()
            }
            InstantiationError::Link(LinkError::Resource(message)) => {
                Self::new(wasmergo_error_kind::Resource, message)
            }
            InstantiationError::Link(error) => {
                Self::new(wasmergo_error_kind::Link, error.to_string())
            }
            InstantiationError::CpuFeature(missing) => Self::new(
                wasmergo_error_kind::Incompatible,
                format!(
                    "the module was compiled for CPU features that this machine lacks: {missing}"
                ),
            ),
        }
    }
}
