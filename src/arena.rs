//! The address space that memories lie in: reservations, recycled after use but for the parts whose bytes were shown to Go.

use crate::resource::{explain, map, unmap};
use std::collections::HashSet;
use std::io;
use std::ptr;
use std::sync::Mutex;
use wasmer_types::{MemoryError, MemoryStyle, WASM_PAGE_SIZE};

/// The 4 GiB that an index can address, and the guard behind them that an offset can reach.
const SPAN: usize = WASM_PAGE_SIZE * 65536 + MemoryStyle::static_offset_guard_size() as usize;

/// Room in front of the span for the shown memories that lived there before.
const SLACK: usize = 1 << 30;

/// Free reservations kept; each is address space, and `WARM` bytes at most.
const KEPT: usize = 64;

/// Memories up to this size are cleared after use, and stay as they are for the next of the same size: that takes less time than
/// to give pages back and get others.
const WARM: usize = 4 * WASM_PAGE_SIZE;

/// Address space from `base` to `end`.
#[derive(Debug)]
pub(crate) struct Reservation {
    pub base: usize,
    end: usize,
    /// While it is free: so many bytes from the base on are accessible, and zero. What follows is inaccessible.
    warm: usize,
}

#[derive(Default)]
struct Arena {
    free: Vec<Reservation>,
    /// Bases of the live memories whose bytes were shown.
    shown: Option<HashSet<usize>>,
}

static ARENA: Mutex<Arena> = Mutex::new(Arena {
    free: Vec::new(),
    shown: None,
});

fn arena() -> std::sync::MutexGuard<'static, Arena> {
    ARENA
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Reservation {
    /// Takes one of which the first `len` bytes, all zero, are accessible, and no others.
    pub fn take(len: usize) -> Result<Self, MemoryError> {
        let mut taken = match Self::recycled(len) {
            Some(free) => free,
            None => Self::new()?,
        };
        let warm = std::mem::take(&mut taken.warm);
        let done = match warm < len {
            true => taken.commit(warm, len - warm),
            false => taken.protect(len, warm - len),
        };
        match done {
            Ok(()) => Ok(taken),
            Err(error) => {
                taken.unmap();
                Err(refused("commit pages of a memory", &error))
            }
        }
    }

    /// One that was used before, of the same size if there is one.
    fn recycled(len: usize) -> Option<Self> {
        let free = &mut arena().free;
        let same = free.iter().rposition(|free| free.warm == len);
        let cold = || free.iter().rposition(|free| free.warm == 0);
        match same.or_else(cold) {
            Some(index) => Some(free.swap_remove(index)),
            None => free.pop(),
        }
    }

    fn new() -> Result<Self, MemoryError> {
        let base = map(SPAN + SLACK, libc::PROT_NONE)
            .map_err(|error| refused("reserve 9 GiB of address space for a memory", &error))?;
        Ok(Self {
            base,
            end: base + SPAN + SLACK,
            warm: 0,
        })
    }

    fn unmap(self) {
        unsafe { unmap(self.base, self.end - self.base) };
    }

    /// Makes `len` bytes at `from` accessible.
    pub fn commit(&self, from: usize, len: usize) -> io::Result<()> {
        self.set_access(from, len, libc::PROT_READ | libc::PROT_WRITE)
    }

    /// Makes `len` bytes at `from` inaccessible.
    fn protect(&self, from: usize, len: usize) -> io::Result<()> {
        self.set_access(from, len, libc::PROT_NONE)
    }

    fn set_access(&self, from: usize, len: usize, access: libc::c_int) -> io::Result<()> {
        match len == 0 || unsafe { libc::mprotect((self.base + from) as *mut _, len, access) } == 0
        {
            true => Ok(()),
            false => Err(io::Error::last_os_error()),
        }
    }

    /// Replaces the first `len` bytes by fresh pages: their contents are gone for everybody.
    fn replace(&self, len: usize, access: libc::c_int) -> bool {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE | libc::MAP_FIXED;
        len == 0
            || unsafe { libc::mmap(self.base as *mut _, len, access, flags, -1, 0) }
                != libc::MAP_FAILED
    }

    /// Gives the reservation back after a memory of `len` bytes lived in it.
    pub fn release(mut self, len: usize) {
        let shown = take_shown(self.base);
        let access = if shown {
            libc::PROT_READ | libc::PROT_WRITE
        } else {
            libc::PROT_NONE
        };
        if !shown && len <= WARM {
            unsafe { ptr::write_bytes(self.base as *mut u8, 0, len) };
            self.warm = len;
        } else if !self.replace(len, access) {
            return; // the range stays as it is: leaked, but never handed to another memory
        }
        if shown {
            self.base += len;
        }
        let mut arena = arena();
        if self.end - self.base >= SPAN && arena.free.len() < KEPT {
            arena.free.push(self);
        } else if self.end > self.base {
            self.unmap();
        }
    }
}

#[cold]
fn refused(what: &str, error: &io::Error) -> MemoryError {
    MemoryError::Region(format!(
        "cannot {what}: {} (each memory takes 9 GiB of address space and two mappings; bounded memories take what they use)",
        explain(error, SPAN + SLACK)
    ))
}

/// Notes that the bytes of the memory with this base were shown: its address range is never recycled.
pub(crate) fn show(base: usize) {
    arena().shown.get_or_insert_default().insert(base);
}

#[cfg(target_os = "linux")]
pub(crate) fn is_shown(base: usize) -> bool {
    let arena = arena();
    arena
        .shown
        .as_ref()
        .is_some_and(|shown| shown.contains(&base))
}

/// Whether the bytes of the memory with this base were shown, which has its end.
pub(crate) fn take_shown(base: usize) -> bool {
    let mut arena = arena();
    arena
        .shown
        .as_mut()
        .is_some_and(|shown| shown.remove(&base))
}
