//! Whose code lies at an address: for signal handlers, which may ask at any instant.
//!
//! The map is a tree over the pages of the address space, as a processor has one. A page holds code of one module at most,
//! since each module has an engine, so mappings, of its own. A reader takes no lock and waits for nobody: it follows two
//! pointers to nodes, which are never freed, and finds a number, which is never used again. So nothing can dangle, however
//! long a reader pauses. What is not for signal handlers goes on from the number to the module, if it still lives.
//!
//! A leaf takes 32 KiB for 16 MiB of addresses. The nodes are as many as the places where code has ever been.

use crate::module::Compiled;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use wasmer_compiler::Artifact;

/// The number of a module's code: never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CodeId(u64);

/// Code pages are at least so large, and begin at a multiple of this.
const PAGE: usize = 4096;
const FANOUT: usize = 4096;

type Leaf = [AtomicU64; FANOUT];
type Middle = [AtomicPtr<Leaf>; FANOUT];

/// From the page of an address to the number of the code there; 0 is none. Covers 48 bits of address, which is what
/// systems give out unless asked for more.
struct Map([AtomicPtr<Middle>; FANOUT]);

static MAP: Map = Map::new();

/// All code there is; held while the map is written.
static LIVE: Mutex<Live> = Mutex::new(Live {
    last: 0,
    modules: BTreeMap::new(),
});

struct Live {
    last: u64,
    modules: BTreeMap<CodeId, Weak<Compiled>>,
}

impl Map {
    const fn new() -> Self {
        Self([const { AtomicPtr::new(std::ptr::null_mut()) }; FANOUT])
    }

    /// Safe in a signal handler.
    fn get(&self, address: usize) -> u64 {
        let page = address / PAGE;
        let Some(root) = self.0.get(page / FANOUT / FANOUT) else {
            return 0;
        };
        let middle = root.load(Ordering::Acquire);
        let Some(middle) = (unsafe { middle.as_ref() }) else {
            return 0;
        };
        let leaf = middle[page / FANOUT % FANOUT].load(Ordering::Acquire);
        match unsafe { leaf.as_ref() } {
            Some(leaf) => leaf[page % FANOUT].load(Ordering::Relaxed),
            None => 0,
        }
    }

    /// Writes the number of each page that the range touches. One writer at a time.
    fn set(&self, range: &Range<usize>, id: u64) {
        for page in range.start / PAGE..range.end.div_ceil(PAGE) {
            let Some(root) = self.0.get(page / FANOUT / FANOUT) else {
                return;
            };
            let null = || AtomicPtr::new(std::ptr::null_mut());
            let middle = node(root, || Box::new(std::array::from_fn(|_| null())));
            let leaf = node(&middle[page / FANOUT % FANOUT], || {
                Box::new(std::array::from_fn(|_| AtomicU64::new(0)))
            });
            leaf[page % FANOUT].store(id, Ordering::Relaxed);
        }
    }
}

/// The node that this leads to; made if there is none.
fn node<T>(to: &AtomicPtr<T>, make: impl FnOnce() -> Box<T>) -> &T {
    let mut node = to.load(Ordering::Relaxed);
    if node.is_null() {
        node = Box::into_raw(make());
        to.store(node, Ordering::Release);
    }
    unsafe { &*node }
}

/// Whose code lies at the address. Safe in a signal handler.
pub(crate) fn find(pc: usize) -> Option<CodeId> {
    match MAP.get(pc) {
        0 => None,
        id => Some(CodeId(id)),
    }
}

/// Whether code of a live module lies at the address. Safe in a signal handler.
pub(crate) fn contains(pc: usize) -> bool {
    find(pc).is_some()
}

/// The module of this code, if it still lives. Not for signal handlers.
pub(crate) fn module(id: CodeId) -> Option<Arc<Compiled>> {
    live().modules.get(&id)?.upgrade()
}

/// All live modules. Not for signal handlers.
pub(crate) fn modules() -> Vec<Arc<Compiled>> {
    live().modules.values().filter_map(Weak::upgrade).collect()
}

fn live() -> MutexGuard<'static, Live> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A module's code in the map, until this is dropped: before the code is freed.
pub(crate) struct Code {
    pub id: CodeId,
    range: Range<usize>,
}

/// Enters code into the map.
pub(crate) fn add(range: Range<usize>, module: Weak<Compiled>) -> Code {
    let mut live = live();
    live.last += 1;
    let id = CodeId(live.last);
    live.modules.insert(id, module);
    MAP.set(&range, id.0);
    Code { id, range }
}

impl Drop for Code {
    fn drop(&mut self) {
        let mut live = live();
        MAP.set(&self.range, 0);
        let module = live.modules.remove(&self.id);
        drop(live);
        drop(module);
    }
}

/// Where the code of an artifact lies: its functions, and after them the trampolines.
pub(crate) fn range(artifact: &Artifact) -> Range<usize> {
    if !artifact.allocated() {
        return 0..0; // for another machine
    }
    let extents = artifact.finished_function_extents().unwrap_or_default();
    let functions = extents
        .iter()
        .map(|(_, function)| (*function.ptr as usize, function.length));
    let calls = artifact
        .finished_function_call_trampolines()
        .values()
        .map(|trampoline| (*trampoline as usize, 1));
    let imports = artifact
        .finished_dynamic_function_trampolines()
        .values()
        .map(|trampoline| (**trampoline as usize, 1));
    let all = functions.chain(calls).chain(imports);
    all.fold(None, |sum: Option<Range<usize>>, (start, length)| {
        let Range { start: low, end } = sum.unwrap_or(start..start);
        Some(low.min(start)..end.max(start + length))
    })
    .unwrap_or(0..0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize};
    use std::thread;

    #[test]
    fn pages_that_a_range_touches_are_its_own_until_it_is_removed() {
        let code = add(0x7fff_1000_0ff0..0x7fff_1000_3001, Weak::new());
        let found = |pc| find(pc).is_some();
        assert_eq!(find(0x7fff_1000_0ff0), Some(code.id));
        assert!(found(0x7fff_1000_0000) && found(0x7fff_1000_3fff));
        assert!(!found(0x7fff_0fff_ffff) && !found(0x7fff_1000_4000));
        assert!(module(code.id).is_none());
        let across = add((1 << 36) - 1..(1 << 36) + 1, Weak::new());
        assert!(found((1 << 36) - PAGE) && found((1 << 36) + PAGE - 1) && !found(1 << 37));
        for outside in [0, usize::MAX, 1 << 48, !0 << 47] {
            assert!(!found(outside), "{outside:#x}");
        }
        let end = code.range.end;
        drop((code, across));
        assert!(!found(end - 1) && !found(1 << 36));
        let beyond = add(usize::MAX - PAGE..usize::MAX, Weak::new());
        assert!(!found(usize::MAX - 1));
        drop(beyond);
    }

    /// What readers of a map that is being written check: a range that stays is always found, another one as a whole
    /// number of its own or not at all.
    static STAYS: AtomicU64 = AtomicU64::new(0);
    static WRONG: AtomicUsize = AtomicUsize::new(0);
    static READ: AtomicUsize = AtomicUsize::new(0);
    const FIRST: usize = 0x7ffe_0000_0000;

    fn look() {
        let turn = READ.fetch_add(1, Ordering::Relaxed);
        let stays = find(FIRST + turn % (4 * PAGE));
        if stays.map(|id| id.0) != Some(STAYS.load(Ordering::Relaxed)) {
            WRONG.fetch_add(1, Ordering::Relaxed);
        }
        for place in 1..8 {
            if contains(FIRST + (place << 24) - 1) {
                WRONG.fetch_add(1, Ordering::Relaxed);
            }
            std::hint::black_box(find(FIRST + (place << 24) + turn % (9 * PAGE)));
        }
    }

    extern "C" fn on_signal(_: libc::c_int) {
        look();
    }

    #[test]
    fn threads_and_signal_handlers_read_while_others_write() {
        let stays = add(FIRST..FIRST + 4 * PAGE, Weak::new());
        STAYS.store(stays.id.0, Ordering::Relaxed);
        let signal = libc::SIGRTMAX() - 2;
        unsafe { libc::signal(signal, on_signal as *const () as usize) };
        let done = AtomicBool::new(false);
        let (started, writer_ids) = (AtomicUsize::new(0), [const { AtomicU64::new(0) }; 3]);
        thread::scope(|scope| {
            for writer in 0..3 {
                let (done, started, writer_ids) = (&done, &started, &writer_ids);
                scope.spawn(move || {
                    let this = unsafe { libc::pthread_self() };
                    writer_ids[writer].store(this as u64, Ordering::Relaxed);
                    started.fetch_add(1, Ordering::Release);
                    let mut turn = writer;
                    while !done.load(Ordering::Relaxed) {
                        turn += 1;
                        // Each writer has places of its own, as modules have.
                        let place = FIRST + ((1 + writer + 3 * (turn % 2)) << 24);
                        let code = add(place..place + (turn % 9 + 1) * PAGE, Weak::new());
                        if find(place) != Some(code.id) {
                            WRONG.fetch_add(1, Ordering::Relaxed);
                        }
                        drop(code);
                        if contains(place) {
                            WRONG.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
            while started.load(Ordering::Acquire) < 3 {
                thread::yield_now();
            }
            for turn in 0..30_000 {
                let writer = writer_ids[turn % 3].load(Ordering::Relaxed);
                unsafe { libc::pthread_kill(writer as libc::pthread_t, signal) };
                look();
            }
            done.store(true, Ordering::Relaxed);
        });
        assert!(READ.load(Ordering::Relaxed) > 30_000);
        assert_eq!(WRONG.load(Ordering::Relaxed), 0);
    }
}
