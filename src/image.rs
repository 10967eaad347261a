//! Images: what a memory begins with, made once and shared by all memories that begin with it. On Linux it is a file without
//! a name, which each of them maps for itself: pages are shared until somebody writes them. Where that cannot be had, because the
//! system has no such files or a limit of the process is in the way, the bytes are copied.

use crate::arena;
use crate::resource::{discard, replace};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use wasmer_types::WASM_PAGE_SIZE;

/// Mappings begin and end at multiples of it.
pub(crate) const PAGE: usize = 4096;

/// So many bytes are cleared sooner than given back to the system.
pub(crate) const SMALL: usize = 4 * WASM_PAGE_SIZE;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

/// How many images there are, and their bytes.
pub(crate) fn live() -> (usize, usize) {
    (LIVE.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed))
}

/// Some bytes, and where in the memory they lie.
pub(crate) type Part<'a> = (usize, &'a [u8]);

/// An immutable picture of a memory's first bytes, without the pages of zeros before it; what follows is zero too.
#[derive(Debug)]
pub(crate) struct Image {
    /// No other image of the process has it.
    id: u64,
    start: usize,
    len: usize,
    contents: Contents,
}

#[derive(Debug)]
enum Contents {
    #[cfg(target_os = "linux")]
    File(crate::sealed::File),
    Bytes(Box<[u8]>),
}

impl Image {
    /// The picture of a memory that begins with these bytes. A small memory copies it: that takes less time than to give up pages
    /// and get others.
    pub fn new(bytes: &[u8]) -> Arc<Self> {
        let parts = written(bytes);
        let mapped = (bytes.len() > SMALL).then(|| Self::of_parts(&parts));
        mapped.flatten().unwrap_or_else(|| {
            let start = parts.first().map_or(0, |(at, _)| *at);
            let end = parts.last().map_or(0, |(at, bytes)| at + bytes.len());
            Self::with(
                start,
                end - start,
                Contents::Bytes(bytes[start..end].into()),
            )
        })
    }

    /// The picture that these parts make, put on zeros one after another; none where memories could only copy it, which can be
    /// done with the parts as well.
    #[cfg(target_os = "linux")]
    pub fn of_parts(parts: &[Part<'_>]) -> Option<Arc<Self>> {
        let start = parts.iter().map(|(at, _)| *at).min()? / PAGE * PAGE;
        let end = parts.iter().map(|(at, bytes)| at + bytes.len()).max()?;
        let len = end.next_multiple_of(PAGE) - start;
        let parts = parts.iter().map(|(at, bytes)| (at - start, *bytes));
        let file = crate::sealed::File::new(len, parts).ok()?;
        Some(Self::with(start, len, Contents::File(file)))
    }

    #[cfg(not(target_os = "linux"))]
    pub fn of_parts(_: &[Part<'_>]) -> Option<Arc<Self>> {
        None
    }

    fn with(start: usize, len: usize, contents: Contents) -> Arc<Self> {
        static IDS: AtomicU64 = AtomicU64::new(0);
        LIVE.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(len, Ordering::Relaxed);
        Arc::new(Self {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            start,
            len,
            contents,
        })
    }

    /// Where the picture ends: a memory that shows it has so many bytes at least.
    pub fn end(&self) -> usize {
        self.start + self.len
    }

    /// The bytes of a picture that is copied, if these are whole pages.
    fn pages(&self) -> Option<&[u8]> {
        match &self.contents {
            Contents::Bytes(bytes)
                if bytes.len().is_multiple_of(PAGE) && self.start.is_multiple_of(PAGE) =>
            {
                Some(bytes)
            }
            _ => None,
        }
    }

    /// Copies the picture into a memory at `base` whose bytes are zero.
    ///
    /// # Safety
    /// The memory has `end` bytes, and nobody uses them.
    pub unsafe fn copy(&self, base: usize) -> io::Result<()> {
        let target = (base + self.start) as *mut u8;
        match &self.contents {
            #[cfg(target_os = "linux")]
            Contents::File(file) => {
                file.read(unsafe { std::slice::from_raw_parts_mut(target, self.len) })
            }
            Contents::Bytes(bytes) => {
                unsafe { target.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
                Ok(())
            }
        }
    }

    /// Maps the picture into a memory at `base` whose bytes are zero; none where it can only be copied, or the system refuses.
    ///
    /// # Safety
    /// As of `copy`, and the bytes are private pages of ours.
    unsafe fn map(&self, base: usize) -> Option<Mapped> {
        match &self.contents {
            #[cfg(target_os = "linux")]
            Contents::File(file) => {
                let mapped = Mapped::new(self)?;
                unsafe { file.map(base + self.start, self.len) }.ok()?;
                Some(mapped)
            }
            Contents::Bytes(_) => {
                let _ = base;
                None
            }
        }
    }

    /// Puts the picture into a memory at `base` whose bytes are zero; gives what is mapped, if that could be done.
    ///
    /// # Safety
    /// `base` leads to `end` bytes of private pages of ours, and nobody uses them.
    pub unsafe fn put(&self, base: usize) -> io::Result<Option<Mapped>> {
        let mapped = unsafe { self.map(base) };
        if mapped.is_none() {
            unsafe { self.copy(base)? };
        }
        Ok(mapped)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::Relaxed);
        BYTES.fetch_sub(self.len, Ordering::Relaxed);
        arena::forget(self); // mappings hold the file's pages
    }
}

/// The image that a place in the address space shows. Each takes mappings, of which a process has 65,530 as a rule: there are
/// not too many of them.
#[derive(Debug)]
pub(crate) struct Mapped {
    image: u64,
    start: usize,
    len: usize,
}

#[cfg(target_os = "linux")]
const MOST_MAPPED: usize = 8192;

static MAPPED: AtomicUsize = AtomicUsize::new(0);

impl Mapped {
    #[cfg(target_os = "linux")]
    fn new(image: &Image) -> Option<Self> {
        let mapped = Self {
            image: image.id,
            start: image.start,
            len: image.len,
        };
        (MAPPED.fetch_add(1, Ordering::Relaxed) < MOST_MAPPED).then_some(mapped)
    }

    pub fn is_of(&self, image: Option<&Image>) -> bool {
        image.is_some_and(|image| image.id == self.image)
    }

    /// Where it ends in the memory.
    pub fn end(&self) -> usize {
        self.start + self.len
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        MAPPED.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Makes a place of `used` bytes show the image, else zeros, which costs what was touched. `mapped` is what it has shown.
///
/// # Safety
/// `base` leads to `used` bytes of private pages of ours, the image has no more, and nobody uses them.
pub(crate) unsafe fn show(
    base: usize,
    used: usize,
    mapped: &mut Option<Mapped>,
    image: Option<&Image>,
) -> io::Result<()> {
    if used <= SMALL
        && mapped.is_none()
        && let Some(image) = image
        && let Some(contents) = image.pages()
    {
        unsafe { repair(base, used, image.start, contents) };
        return Ok(());
    }
    hide(base, mapped, image)?;
    unsafe { clear(base, used, mapped)? };
    if let (Some(image), None) = (image, &mapped) {
        *mapped = unsafe { image.put(base)? };
    }
    Ok(())
}

/// Writes to the pages that differ only: to read takes half the time of writing, and most will do. What is not in the contents,
/// which begin at `start`, is zero.
///
/// # Safety
/// As of `show`.
unsafe fn repair(base: usize, used: usize, start: usize, contents: &[u8]) {
    for at in (0..used).step_by(PAGE) {
        let wanted = at
            .checked_sub(start)
            .and_then(|at| contents.get(at..at + PAGE));
        match wanted {
            None => unsafe { zero(base + at, PAGE) },
            Some(wanted) => {
                let page = unsafe { std::slice::from_raw_parts_mut((base + at) as *mut u8, PAGE) };
                if page != wanted {
                    page.copy_from_slice(wanted);
                }
            }
        }
    }
}

/// Makes pages zero that are not.
///
/// # Safety
/// `base` leads to `len` bytes in whole pages, and nobody uses them.
pub(crate) unsafe fn zero(base: usize, len: usize) {
    const WORDS: usize = PAGE / size_of::<u64>();
    debug_assert!(base.is_multiple_of(PAGE) && len.is_multiple_of(PAGE));
    for at in (base..base + len).step_by(PAGE) {
        let page = unsafe { &mut *(at as *mut [u64; WORDS]) };
        if !is_zero(page) {
            page.fill(0);
        }
    }
}

fn is_zero(words: &[u64]) -> bool {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        return unsafe { is_zero_avx2(words) };
    }
    union(words) == 0
}

/// The same by vectors of 32 bytes: what every x86-64 has is no faster than writing.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn is_zero_avx2(words: &[u64]) -> bool {
    union(words) == 0
}

#[inline(always)]
fn union(words: &[u64]) -> u64 {
    words.iter().fold(0, |union, word| union | word)
}

/// Puts pages of zeros in the place of what is mapped, unless that is the image.
pub(crate) fn hide(
    base: usize,
    mapped: &mut Option<Mapped>,
    image: Option<&Image>,
) -> io::Result<()> {
    if let Some(other) = mapped.as_ref().filter(|mapped| !mapped.is_of(image)) {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        replace(base + other.start, other.len, access)?;
        *mapped = None;
    }
    Ok(())
}

/// Makes the bytes of a place what they were at first: zeros, and the image that is mapped.
///
/// # Safety
/// As of `show`.
pub(crate) unsafe fn clear(
    base: usize,
    used: usize,
    mapped: &mut Option<Mapped>,
) -> io::Result<()> {
    if (mapped.is_some() || used > SMALL) && discard(base, used) {
        return Ok(());
    }
    // Else the pages may be locked in memory.
    hide(base, mapped, None)?;
    unsafe { zero(base, used) };
    Ok(())
}

/// The bytes that are not zero, in whole pages.
pub(crate) fn written(bytes: &[u8]) -> Vec<Part<'_>> {
    let mut parts: Vec<Part<'_>> = Vec::new();
    for (page, content) in bytes.chunks(PAGE).enumerate() {
        if content.iter().all(|byte| *byte == 0) {
            continue;
        }
        let at = page * PAGE;
        match parts.last_mut() {
            Some((from, part)) if *from + part.len() == at => {
                *part = &bytes[*from..at + content.len()];
            }
            _ => parts.push((at, content)),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::{map, unmap};

    #[test]
    fn every_byte_becomes_zero() {
        let len = 3 * PAGE;
        let base = map(len, libc::PROT_READ | libc::PROT_WRITE).unwrap();
        let bytes = unsafe { std::slice::from_raw_parts_mut(base as *mut u8, len) };
        for at in 0..PAGE {
            bytes[PAGE + at] = 1;
            let page = unsafe { std::slice::from_raw_parts((base + PAGE) as *const u64, PAGE / 8) };
            assert!(!is_zero(page) && union(page) != 0, "byte {at}");
            unsafe { zero(base + PAGE, PAGE) };
            assert!(bytes.iter().all(|byte| *byte == 0), "byte {at}");
        }
        bytes.fill(0xff);
        unsafe { zero(base, len) };
        assert!(bytes.iter().all(|byte| *byte == 0));
        unsafe { unmap(base, len) };
    }
}
