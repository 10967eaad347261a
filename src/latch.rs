//! The latch of a memory that can move: hosts' accesses from outside of calls hold it, and a move waits for them to end. A
//! guest's own accesses need none, since it is its call that moves the memory.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// Added when a move begins, and again when it ends: so this bit is set while the memory moves, those above count the moves, and
/// those below the accesses. The Go side counts itself in and out, and stays out while this bit is set.
pub const WASMERGO_LATCH_MOVING: u64 = 0x1_0000_0000;

#[derive(Debug, Default)]
#[repr(transparent)]
pub(crate) struct Latch(AtomicU64);

impl Latch {
    pub fn address(&self) -> *const u64 {
        self.0.as_ptr()
    }

    /// Runs the body while nobody uses the memory.
    pub fn alone<T>(&self, body: impl FnOnce() -> T) -> T {
        struct Open<'a>(&'a Latch);
        impl Drop for Open<'_> {
            fn drop(&mut self) {
                self.0.0.fetch_add(WASMERGO_LATCH_MOVING, Ordering::SeqCst);
            }
        }

        self.0.fetch_add(WASMERGO_LATCH_MOVING, Ordering::SeqCst);
        let _open = Open(self);
        // Accesses are short, but who is at one may have been stopped by the system.
        for turn in 0.. {
            match self.0.load(Ordering::SeqCst) % WASMERGO_LATCH_MOVING {
                0 => break,
                _ if turn < 100 => std::hint::spin_loop(),
                _ if turn < 200 => thread::yield_now(),
                _ => thread::sleep(Duration::from_micros(50)),
            }
        }
        body()
    }
}
