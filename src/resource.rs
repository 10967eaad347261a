//! What the system refuses, and which of its limits that is.

use crate::error::{Error, wasmergo_error_kind};
use std::cell::Cell;
use std::fmt::Write;
use std::io::{self, Read};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Address space that is left to others, to Go's heap above all, where the process has a limit: neither Go nor Rust goes on
/// without memory.
const SPARE: usize = 128 << 20;

const PAGE: usize = 1 << 16;

/// Address space that memories take, used or not.
static RESERVED: AtomicUsize = AtomicUsize::new(0);

/// Bytes of address space that memories take, used or not.
pub(crate) fn reserved() -> usize {
    RESERVED.load(Ordering::Relaxed)
}

/// Maps private pages for memories, which take neither memory nor swap until they are written.
pub(crate) fn map(len: usize, access: libc::c_int) -> io::Result<usize> {
    let spare = if bound(libc::RLIMIT_AS).is_some() {
        SPARE
    } else {
        0
    };
    let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE;
    let base = unsafe { libc::mmap(ptr::null_mut(), len + spare, access, flags, -1, 0) };
    if base == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let base = base as usize;
    if spare > 0 {
        // Of the lower part, so that what is mapped next lies beside this, and both can be given back as one.
        unsafe { libc::munmap(base as *mut _, spare) };
    }
    RESERVED.fetch_add(len, Ordering::Relaxed);
    Ok(base + spare)
}

/// Whether there is still room for the many small things, looked up each so-manieth time
/// of a thread: where Rust gets no memory for them it
/// ends the process.
pub(crate) fn check() -> Result<(), Error> {
    const EACH: usize = 64;
    thread_local! {
        static COUNT: Cell<usize> = const { Cell::new(0) };
    }
    static SHORT: AtomicBool = AtomicBool::new(false);
    let count = COUNT.replace(COUNT.get().wrapping_add(1));
    if count.is_multiple_of(EACH) || SHORT.load(Ordering::Relaxed) {
        let room = has_room(PAGE);
        if SHORT.load(Ordering::Relaxed) != room.is_err() {
            SHORT.store(room.is_err(), Ordering::Relaxed);
        }
        room.map_err(|error| exhausted("go on", &error, PAGE))?;
    }
    Ok(())
}

/// Whether a module of this size can be compiled, or loaded: neither Rust nor the compilers go on without memory. What they
/// take is estimated, generously.
pub(crate) fn room_to_compile(len: usize) -> Result<(), Error> {
    let wanted = (64 << 20) + 32 * len;
    has_room(wanted).map_err(|error| exhausted("compile", &error, wanted))
}

/// Whether an artifact of this size can be loaded.
pub(crate) fn room_to_load(len: usize) -> Result<(), Error> {
    let wanted = (64 << 20) + 4 * len;
    has_room(wanted).map_err(|error| exhausted("load", &error, wanted))
}

/// The error of kind `Resource` for what cannot be done.
#[cold]
pub(crate) fn exhausted(what: &str, error: &io::Error, wanted: usize) -> Error {
    let message = format!("cannot {what}: {}", explain(error, wanted));
    Error::new(wasmergo_error_kind::Resource, message)
}

/// Gives mapped pages back.
///
/// # Safety
/// They come from `map`, and nobody uses them.
pub(crate) unsafe fn unmap(base: usize, len: usize) {
    if unsafe { libc::munmap(base as *mut _, len) } == 0 {
        RESERVED.fetch_sub(len, Ordering::Relaxed);
    }
}

/// Puts fresh pages in the place of some that come from `map`; nothing has changed if the system refuses.
pub(crate) fn replace(at: usize, len: usize, access: libc::c_int) -> io::Result<()> {
    if len == 0 {
        return Ok(());
    }
    let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE | libc::MAP_FIXED;
    match unsafe { libc::mmap(at as *mut _, len, access, flags, -1, 0) } {
        libc::MAP_FAILED => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Gives the system the pages of this place, so that they are what they were when they were mapped; false if it does not do that.
pub(crate) fn discard(at: usize, len: usize) -> bool {
    #[cfg(target_os = "linux")]
    return unsafe { libc::madvise(at as *mut _, len, libc::MADV_DONTNEED) } == 0;
    #[cfg(not(target_os = "linux"))]
    return replace(at, len, libc::PROT_READ | libc::PROT_WRITE).is_ok();
}

/// Notes that mapped pages have become more.
#[cfg(target_os = "linux")]
pub(crate) fn resized(from: usize, to: usize) {
    RESERVED.fetch_add(to - from, Ordering::Relaxed);
}

/// Whether so much address space can be had besides what others need. Looks only where the process has a limit.
pub(crate) fn has_room(len: usize) -> io::Result<()> {
    can_map(len + SPARE)
}

/// Whether a stack that was just made leaves room for others. What lives may still be called where nothing more can be made.
pub(crate) fn has_room_for_stacks() -> io::Result<()> {
    can_map(SPARE * 3 / 8)
}

fn can_map(len: usize) -> io::Result<()> {
    if bound(libc::RLIMIT_AS).is_none() {
        return Ok(());
    }
    let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE;
    let map = || unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0) };
    let mut base = map();
    if base == libc::MAP_FAILED {
        // What memories have left may be in the way of others.
        crate::region::reclaim();
        base = map();
    }
    if base == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    unsafe { libc::munmap(base, len) };
    Ok(())
}

/// The system's error, and the limits that are at fault as far as that can be seen.
pub(crate) fn explain(error: &io::Error, wanted: usize) -> String {
    match error.raw_os_error() {
        Some(libc::ENOMEM) | Some(libc::EAGAIN) => format!("{error}{}", limits(wanted)),
        _ => error.to_string(),
    }
}

/// The limits that `wanted` more bytes would exceed, to be appended to a message; empty if none is to be seen.
pub(crate) fn limits(wanted: usize) -> String {
    let mut text = String::new();
    let mut seen = 0;
    let mut see = |limit: String| {
        let _ = write!(text, "{}{limit}", if seen == 0 { ": " } else { ", and " });
        seen += 1;
    };
    let wanted = wanted.saturating_add(SPARE);
    for (resource, name, usage) in [
        (libc::RLIMIT_AS, "RLIMIT_AS (ulimit -v)", "VmSize:"),
        (libc::RLIMIT_DATA, "RLIMIT_DATA (ulimit -d)", "VmData:"),
    ] {
        if let Some(limit) = bound(resource)
            && let Some(used) = status("/proc/self/status", usage)
            && used.saturating_add(wanted) >= limit
        {
            see(format!("{name} is {limit} bytes, {used} are in use"));
        }
    }
    if let Some(most) = number("/proc/sys/vm/max_map_count") {
        let used = mappings();
        if used + 16 >= most {
            see(format!(
                "the sysctl vm.max_map_count is {most}, {used} mappings are in use"
            ));
        }
    }
    if number("/proc/sys/vm/overcommit_memory") == Some(2)
        && let Some(limit) = status("/proc/meminfo", "CommitLimit:")
        && let Some(used) = status("/proc/meminfo", "Committed_AS:")
    {
        see(format!(
            "the sysctl vm.overcommit_memory is 2, CommitLimit {limit} bytes, of which {used} are committed"
        ));
    }
    text
}

/// A limit of the process; none if it is infinite.
pub(crate) fn bound(resource: Resource) -> Option<usize> {
    let mut limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    let known = unsafe { libc::getrlimit(resource, &mut limit) } == 0;
    (known && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur as usize)
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
type Resource = libc::__rlimit_resource_t;
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
type Resource = libc::c_int;

/// The mappings of the process; 0 where that cannot be seen.
pub(crate) fn mappings() -> usize {
    let mut lines = 0;
    read("/proc/self/maps", |part| {
        lines += part.iter().filter(|byte| **byte == b'\n').count();
    });
    lines
}

/// Reads a file piece by piece: it may be long, and memory may be what is missing.
fn read(path: &str, mut visit: impl FnMut(&[u8])) {
    let Ok(mut file) = std::fs::File::open(path) else {
        return;
    };
    let mut buffer = [0; 16 << 10];
    while let Ok(n @ 1..) = file.read(&mut buffer) {
        visit(&buffer[..n]);
    }
}

fn text(path: &str) -> String {
    let mut text = Vec::new();
    read(path, |part| text.extend_from_slice(part));
    String::from_utf8_lossy(&text).into_owned()
}

fn number(path: &str) -> Option<usize> {
    text(path).trim().parse().ok()
}

/// A field in kB, in bytes.
fn status(path: &str, field: &str) -> Option<usize> {
    let text = text(path);
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}
