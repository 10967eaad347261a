//! Stopping a guest from another thread, at no cost to its code: the thread gets a signal of ours. If that finds it in a
//! guest's code, on the guest's stack, the handler does what it would do had the stack ended there: it hands the signal's
//! context to wasmer's handler as a stack overflow, the one trap that takes no backtrace, so no lock and no memory. The
//! frames of the guest are dropped, which have nothing to clean up. Everywhere else (a function of the engine that the guest
//! has called, a host function, the way in or out) the handler does nothing: whoever returns to the guest looks first.
//!
//! A request names a call by a number that is never used again: it cannot hit another call, however late it comes.

use crate::function::Call;
use crate::guard::infallible;
use crate::store::wasmergo_store;
use crate::{arch, code, signal};
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use wasmer_vm::raise_user_trap;

/// What a store has for being interrupted. Any thread may request; only the thread of its calls writes the rest.
pub(crate) struct Interruption {
    /// The call that is to end; 0 for none.
    request: AtomicU64,
    /// The last one that was found.
    found: AtomicU64,
    /// Where the store keeps the number of the outermost call that runs, 0 if none does.
    running: *const AtomicU64,
    /// The thread of that call.
    thread: AtomicUsize,
}

impl Interruption {
    /// # Safety
    /// The number is valid as long as this is.
    pub unsafe fn new(running: *const AtomicU64) -> Self {
        Self {
            request: AtomicU64::new(0),
            found: AtomicU64::new(0),
            running,
            thread: AtomicUsize::new(0),
        }
    }

    #[inline(always)]
    fn running(&self) -> &AtomicU64 {
        unsafe { &*self.running }
    }

    /// The outermost call begins on this thread.
    #[inline(always)]
    pub fn begin(&self, number: u64) {
        self.thread.store(signal::thread(), Ordering::Relaxed);
        self.running().store(number, Ordering::Release);
    }

    /// It has ended.
    #[inline(always)]
    pub fn end(&self) {
        self.running().store(0, Ordering::Release);
        if self.request.load(Ordering::Relaxed) != 0 {
            self.request.store(0, Ordering::Relaxed);
        }
    }

    /// Has the call end, without the signal.
    #[cfg(test)]
    pub fn request_for_test(&self, number: u64) {
        self.request.store(number, Ordering::Relaxed);
    }

    /// Has the call end, and reports what a call of the store does after a moment.
    fn request(&self, number: u64, in_host: impl Fn() -> bool) -> u32 {
        self.request.store(number, Ordering::SeqCst);
        let running = self.running();
        let outermost = running.load(Ordering::SeqCst);
        if outermost == 0 {
            return WASMERGO_INTERRUPT_NO_CALL;
        }
        // The first signal finds most guests. What is left is code between two looks, or a thread that has to wait its turn.
        for attempt in 0..6 {
            if !signal::send(self.thread.load(Ordering::Relaxed)) || in_host() {
                break;
            }
            std::thread::sleep(Duration::from_micros(50 << attempt));
            if self.found.load(Ordering::Relaxed) == number
                || running.load(Ordering::Relaxed) != outermost
            {
                break;
            }
        }
        match running.load(Ordering::SeqCst) {
            0 => WASMERGO_INTERRUPT_NO_CALL,
            _ if in_host() => WASMERGO_INTERRUPT_IN_HOST,
            _ => WASMERGO_INTERRUPT_IN_GUEST,
        }
    }
}

/// No call of the store runs.
pub const WASMERGO_INTERRUPT_NO_CALL: u32 = 0;
/// A guest runs.
pub const WASMERGO_INTERRUPT_IN_GUEST: u32 = 1;
/// A host function runs, or waits for a guest that it has called. No guest will go on, nor begin.
pub const WASMERGO_INTERRUPT_IN_HOST: u32 = 2;

impl Call {
    /// Whether this call is to end: it, or one around it, has been named. Safe in a signal handler.
    #[inline(always)]
    pub fn is_requested(&self) -> bool {
        let request = self.store().interruption.request.load(Ordering::Relaxed);
        request != 0 && self.is_within(request)
    }

    #[cold]
    fn is_within(&self, number: u64) -> bool {
        let mut call = Some(self);
        while let Some(inner) = call {
            if inner.number == number {
                return true;
            }
            call = unsafe { inner.outer.as_ref() };
        }
        false
    }

    fn note_found(&self) {
        self.interrupted.set(true);
        let interruption = &self.store().interruption;
        let request = interruption.request.load(Ordering::Relaxed);
        interruption.found.store(request, Ordering::Relaxed);
    }

    /// Ends the guest if its call is to end. Called on the guest's stack where nothing has a destructor to run.
    #[inline(always)]
    pub fn check_interruption(&self) {
        if self.is_requested() {
            self.end();
        }
    }

    #[cold]
    fn end(&self) -> ! {
        self.note_found();
        unsafe { raise_user_trap(Box::new(Interrupted)) }
    }
}

/// As `Call::check_interruption`, for long work of the engine.
pub(crate) fn check() {
    if let Some(call) = Call::current() {
        call.check_interruption();
    }
}

/// Whether the running call is to end, where it cannot be ended at once.
pub(crate) fn is_requested() -> bool {
    Call::current().is_some_and(Call::is_requested)
}

/// Whether the running call is to end, of a function that is going to end its guest then.
pub(crate) fn ends() -> bool {
    let call = Call::current().filter(|call| call.is_requested());
    call.inspect(|call| call.note_found()).is_some()
}

/// Unwinds a guest; the status of its call tells the Go side.
#[derive(Debug)]
struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// Stops the guest that the signal has met, if it is to stop, and reports whether it did. Runs in the signal's handler: it
/// neither allocates nor locks.
pub(crate) unsafe fn on_signal(context: *mut libc::c_void) -> bool {
    let Some(call) = Call::current() else {
        return false;
    };
    let stack = arch::stack_pointer(context);
    if !call.is_requested()
        || !call.stack_range().contains(&stack)
        || !code::contains(arch::program_counter(context))
    {
        return false;
    }
    call.note_found();
    unsafe { signal::fault(stack, context) };
    true
}

/// Stops the guest of a call of the store, named by the number that the Go side gave it, and what it has called in the same
/// store. Reports what a call of the store does after a moment, one of `WASMERGO_INTERRUPT_*`: as long as there is one it is to
/// be asked again, since another request may have come in between. Any thread may ask at any time, as long as the store is not
/// freed meanwhile.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_store_interrupt(store: &wasmergo_store, number: u64) -> u32 {
    let host = store.status.wrapping_add(1).cast::<AtomicU64>();
    let in_host = || unsafe { &*host }.load(Ordering::Relaxed) != 0;
    infallible(|| store.interruption.request(number, in_host))
}
