//! Where bounded memories lie: chunks of mappings that are accessible throughout, since the code itself checks bounds. So
//! neighbours share one mapping, and the system sees a few large ones, however many memories there are.

use crate::arena::take_shown;
use crate::image::{self, Image, Mapped};
use crate::resource::{discard, map, unmap};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ptr;
use std::sync::{Mutex, MutexGuard};
use wasmer_types::WASM_PAGE_SIZE;

/// Where memories without pages lie: addresses of the kernel's, where every access faults. Singlepass checks an access against
/// the memory's length less the size of the access, as an unsigned number, and lets all through if the length is zero.
pub(crate) const NOWHERE: usize = 0xffff_8000_0000_0000;

/// What is mapped at once.
const REGION: usize = 64 << 20;

/// Chunks from this size on have mappings of their own, and move without being copied.
const LARGE: usize = 16 << 20;

/// Free chunks up to this size are cleared at once and kept for memories of the same size, so many of them.
const WARM: usize = 4 * WASM_PAGE_SIZE;
const KEPT: usize = 64;

const PAGE: usize = 4096;

/// A part of the address space that is accessible, and zero where no memory has been yet.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub base: usize,
    capacity: usize,
    mapped: Option<Mapped>,
}

#[derive(Default)]
struct Regions {
    /// What is free, by its start and by its length; all of it is zero, and no part touches another one.
    free: BTreeMap<usize, usize>,
    sizes: BTreeSet<(usize, usize)>,
    warm: Vec<Chunk>,
}

static REGIONS: Mutex<Regions> = Mutex::new(Regions {
    free: BTreeMap::new(),
    sizes: BTreeSet::new(),
    warm: Vec::new(),
});

fn regions() -> MutexGuard<'static, Regions> {
    REGIONS
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Regions {
    /// A free part of this length: from the smallest that is large enough.
    fn carve(&mut self, len: usize) -> Option<usize> {
        let (found, base) = self.sizes.range((len, 0)..).next().copied()?;
        self.remove(base, found);
        self.insert(base + len, found - len);
        Some(base)
    }

    /// As much as is free at this place, up to `most`, if that is `least` or more.
    fn extend(&mut self, at: usize, least: usize, most: usize) -> Option<usize> {
        let found = self.free.get(&at).copied().filter(|len| *len >= least)?;
        let taken = found.min(most);
        self.remove(at, found);
        self.insert(at + taken, found - taken);
        Some(taken)
    }

    fn insert(&mut self, base: usize, len: usize) {
        if len > 0 {
            self.free.insert(base, len);
            self.sizes.insert((len, base));
        }
    }

    fn remove(&mut self, base: usize, len: usize) {
        self.free.remove(&base);
        self.sizes.remove(&(len, base));
    }

    /// Takes back a part that is zero, and gives the system what is free at length.
    fn give(&mut self, mut base: usize, mut len: usize) {
        if let Some((before, size)) = self.free.range(..base).next_back().map(|(b, l)| (*b, *l))
            && before + size == base
        {
            self.remove(before, size);
            (base, len) = (before, size + len);
        }
        if let Some(size) = self.free.get(&(base + len)).copied() {
            self.remove(base + len, size);
            len += size;
        }
        match len >= 2 * REGION {
            true => unsafe { unmap(base, len) },
            false => self.insert(base, len),
        }
    }

    /// Gives the system all that is free. What is kept may be in the way of more.
    fn reclaim(&mut self) {
        for chunk in std::mem::take(&mut self.warm) {
            self.give(chunk.base, chunk.capacity);
        }
        for (base, len) in std::mem::take(&mut self.free) {
            unsafe { unmap(base, len) };
        }
        self.sizes.clear();
    }
}

/// Gives the system what is free, if that is much: some is left for memories that grow.
pub(crate) fn reclaim() {
    let mut regions = regions();
    if regions.free.values().sum::<usize>() >= 2 * REGION {
        regions.reclaim();
    }
}

/// Maps pages, if need be those that were kept free.
fn map_shared(len: usize) -> io::Result<usize> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    map(len, access).or_else(|_| {
        regions().reclaim();
        map(len, access)
    })
}

impl Chunk {
    const NONE: Self = Self::new(NOWHERE, 0);

    const fn new(base: usize, capacity: usize) -> Self {
        Self {
            base,
            capacity,
            mapped: None,
        }
    }

    /// One of this length, which shows the image, else zeros.
    pub fn take(len: usize, image: Option<&Image>) -> io::Result<Self> {
        let mut taken = Self::blank(len)?;
        match image.map(|image| unsafe { image.put(taken.base) }) {
            None => {}
            Some(Ok(mapped)) => taken.mapped = mapped,
            Some(Err(error)) => {
                taken.release(len);
                return Err(error);
            }
        }
        Ok(taken)
    }

    /// One that is zero.
    fn blank(len: usize) -> io::Result<Self> {
        if len == 0 {
            return Ok(Self::NONE);
        }
        if len >= LARGE {
            return Ok(Self::new(map_shared(len)?, len));
        }
        let mut regions = regions();
        if let Some(same) = regions.warm.iter().rposition(|warm| warm.capacity == len) {
            return Ok(regions.warm.swap_remove(same));
        }
        if let Some(base) = regions.carve(len) {
            return Ok(Self::new(base, len));
        }
        drop(regions);
        let (base, mapped) = match map_shared(REGION) {
            Ok(base) => (base, REGION),
            Err(_) => (map_shared(len)?, len),
        };
        share(base, mapped);
        self::regions().give(base + len, mapped - len);
        Ok(Self::new(base, len))
    }

    /// Makes it, of which `used` bytes are in use, show the image, else zeros.
    pub fn show(&mut self, used: usize, image: Option<&Image>) -> io::Result<()> {
        self.hide(image)?;
        unsafe { image::show(self.base, used, &mut self.mapped, image) }
    }

    /// Makes one mapping of all again, unless it shows the image.
    fn hide(&mut self, image: Option<&Image>) -> io::Result<()> {
        let before = self.mapped.as_ref().map_or(0, Mapped::end);
        image::hide(self.base, &mut self.mapped, image)?;
        if before > 0 && self.mapped.is_none() {
            share(self.base, before);
        }
        Ok(())
    }

    /// Makes room for `len` bytes without moving, if that can be. More is taken, up to `most`, for the next time.
    pub fn extend(&mut self, len: usize, most: usize) -> bool {
        if len <= self.capacity {
            return true;
        }
        if self.capacity == 0 || self.capacity >= LARGE || len >= LARGE {
            return false;
        }
        let most = most.min(LARGE - WASM_PAGE_SIZE);
        let wanted = ahead(self.capacity, len, most) - self.capacity;
        let end = self.base + self.capacity;
        match regions().extend(end, len - self.capacity, wanted) {
            Some(taken) => {
                self.capacity += taken;
                true
            }
            None => false,
        }
    }

    /// Moves the first `used` bytes to where there is room for `len`, and leaves the place where they were. Nobody else uses the
    /// memory meanwhile. With `keep`, what is left still has the bytes; else some of them may be gone.
    pub fn relocate(
        &mut self,
        used: usize,
        len: usize,
        most: usize,
        keep: bool,
    ) -> io::Result<Self> {
        let capacity = ahead(self.capacity, len, most);
        #[cfg(target_os = "linux")]
        if self.capacity >= LARGE
            && !keep
            && self.mapped.is_none()
            && !crate::arena::is_shown(self.base)
        {
            let moved = self.remap(capacity).or_else(|_| self.remap(len));
            return moved.map(|()| Self::NONE);
        }
        let target = Self::blank(capacity).or_else(|_| Self::blank(len))?;
        for at in (0..used).step_by(PAGE) {
            let page = unsafe { &*((self.base + at) as *const [u8; PAGE]) };
            if page.iter().any(|byte| *byte != 0) {
                unsafe { ptr::copy_nonoverlapping(page, (target.base + at) as *mut _, 1) };
            }
            let done = at + PAGE;
            if !keep && self.capacity >= LARGE && done.is_multiple_of(1 << 20) {
                clear(self.base + done - (1 << 20), 1 << 20);
            }
        }
        Ok(std::mem::replace(self, target))
    }

    #[cfg(target_os = "linux")]
    fn remap(&mut self, len: usize) -> io::Result<()> {
        // What the process may not have beyond this is left to others; see `resource`.
        if crate::resource::has_room(len - self.capacity).is_err() {
            regions().reclaim();
            crate::resource::has_room(len - self.capacity)?;
        }
        let (from, flags) = (self.base as *mut libc::c_void, libc::MREMAP_MAYMOVE);
        let base = unsafe { libc::mremap(from, self.capacity, len, flags) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        crate::resource::resized(self.capacity, len);
        (self.base, self.capacity) = (base as usize, len);
        Ok(())
    }

    /// Gives the chunk back after a memory of `used` bytes, or the place that a memory has left.
    pub fn release(mut self, used: usize) {
        if self.capacity == 0 {
            return;
        }
        if self.hide(None).is_err() {
            return; // leaked, but never handed to another memory
        }
        if take_shown(self.base) {
            // The bytes turn to zeros, and the range is nobody else's ever.
            clear(self.base, used);
            if self.capacity < LARGE {
                regions().give(self.base + used, self.capacity - used);
            }
            return;
        }
        if self.capacity >= LARGE {
            return unsafe { unmap(self.base, self.capacity) };
        }
        if self.capacity <= WARM && regions().warm.len() < KEPT {
            unsafe { image::zero(self.base, used) };
            return regions().warm.push(self);
        }
        clear(self.base, used);
        regions().give(self.base, self.capacity);
    }
}

/// The room to make for a memory that grows to `len`: it doubles, so that growing step by step moves it seldom.
fn ahead(capacity: usize, len: usize, most: usize) -> usize {
    len.max((2 * capacity).min(most))
}

/// Keeps a region in small pages: with huge ones, a byte in each memory would take as much as all of them.
fn share(base: usize, len: usize) {
    #[cfg(target_os = "linux")]
    unsafe {
        libc::madvise(base as *mut _, len, libc::MADV_NOHUGEPAGE)
    };
    let _ = (base, len);
}

/// Makes the bytes zero and gives their pages to the system.
fn clear(base: usize, len: usize) {
    if len > 0 && !discard(base, len) {
        unsafe { ptr::write_bytes(base as *mut u8, 0, len) }; // it may be locked in memory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(chunk: &Chunk, len: usize, byte: u8) {
        unsafe { ptr::write_bytes(chunk.base as *mut u8, byte, len) };
    }

    fn is(chunk: &Chunk, from: usize, to: usize, byte: u8) -> bool {
        (from..to).all(|at| unsafe { *((chunk.base + at) as *const u8) } == byte)
    }

    /// Sizes around the borders between what is kept, carved and mapped alone.
    const SIZES: [usize; 7] = [
        1 << 16,
        WARM,
        WARM + (1 << 16),
        5 << 20,
        LARGE - (1 << 16),
        LARGE,
        70 << 20,
    ];

    #[test]
    fn chunks_are_zero_and_apart() {
        for round in 0..3 {
            let chunks: Vec<_> = SIZES.map(|len| (Chunk::blank(len).unwrap(), len)).into();
            for (chunk, len) in &chunks {
                assert!(is(chunk, 0, *len, 0), "{len} bytes in round {round}");
                fill(chunk, *len, 0xff);
            }
            let mut ranges: Vec<_> = chunks
                .iter()
                .map(|(c, len)| (c.base, c.base + len))
                .collect();
            ranges.sort();
            assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0));
            chunks
                .into_iter()
                .for_each(|(chunk, len)| chunk.release(len));
        }
    }

    #[test]
    fn growing_keeps_the_bytes_and_adds_zeros() {
        for keep in [false, true] {
            let mut chunk = Chunk::blank(0).unwrap();
            let mut used = 0;
            for (round, len) in SIZES.into_iter().enumerate() {
                let byte = round as u8 + 1;
                if !chunk.extend(len, 1 << 30) {
                    let before = chunk.relocate(used, len, 1 << 30, keep).unwrap();
                    assert!(!keep || is(&before, 0, used, byte - 1), "what is left");
                    before.release(used);
                }
                assert!(chunk.capacity >= len);
                assert!(is(&chunk, 0, used, byte - 1) && is(&chunk, used, chunk.capacity, 0));
                fill(&chunk, len, byte);
                used = len;
            }
            chunk.release(used);
        }
    }

    #[test]
    fn a_sparse_memory_that_moves_stays_sparse() {
        let mut chunk = Chunk::blank(8 << 20).unwrap();
        fill(&chunk, PAGE, 1);
        let before = chunk.relocate(8 << 20, 9 << 20, 9 << 20, false).unwrap();
        before.release(8 << 20);
        let mut resident = vec![0u8; (9 << 20) / PAGE];
        let vector = resident.as_mut_ptr();
        assert_eq!(
            unsafe { libc::mincore(chunk.base as *mut _, 9 << 20, vector.cast()) },
            0
        );
        assert_eq!(resident.iter().filter(|page| **page & 1 == 1).count(), 1);
        chunk.release(9 << 20);
    }
}
