//! A guest's call stack: which functions of which modules, and where in them. What sources they were made from is looked
//! up when somebody asks.

use crate::bytes::{Encoder, wasmergo_bytes};
use crate::code::{self, CodeId};
use crate::dwarf::Dwarf;
use crate::guard::infallible;
use crate::module::Compiled;
use crate::symbols::demangle;
use crate::types;
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, PoisonError};
use wasmer_compiler::FRAME_INFO;
use wasmer_types::{FrameInfo, FunctionType, TrapCode};
use wasmer_vm::Trap;

/// Frames, innermost first, and the functions that they are of.
#[derive(Default)]
pub(crate) struct Trace {
    functions: Vec<Function>,
    frames: Vec<Frame>,
}

struct Function {
    module: String,
    index: u32,
    /// As in the name section.
    name: String,
    ty: FunctionType,
    dwarf: Option<Arc<Dwarf>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Frame {
    /// An index into the functions.
    function: usize,
    function_offset: u32,
    module_offset: u32,
}

/// The guest's frames and the code of a trap. `None` as code: it is no trap of a known kind.
pub(crate) fn of_trap(trap: &Trap) -> (Trace, Option<TrapCode>) {
    let (backtrace, at, code) = match trap {
        Trap::User(_) => return (Trace::default(), None),
        Trap::OOM { backtrace } => (backtrace, None, None),
        Trap::Lib {
            trap_code,
            backtrace,
        } => (backtrace, None, Some(*trap_code)),
        Trap::UncaughtException { backtrace, .. } => {
            (backtrace, None, Some(TrapCode::UncaughtException))
        }
        Trap::Wasm {
            pc,
            signal_trap,
            backtrace,
        } => {
            let code = trap_code(*pc)
                .or(*signal_trap)
                .unwrap_or(TrapCode::StackOverflow);
            (backtrace, Some(*pc), Some(code))
        }
    };
    let mut builder = Builder::default();
    for frame in backtrace.frames() {
        let pc = frame.ip() as usize;
        // A return address is that of the instruction after the call.
        let at = if Some(pc) == at {
            pc
        } else {
            pc.saturating_sub(1)
        };
        if let Some(frame) = builder.frame(at, None) {
            builder.add(frame);
        }
    }
    (builder.trace, code)
}

/// Makes a trace from addresses.
#[derive(Default)]
pub(crate) struct Builder {
    trace: Trace,
    /// The modules that were met last.
    modules: HashMap<CodeId, Arc<Compiled>>,
    functions: HashMap<(CodeId, u32), usize>,
}

impl Builder {
    /// The frame of the function that the address lies in, if it is a guest's. A module that is being freed is found as
    /// `dying` only.
    pub fn frame(&mut self, pc: usize, dying: Option<&Compiled>) -> Option<Frame> {
        let module = self.module(pc, dying)?;
        let info = frame_info(pc)?;
        let next = self.trace.functions.len();
        let key = (module.code.id, info.func_index());
        let function = *self.functions.entry(key).or_insert(next);
        if function == next {
            self.trace.functions.push(Function::new(&module, &info));
        }
        let (mut module_offset, mut function_offset) =
            (info.module_offset() as u32, info.func_offset() as u32);
        if let Some(locations) = &module.locations {
            let (function, offset) = module.place(pc)?;
            let found = locations.find(function, offset)?;
            module_offset = found.instruction;
            function_offset = found.instruction.wrapping_sub(found.function);
        }
        if module_offset == u32::MAX {
            // Code that stands for no instruction: where the function begins is known.
            (module_offset, function_offset) = (module_offset.wrapping_sub(function_offset), 0);
        }
        Some(Frame {
            function,
            function_offset,
            module_offset,
        })
    }

    /// Adds a frame, and returns its index.
    pub fn add(&mut self, frame: Frame) -> usize {
        self.trace.frames.push(frame);
        self.trace.frames.len() - 1
    }

    /// The module that the address lies in.
    pub fn module<'a>(&mut self, pc: usize, dying: Option<&'a Compiled>) -> Option<Met<'a>> {
        let id = code::find(pc)?;
        if let Some(dying) = dying.filter(|dying| dying.code.id == id) {
            return Some(Met::Dying(dying));
        }
        let module = match self.modules.get(&id) {
            Some(module) => module.clone(),
            None => code::module(id)?,
        };
        self.modules.insert(id, module.clone());
        Some(Met::Live(module))
    }

    /// The modules that this has kept; they may be freed with what is returned.
    pub fn let_go(&mut self) -> HashMap<CodeId, Arc<Compiled>> {
        std::mem::take(&mut self.modules)
    }

    pub fn finish(self) -> Trace {
        self.trace
    }
}

/// A module by which an address was found.
pub(crate) enum Met<'a> {
    Live(Arc<Compiled>),
    Dying(&'a Compiled),
}

impl Deref for Met<'_> {
    type Target = Compiled;

    fn deref(&self) -> &Compiled {
        match self {
            Self::Live(module) => module,
            Self::Dying(module) => module,
        }
    }
}

/// Why the code at the address traps.
fn trap_code(pc: usize) -> Option<TrapCode> {
    let known = FRAME_INFO
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .lookup_trap_info(pc);
    if let Some(known) = known {
        return Some(known.trap_code);
    }
    let module = code::module(code::find(pc)?)?;
    let (function, offset) = module.place(pc)?;
    module.locations.as_ref()?.trap(function, offset)
}

/// What wasmer knows of an address in compiled code.
fn frame_info(pc: usize) -> Option<FrameInfo> {
    let frames = FRAME_INFO.read().unwrap_or_else(PoisonError::into_inner);
    frames.lookup_frame_info(pc)
}

impl Function {
    fn new(module: &Compiled, info: &FrameInfo) -> Self {
        let ty = module.notes.function_type(module.info(), info.func_index());
        Self {
            module: module.info().name.clone().unwrap_or_default(),
            index: info.func_index(),
            name: info.function_name().unwrap_or_default().to_string(),
            ty: ty.clone(),
            dwarf: (!module.dwarf.is_empty()).then(|| module.dwarf.clone()),
        }
    }
}

impl Trace {
    /// The function of an invalid module, and where in it.
    pub fn invalid(index: u32, name: String, offset: u32) -> Self {
        Self {
            functions: vec![Function {
                module: String::new(),
                index,
                name,
                ty: FunctionType::new([], []),
                dwarf: None,
            }],
            frames: vec![Frame {
                function: 0,
                function_offset: 0,
                module_offset: offset,
            }],
        }
    }

    fn has_sources(&self) -> bool {
        self.functions
            .iter()
            .any(|function| function.dwarf.is_some())
    }

    /// Counts before lists: `{ module, index u32, raw name, name, type }*, { function u32, function offset u32, module
    /// offset u32 }*`, and if there are sources to be asked for, the address of the trace, else 0: the reader owns it.
    pub fn encode(self: &Arc<Self>, out: &mut Encoder) {
        out.u32(self.functions.len() as u32);
        for function in &self.functions {
            out.str(&function.module);
            out.u32(function.index);
            out.str(&function.name);
            out.str(&demangle(&function.name));
            types::encode_function(out, &function.ty);
        }
        out.u32(self.frames.len() as u32);
        for frame in &self.frames {
            out.u32(frame.function as u32);
            out.u32(frame.function_offset);
            out.u32(frame.module_offset);
        }
        out.u64(match self.has_sources() {
            true => Arc::into_raw(self.clone()).cast::<wasmergo_trace>() as u64,
            false => 0,
        });
    }
}

impl std::fmt::Debug for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self
            .frames
            .iter()
            .map(|frame| &self.functions[frame.function].name);
        f.debug_list().entries(names).finish()
    }
}

/// A trace that sources can be asked of; immutable, any thread may use it.
#[allow(non_camel_case_types)]
#[repr(transparent)]
pub struct wasmergo_trace(Trace);

/// The sources of so many frames from the first on: for each a count, then `{ file, line u32, column u32, function, inlined
/// u8 }*`, innermost first.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_trace_sources(
    trace: &wasmergo_trace,
    first: usize,
    count: usize,
) -> wasmergo_bytes {
    infallible(|| {
        let mut out = Encoder::default();
        for frame in trace.0.frames.iter().skip(first).take(count) {
            let dwarf = trace.0.functions[frame.function].dwarf.as_ref();
            // A panic over one frame's debug information leaves that frame without.
            let sources = infallible(|| dwarf.map(|dwarf| dwarf.sources(frame.module_offset)));
            let sources = sources.unwrap_or_default();
            out.u32(sources.len() as u32);
            sources.iter().for_each(|source| source.encode(&mut out));
        }
        out.finish()
    })
}

/// Frees the trace.
///
/// # Safety
/// It came with an error and is not used again; null is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_trace_delete(trace: *const wasmergo_trace) {
    infallible(|| {
        if !trace.is_null() {
            drop(unsafe { Arc::from_raw(trace.cast::<Trace>()) });
        }
    });
}
