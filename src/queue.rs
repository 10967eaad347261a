//! Queued host calls: of functions without results. Compiled code appends them to a store's queue; Go takes them from there, in
//! order, many in one crossing: when the queue is full, before any other Go function of the store runs, and before a call
//! returns, however it ends.

use crate::foreign;
use crate::function::Call;
use crate::host::{self, Context, HostFunction};
use crate::{outside, stack};
use std::cell::{Cell, OnceCell, UnsafeCell};
use std::ptr;
use wasmer_types::{FunctionType, RawValue, TrapCode, Type};
use wasmer_vm::VMMemoryDefinition;
use wasmer_vm::libcalls::wasmer_vm_raise_trap;

/// The number of the Go side's function that takes what is queued; its values are a `wasmergo_queue`.
pub const WASMERGO_DELIVER: u32 = u32::MAX;

/// Words of a queue. They stay in the processor's nearest caches.
pub const WASMERGO_QUEUE_WORDS: usize = 4096;

/// What is queued, in words of 8 bytes from `head` to `tail`. Each entry: the number of the function, and in the upper half how
/// many words the entry has; then a word for each argument, but for bytes their number, followed by as many words as they take.
/// The Go side moves `head` behind an entry before it runs the function: that may queue more.
#[repr(C)]
#[allow(non_camel_case_types)]
pub struct wasmergo_queue {
    pub head: u64,
    pub tail: u64,
    pub words: [u64; WASMERGO_QUEUE_WORDS],
}

/// A store's queue, made when it is first needed.
#[derive(Default)]
pub(crate) struct Queue {
    queue: OnceCell<Box<UnsafeCell<wasmergo_queue>>>,
    /// Deliveries under way, inside of each other: their entries are not to be overwritten.
    deliveries: Cell<u32>,
}

impl Queue {
    pub fn prepare(&self) {
        self.queue
            .get_or_init(|| unsafe { Box::new_zeroed().assume_init() });
    }

    /// Nobody holds on to it while Go runs.
    #[allow(clippy::mut_from_ref)]
    #[inline(always)]
    fn get(&self) -> Option<&mut wasmergo_queue> {
        self.queue.get().map(|queue| unsafe { &mut *queue.get() })
    }

    #[inline(always)]
    pub fn is_pending(&self) -> bool {
        self.get().is_some_and(|queue| queue.head != queue.tail)
    }

    /// Gives Go what is queued, on the thread's own stack, and reports whether the guest may go on. When a function panics, what
    /// comes after it stays.
    #[cold]
    #[inline(never)]
    pub fn deliver(&self, call: &Call) -> bool {
        let Some(queue) = self.get() else {
            return true;
        };
        self.deliveries.set(self.deliveries.get() + 1);
        let status = host::call_back(call, WASMERGO_DELIVER, (&raw mut *queue).cast());
        self.deliveries.set(self.deliveries.get() - 1);
        let queue = unsafe { &mut *self.queue.get().unwrap_unchecked().get() };
        if self.deliveries.get() == 0 && queue.head == queue.tail {
            (queue.head, queue.tail) = (0, 0);
        }
        status == 0
    }

    /// Gives Go all that is queued, whatever becomes of it, and reports whether none of it has failed.
    #[cold]
    #[inline(never)]
    pub fn deliver_all(&self, call: &Call) -> bool {
        let mut good = true;
        while self.is_pending() {
            good &= self.deliver(call);
        }
        good
    }
}

/// What a host function is that is queued.
pub(crate) struct Queued {
    parts: Box<[Part]>,
    /// How many words a call takes, without bytes.
    words: usize,
    /// Whether there are bytes, and what they are in.
    pairs: bool,
    memory: Cell<*const VMMemoryDefinition>,
}

/// What becomes of arguments.
enum Part {
    /// One is kept as it is; the mask is that of the upper half of its slot.
    Number(usize, u32),
    /// Two are an address and a number of bytes, which are copied.
    Bytes(usize),
}

impl Queued {
    /// `bytes` has a bit for each parameter that begins a pair.
    pub fn new(ty: &FunctionType, bytes: u64) -> Self {
        let mut parts = Vec::new();
        let mut index = 0;
        while let Some(ty) = ty.params().get(index) {
            let pair = index < 64 && bytes >> index & 1 == 1;
            let wide = matches!(ty, Type::I64 | Type::F64);
            parts.push(match pair {
                true => Part::Bytes(index),
                false => Part::Number(index, if wide { u32::MAX } else { 0 }),
            });
            index += 1 + usize::from(pair);
        }
        Self {
            words: 1 + parts.len(),
            parts: parts.into(),
            pairs: bytes != 0,
            memory: Cell::new(ptr::null()),
        }
    }

    pub fn bind(&self, memory: *const VMMemoryDefinition) {
        self.memory.set(memory);
    }

    /// How many words a call takes.
    #[inline(always)]
    unsafe fn needed(&self, values: *mut RawValue) -> usize {
        let mut needed = self.words;
        if self.pairs {
            for part in &self.parts {
                if let Part::Bytes(index) = part {
                    needed += unsafe { self.bytes(values.add(*index)) }.1.div_ceil(8);
                }
            }
        }
        needed
    }

    /// The bytes of a pair, or the end of the guest if they are not all in memory. On the guest's stack.
    unsafe fn bytes(&self, pair: *mut RawValue) -> (*const u8, usize) {
        let (address, len) = unsafe { ((*pair).u32 as usize, (*pair.add(1)).u32 as usize) };
        let memory = unsafe { self.memory.get().as_ref() };
        match memory {
            Some(memory) if address + len <= memory.current_length => {
                (memory.base.wrapping_add(address), len)
            }
            _ => unsafe { wasmer_vm_raise_trap(TrapCode::HeapAccessOutOfBounds) },
        }
    }
}

/// Called by compiled code, on the guest's stack: nothing is allocated here, and no destructor is pending.
pub(crate) unsafe extern "C-unwind" fn enter(context: &Context, values: *mut RawValue) {
    let host = &context.ctx;
    let call = host.running();
    call.statistics().count_host_call();
    let needed = unsafe { host.queued().needed(values) };
    match call.store().queue.get() {
        Some(queue) if queue.tail as usize + needed <= WASMERGO_QUEUE_WORDS => unsafe {
            append(host, queue, values, needed);
        },
        _ => unsafe { enter_full(call, host, values, needed) },
    }
    stack::resume_call(call);
}

#[inline(always)]
unsafe fn append(
    host: &HostFunction,
    queue: &mut wasmergo_queue,
    values: *mut RawValue,
    needed: usize,
) {
    unsafe {
        let mut at = queue.words.as_mut_ptr().add(queue.tail as usize);
        at.write(u64::from(host.function) | (needed as u64) << 32);
        for part in &host.queued().parts {
            at = at.add(1);
            match part {
                Part::Number(index, mask) => at.write(foreign::bits(values.add(*index), *mask)),
                Part::Bytes(index) => {
                    let (from, len) = host.queued().bytes(values.add(*index));
                    at.write(len as u64);
                    ptr::copy_nonoverlapping(from, at.add(1).cast(), len);
                    at = at.add(len.div_ceil(8));
                }
            }
        }
    }
    queue.tail += needed as u64;
}

#[cold]
#[inline(never)]
unsafe fn enter_full(call: &Call, host: &HostFunction, values: *mut RawValue, needed: usize) {
    let arguments = [
        ptr::from_ref(call) as usize,
        ptr::from_ref(host) as usize,
        values as usize,
        needed,
        0,
        0,
    ];
    if unsafe { outside::call(call, deliver_and_append, arguments) } != 0 {
        host::fail();
    }
}

/// Delivers what is queued, then queues the call; or makes it, if there is no room even so.
unsafe extern "C" fn deliver_and_append(
    call: usize,
    host: usize,
    values: usize,
    needed: usize,
    _: usize,
    _: usize,
) -> usize {
    let (call, host) = unsafe { (&*(call as *const Call), &*(host as *const HostFunction)) };
    let (store, values) = (call.store(), values as *mut RawValue);
    if store.queue.is_pending() && !store.queue.deliver(call) {
        return 1;
    }
    match store.queue.get() {
        Some(queue) if queue.tail as usize + needed <= WASMERGO_QUEUE_WORDS => unsafe {
            append(host, queue, values, needed);
            0
        },
        _ => {
            for part in &host.queued().parts {
                if let Part::Bytes(index) = part {
                    // The Go side finds their place beside their address.
                    unsafe {
                        let pair = values.add(*index);
                        let place = host.queued().bytes(pair).0;
                        pair.cast::<*const u8>().add(1).write(place);
                    }
                }
            }
            host::call_back(call, host.function, values.cast()) as usize
        }
    }
}
