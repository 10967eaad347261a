//! What there is in the process at the moment, of the kinds that the Go side cannot count.

use crate::count::Count;
use crate::guard::infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

static EXTERNS: Count = Count::new();
static CODE: Code = Code::new();

/// A live extern.
pub(crate) struct Extern(());

impl Extern {
    pub fn new() -> Self {
        EXTERNS.add(1);
        Self(())
    }
}

impl Drop for Extern {
    fn drop(&mut self) {
        EXTERNS.sub(1);
    }
}

/// The compiled modules of an engine, those that only instances hold too.
#[derive(Debug, Default)]
pub(crate) struct Code {
    modules: AtomicU64,
    bytes: AtomicU64,
}

impl Code {
    const fn new() -> Self {
        Self {
            modules: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    fn read(&self) -> (u64, u64) {
        (
            self.modules.load(Ordering::Relaxed),
            self.bytes.load(Ordering::Relaxed),
        )
    }
}

/// The code of a compiled module.
pub(crate) struct ModuleCode {
    engine: Arc<Code>,
    pub bytes: u64,
    pub functions: u64,
}

impl ModuleCode {
    pub fn new(engine: &Arc<Code>, lengths: impl ExactSizeIterator<Item = usize>) -> Self {
        let functions = lengths.len() as u64;
        let code = Self {
            engine: engine.clone(),
            bytes: lengths.sum::<usize>() as u64,
            functions,
        };
        for all in [&CODE, engine] {
            all.modules.fetch_add(1, Ordering::Relaxed);
            all.bytes.fetch_add(code.bytes, Ordering::Relaxed);
        }
        code
    }
}

impl Drop for ModuleCode {
    fn drop(&mut self) {
        for all in [&CODE, &self.engine] {
            all.modules.fetch_sub(1, Ordering::Relaxed);
            all.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

/// What there is in the process, besides memories.
#[repr(C)]
#[allow(non_camel_case_types)]
pub struct wasmergo_live {
    /// Functions, memories, tables, globals and tags that the host came by.
    pub externs: u64,
    pub code: wasmergo_code,
}

/// Compiled modules that something still holds, and the bytes of their functions' machine code.
#[repr(C)]
#[allow(non_camel_case_types)]
pub struct wasmergo_code {
    pub modules: u64,
    pub bytes: u64,
}

impl From<&Code> for wasmergo_code {
    fn from(code: &Code) -> Self {
        let (modules, bytes) = code.read();
        Self { modules, bytes }
    }
}

/// Tells what there is.
///
/// # Safety
/// `out` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_live_read(out: *mut wasmergo_live) {
    unsafe {
        out.write(wasmergo_live {
            externs: EXTERNS.get() as u64,
            code: (&CODE).into(),
        });
    }
}

/// The count of an engine's code; it outlives the engine.
#[allow(non_camel_case_types)]
pub struct wasmergo_code_count(Arc<Code>);

impl wasmergo_code_count {
    pub(crate) fn new(code: &Arc<Code>) -> Self {
        Self(code.clone())
    }
}

/// Tells how much code there is of the engine.
///
/// # Safety
/// `out` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_code_count_read(
    count: &wasmergo_code_count,
    out: *mut wasmergo_code,
) {
    unsafe { out.write((&*count.0).into()) };
}

/// Frees the count.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_code_count_delete(count: Option<Box<wasmergo_code_count>>) {
    infallible(|| drop(count));
}
