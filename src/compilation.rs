//! A compilation under way: what the Go side is told of it, and what ends it early. Compilers look here after each function.

use crate::account::{Account, Opened};
use crate::error::{Error, wasmergo_error_kind};
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use wasmer_types::{CompilationProgressCallback, UserAbort};

/// Numbers that the Go side and this one share while a module is compiled: see `wasmergo_module_compile`.
#[repr(C)]
pub(crate) struct Numbers {
    stop: AtomicU64,
    done: AtomicU64,
    total: AtomicU64,
    peak: AtomicU64,
}

/// Where the Go side keeps them; null if it does not want to know.
#[derive(Clone, Copy)]
pub(crate) struct Shared(*const Numbers);

// They are atomic.
unsafe impl Send for Shared {}
unsafe impl Sync for Shared {}

impl Shared {
    pub fn none() -> Self {
        Self(std::ptr::null())
    }

    /// # Safety
    /// The numbers, if there are some, live as long as the compilation.
    pub unsafe fn new(numbers: *const u64) -> Self {
        Self(numbers.cast())
    }

    fn get(&self) -> Option<&Numbers> {
        unsafe { self.0.as_ref() }
    }

    fn is_stopped(&self) -> bool {
        let numbers = self.get();
        numbers.is_some_and(|numbers| numbers.stop.load(Ordering::Relaxed) != 0)
    }
}

/// What is known to all threads that work for a compilation.
pub(crate) struct Compilation {
    shared: Shared,
    account: Arc<Account>,
    limit: u64,
}

impl Compilation {
    /// A limit of 0 is none.
    pub fn new(shared: Shared, opened: &Opened, limit: u64) -> Arc<Self> {
        Arc::new(Self {
            shared,
            account: opened.account.clone(),
            limit,
        })
    }

    /// Unwinds a compiler's thread. For an error each of them would go on with one function of every bucket that is left, which
    /// with LLVM takes many seconds.
    fn check(&self) -> Result<(), UserAbort> {
        match self.shared.is_stopped() || self.account.is_exceeded() {
            true => resume_unwind(Box::new("ended early")),
            false => Ok(()),
        }
    }

    /// What a compiler calls after each function, and Singlepass after so many bytes of code, too.
    pub fn callback(self: &Arc<Self>) -> CompilationProgressCallback {
        const CHUNK: NonZeroUsize = NonZeroUsize::new(64 << 10).unwrap();
        let (this, other) = (self.clone(), self.clone());
        CompilationProgressCallback::new(move |progress| {
            this.account.look_again();
            if let Some(numbers) = this.shared.get() {
                let (done, total) = (progress.phase_step(), progress.phase_step_count());
                numbers.total.store(total.unwrap_or(0), Ordering::Relaxed);
                numbers.done.fetch_max(done.unwrap_or(0), Ordering::Relaxed);
            }
            this.check()
        })
        .with_reserve_size_callback(move |_| other.check(), CHUNK)
    }

    /// The error of a compilation that was ended, rather than that which the compiler made of it.
    pub fn explain(&self, error: Error) -> Error {
        if self.shared.is_stopped() {
            return Error::new(wasmergo_error_kind::Interrupted, "interrupted");
        }
        match self.account.is_exceeded() {
            true => self.exceeded(),
            false => error,
        }
    }

    fn exceeded(&self) -> Error {
        Error::new(
            wasmergo_error_kind::Resource,
            format!(
                "it takes more memory than EngineConfig.MaxCompileMemory, {} bytes",
                self.limit
            ),
        )
    }

    /// It is done, and has so many bytes of code besides what the C library knows.
    pub fn end(&self, code: u64) -> Result<(), Error> {
        self.account.look(code);
        if let Some(numbers) = self.shared.get() {
            numbers.peak.store(self.account.peak(), Ordering::Relaxed);
        }
        match self.account.is_exceeded() {
            true => Err(self.exceeded()),
            false => Ok(()),
        }
    }
}
