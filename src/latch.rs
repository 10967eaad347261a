//! The latch of a memory that can move: hosts' accesses from outside of calls hold it, and a move waits for them to end. A
//! guest's own accesses need none, since it is its call that moves the memory. A view is an access that may take long, and call
//! the guest: a move does not wait for views, it does not take place.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// Added when a move begins, and again when it ends: so this bit is set while the memory moves, those above count the moves, and
/// those below the accesses. The Go side counts itself in and out, and stays out while this bit is set.
pub const WASMERGO_LATCH_MOVING: u64 = 0x1_0000_0000;

#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Latch {
    state: AtomicU64,
    /// Counts the views. The Go side adds one only during an access, and so never while the memory moves.
    views: AtomicU64,
}

impl Latch {
    /// Where the two words are.
    pub fn address(&self) -> *const u64 {
        self.state.as_ptr()
    }

    /// Runs the body while nobody uses the memory; not at all, if there is a view of it.
    pub fn alone<T>(&self, body: impl FnOnce() -> T) -> Option<T> {
        struct Open<'a>(&'a AtomicU64);
        impl Drop for Open<'_> {
            fn drop(&mut self) {
                self.0.fetch_add(WASMERGO_LATCH_MOVING, Ordering::SeqCst);
            }
        }

        self.state
            .fetch_add(WASMERGO_LATCH_MOVING, Ordering::SeqCst);
        let _open = Open(&self.state);
        // Accesses are short, but who is at one may have been stopped by the system.
        for turn in 0.. {
            match self.state.load(Ordering::SeqCst) % WASMERGO_LATCH_MOVING {
                0 => break,
                _ if turn < 100 => std::hint::spin_loop(),
                _ if turn < 200 => thread::yield_now(),
                _ => thread::sleep(Duration::from_micros(50)),
            }
        }
        (self.views.load(Ordering::SeqCst) == 0).then(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_does_not_move_below_a_view() {
        let latch = Latch::default();
        latch.views.fetch_add(1, Ordering::SeqCst);
        assert_eq!(latch.alone(|| 42), None);
        assert_eq!(
            latch.state.load(Ordering::SeqCst) & WASMERGO_LATCH_MOVING,
            0,
            "it is open again"
        );
        latch.views.fetch_sub(1, Ordering::SeqCst);
        assert_eq!(latch.alone(|| 42), Some(42));
    }
}
