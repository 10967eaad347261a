//! A ring of log entries that guests write and a reader of the host takes. Nobody waits for the reader: what has no room is lost,
//! and counted.

use crate::bytes::wasmergo_bytes;
use crate::foreign::Given;
use crate::guard::infallible;
use std::collections::VecDeque;
use std::ffi::c_int;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The ring. Any thread may use it at any time.
#[allow(non_camel_case_types)]
pub struct wasmergo_logring {
    /// The most bytes of entries, with their heads.
    limit: usize,
    /// Where a byte is written to wake the reader: a pipe.
    wake: c_int,
    ring: Mutex<Ring>,
}

#[derive(Default)]
struct Ring {
    /// Entries: level and length, 4 bytes each, then the text.
    bytes: VecDeque<u8>,
    lost: u64,
    /// The reader is to be woken.
    waiting: bool,
    closed: bool,
}

const HEAD: usize = 8;

impl wasmergo_logring {
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, ring: &mut Ring) {
        if ring.waiting {
            ring.waiting = false;
            // The pipe has room: the reader takes out what is in it before it waits again.
            _ = unsafe { libc::write(self.wake, (&raw const *ring).cast(), 1) };
        }
    }
}

/// The native function: level, text. Returns at once.
pub(crate) extern "C" fn write(given: &mut Given, level: u32, at: u32, len: u32) {
    let Some(text) = given.bytes(at, len) else {
        return;
    };
    let log: &wasmergo_logring = unsafe { &*given.data.cast() };
    let mut ring = log.ring();
    if ring.closed || ring.bytes.len() + HEAD + text.len() > log.limit {
        ring.lost += 1;
        return;
    }
    ring.bytes.extend(level.to_le_bytes());
    ring.bytes.extend(len.to_le_bytes());
    ring.bytes.extend(text);
    log.wake(&mut ring);
}

/// Makes a ring, owned by the caller, who keeps the pipe open until the ring is closed.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_logring_new(limit: usize, wake: c_int) -> Box<wasmergo_logring> {
    Box::new(wasmergo_logring {
        limit,
        wake,
        ring: Mutex::default(),
    })
}

/// Frees a ring that no guest can reach any more.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_logring_delete(ring: Option<Box<wasmergo_logring>>) {
    infallible(|| drop(ring));
}

/// Takes all entries, owned by the caller. If there is none, the next one wakes the reader. `lost` gets how many were lost since
/// it was asked last.
///
/// # Safety
/// `lost` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_logring_take(
    log: &wasmergo_logring,
    lost: *mut u64,
) -> wasmergo_bytes {
    infallible(|| {
        let mut ring = log.ring();
        unsafe { lost.write(std::mem::take(&mut ring.lost)) };
        if ring.bytes.is_empty() {
            ring.waiting = true;
            return wasmergo_bytes::NONE;
        }
        let bytes: Vec<u8> = ring.bytes.iter().copied().collect();
        ring.bytes.clear();
        bytes.into()
    })
}

/// From now on all entries are lost; wakes the reader for the last time.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_logring_close(log: &wasmergo_logring) {
    infallible(|| {
        let mut ring = log.ring();
        ring.closed = true;
        ring.waiting = false;
    });
}
