//! Samples: where guests are when a timer of their thread's CPU time expires. The handler takes the addresses on the guest's
//! stack and leaves them in a ring, from which a thread that may wait takes them; see `profile.rs`. It neither allocates nor
//! locks, and reads nothing but the guest's stack.
//!
//! Compiled code links its frames, but for functions that need none of their own (Cranelift): what they may return to is
//! taken along, for who knows the functions.

use crate::function::Call;
use crate::{arch, code};
use std::cell::UnsafeCell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};

/// Frames of a sample; further ones, the outer ones, are left out.
const DEPTH: usize = 128;
/// Samples that wait to be taken.
const SLOTS: usize = 2048;
/// Words of the stack in which a frame is looked for.
const SEARCH: usize = 4096;

/// Where a guest was, so many times.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    pub times: u32,
    /// The instruction; 0 if it is not a guest's, but of a function of the engine that the guest has called.
    pub pc: usize,
    /// Where its function may return to if it has no frame; see `arch`.
    pub unframed: [usize; 2],
    len: usize,
    returns: [usize; DEPTH],
}

impl Sample {
    /// The addresses that frames return to, innermost first.
    pub fn returns(&self) -> &[usize] {
        &self.returns[..self.len]
    }
}

const FREE: u8 = 0;
const BUSY: u8 = 1;
const FULL: u8 = 2;

struct Slot {
    /// Whose turn it is with the sample: FREE, then BUSY while a handler writes, then FULL until it is taken.
    state: AtomicU8,
    sample: UnsafeCell<Sample>,
}

unsafe impl Sync for Slot {}

/// Made once, and kept: a handler may be late.
static RING: OnceLock<Box<[Slot]>> = OnceLock::new();
static NEXT: AtomicUsize = AtomicUsize::new(0);
static ON: AtomicBool = AtomicBool::new(false);
static LOST: AtomicU64 = AtomicU64::new(0);

/// From now on samples are taken, or no longer.
pub(crate) fn switch(on: bool) {
    if on {
        RING.get_or_init(|| {
            let empty = Sample {
                times: 0,
                pc: 0,
                unframed: [0; 2],
                len: 0,
                returns: [0; DEPTH],
            };
            let slots = (0..SLOTS).map(|_| Slot {
                state: AtomicU8::new(FREE),
                sample: UnsafeCell::new(empty),
            });
            slots.collect()
        });
        LOST.store(0, Ordering::Relaxed);
    }
    ON.store(on, Ordering::SeqCst);
}

pub(crate) fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// Samples for which there was no room.
pub(crate) fn lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// Takes the samples that wait. One taker at a time.
pub(crate) fn take(mut each: impl FnMut(&Sample)) {
    for slot in RING.get().into_iter().flatten() {
        if slot.state.load(Ordering::Acquire) == FULL {
            each(unsafe { &*slot.sample.get() });
            slot.state.store(FREE, Ordering::Release);
        }
    }
}

/// A timer of the thread has expired so many times. In its signal handler.
pub(crate) unsafe fn on_timer(context: *const libc::c_void, times: u32) {
    if !ON.load(Ordering::Relaxed) {
        return;
    }
    let (Some(call), Some(ring)) = (Call::current(), RING.get()) else {
        return;
    };
    let stack = Stack::of(call);
    if !stack.contains(arch::stack_pointer(context)) {
        return;
    }
    let slot = &ring[NEXT.fetch_add(1, Ordering::Relaxed) % SLOTS];
    let free = slot
        .state
        .compare_exchange(FREE, BUSY, Ordering::Acquire, Ordering::Relaxed);
    if free.is_err() {
        LOST.fetch_add(times.into(), Ordering::Relaxed);
        return;
    }
    let sample = unsafe { &mut *slot.sample.get() };
    sample.times = times;
    fill(sample, &stack, context);
    let found = sample.pc != 0 || sample.len > 0;
    slot.state
        .store(if found { FULL } else { FREE }, Ordering::Release);
}

/// The part of the guest's stack that the guest may use: all of it can be read.
struct Stack {
    low: usize,
    high: usize,
}

impl Stack {
    fn of(call: &Call) -> Self {
        let high = call.stack.get();
        Self {
            low: high.saturating_sub(call.limit),
            high,
        }
    }

    /// Whether a frame's two words lie there.
    fn contains(&self, at: usize) -> bool {
        at.is_multiple_of(8) && (self.low..self.high.saturating_sub(16)).contains(&at)
    }

    fn two(&self, at: usize) -> [usize; 2] {
        unsafe { (at as *const [usize; 2]).read_volatile() }
    }

    /// The frame nearest to the top of the stack whose function was called by compiled code: of the engine's code no frames
    /// are known.
    fn search(&self, top: usize) -> Option<usize> {
        let places = (top..).step_by(8).take(SEARCH);
        places.take_while(|at| self.contains(*at)).find(|at| {
            let [caller, back] = self.two(*at);
            caller > *at && self.contains(caller) && code::contains(back)
        })
    }
}

fn fill(sample: &mut Sample, stack: &Stack, context: *const libc::c_void) {
    let (pc, top) = (arch::program_counter(context), arch::stack_pointer(context));
    sample.len = 0;
    let mut frame = if code::contains(pc) {
        sample.pc = pc;
        sample.unframed = arch::return_addresses(context, stack.two(top));
        Some(arch::frame_pointer(context))
    } else {
        sample.pc = 0;
        stack.search(top)
    };
    while let Some(at) = frame.filter(|at| stack.contains(*at)) {
        let [caller, back] = stack.two(at);
        if sample.len == DEPTH || !code::contains(back) {
            break;
        }
        sample.returns[sample.len] = back;
        sample.len += 1;
        frame = (caller > at).then_some(caller);
    }
}
