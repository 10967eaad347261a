//! The address space that memories lie in: reservations, recycled after use but for the parts whose bytes were shown to Go.

use crate::image::{self, Image, Mapped};
use crate::resource::{explain, map, replace, unmap};
use std::collections::HashSet;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use wasmer_types::{MemoryError, MemoryStyle, WASM_PAGE_SIZE};

/// The 4 GiB that an index can address, and the guard behind them that an offset can reach.
pub(crate) const SPAN: usize =
    WASM_PAGE_SIZE * 65536 + MemoryStyle::static_offset_guard_size() as usize;

/// Room in front of the span for the shown memories that lived there before.
const SLACK: usize = 1 << 30;

/// Free reservations kept. They are address space, and of some the pages are still accessible, so many bytes in all.
const KEPT: usize = 64;
const WARM: usize = 256 << 20;

/// Address space from `base` to `end`.
#[derive(Debug)]
pub(crate) struct Reservation {
    pub base: usize,
    end: usize,
    /// While it is free: so many bytes from the base on are accessible, and zero but for the image. What follows is
    /// inaccessible.
    warm: usize,
    mapped: Option<Mapped>,
}

#[derive(Default)]
struct Arena {
    free: Vec<Reservation>,
    /// The accessible bytes of these.
    warm: usize,
    /// Bases of the live memories whose bytes were shown.
    shown: Option<HashSet<usize>>,
}

static ARENA: Mutex<Arena> = Mutex::new(Arena {
    free: Vec::new(),
    warm: 0,
    shown: None,
});

fn arena() -> std::sync::MutexGuard<'static, Arena> {
    ARENA
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Arena {
    /// One that was used before, that with the least to be done.
    fn take(&mut self, len: usize, image: Option<&Image>) -> Option<Reservation> {
        let work = |free: &Reservation| match &free.mapped {
            Some(mapped) if !mapped.is_of(image) => 3,
            None if image.is_some() => 2,
            _ if free.warm != len => 1,
            _ => 0,
        };
        let free = &self.free;
        let least = || (0..free.len()).min_by_key(|at| work(&free[*at]));
        let none = free.iter().rposition(|free| work(free) == 0);
        let best = none.or_else(least)?;
        let taken = self.free.swap_remove(best);
        self.warm -= taken.warm;
        Some(taken)
    }

    /// Keeps one, if there is room.
    fn give(&mut self, free: Reservation) -> Result<(), Reservation> {
        if self.free.len() >= KEPT || self.warm + free.warm > WARM {
            return Err(free);
        }
        self.warm += free.warm;
        self.free.push(free);
        Ok(())
    }
}

impl Reservation {
    /// Takes one of which the first `len` bytes are accessible, and no others. They show the image, which has no more, else zeros.
    pub fn take(len: usize, image: Option<&Image>) -> Result<Self, MemoryError> {
        let recycled = arena().take(len, image);
        let mut taken = match recycled {
            Some(free) => free,
            None => Self::new()?,
        };
        match taken.prepare(len, image) {
            Ok(()) => Ok(taken),
            Err(error) => {
                taken.unmap();
                Err(refused("commit pages of a memory", &error))
            }
        }
    }

    fn prepare(&mut self, len: usize, image: Option<&Image>) -> io::Result<()> {
        let warm = std::mem::take(&mut self.warm);
        image::hide(self.base, &mut self.mapped, image)?;
        match warm < len {
            true => self.commit(warm, len - warm)?,
            false => self.protect(len, warm - len)?,
        }
        if let (Some(image), None) = (image, &self.mapped) {
            self.mapped = unsafe { image.put(self.base)? };
        }
        Ok(())
    }

    fn new() -> Result<Self, MemoryError> {
        let base = map(SPAN + SLACK, libc::PROT_NONE)
            .map_err(|error| refused("reserve 9 GiB of address space for a memory", &error))?;
        Ok(Self {
            base,
            end: base + SPAN + SLACK,
            warm: 0,
            mapped: None,
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
    pub fn protect(&self, from: usize, len: usize) -> io::Result<()> {
        self.set_access(from, len, libc::PROT_NONE)
    }

    fn set_access(&self, from: usize, len: usize, access: libc::c_int) -> io::Result<()> {
        match len == 0 || unsafe { libc::mprotect((self.base + from) as *mut _, len, access) } == 0
        {
            true => Ok(()),
            false => Err(io::Error::last_os_error()),
        }
    }

    /// Makes it, of which `used` bytes are in use, show the image, else zeros.
    pub fn show(&mut self, used: usize, image: Option<&Image>) -> io::Result<()> {
        unsafe { image::show(self.base, used, &mut self.mapped, image) }
    }

    /// Gives the reservation back after a memory of `len` bytes lived in it.
    pub fn release(mut self, len: usize) {
        if take_shown(self.base) {
            // The bytes turn to zeros, and stay.
            if replace(self.base, len, libc::PROT_READ | libc::PROT_WRITE).is_err() {
                return; // leaked, but never handed to another memory
            }
            self.mapped = None;
            self.base += len;
            if self.end - self.base < SPAN {
                return self.unmap();
            }
        } else if len <= WARM && unsafe { image::clear(self.base, len, &mut self.mapped) }.is_ok() {
            self.warm = len;
        } else if replace(self.base, len, libc::PROT_NONE).is_ok() {
            self.mapped = None;
        } else {
            return;
        }
        let given = arena().give(self);
        if let Err(superfluous) = given {
            superfluous.unmap();
        }
    }
}

/// Gives up what free reservations show of an image.
pub(crate) fn forget(image: &Image) {
    for free in &mut arena().free {
        if free
            .mapped
            .as_ref()
            .is_some_and(|mapped| mapped.is_of(Some(image)))
        {
            // If that fails it stays until the place is taken: no other image has this one's number.
            let _ = image::hide(free.base, &mut free.mapped, None);
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

/// How many live memories were shown: as a rule none, and then nobody has to look.
static SHOWN: AtomicUsize = AtomicUsize::new(0);

/// Notes that the bytes of the memory with this base were shown: its address range is never recycled.
pub(crate) fn show(base: usize) {
    let mut arena = arena();
    let shown = arena.shown.get_or_insert_default();
    shown.insert(base);
    SHOWN.store(shown.len(), Ordering::Release);
}

/// Whether they were.
pub(crate) fn is_shown(base: usize) -> bool {
    SHOWN.load(Ordering::Acquire) > 0
        && arena()
            .shown
            .as_ref()
            .is_some_and(|shown| shown.contains(&base))
}

/// Whether the bytes of the memory with this base were shown, which has its end.
pub(crate) fn take_shown(base: usize) -> bool {
    if SHOWN.load(Ordering::Acquire) == 0 {
        return false;
    }
    let mut arena = arena();
    let shown = arena.shown.get_or_insert_default();
    let found = shown.remove(&base);
    SHOWN.store(shown.len(), Ordering::Release);
    found
}
