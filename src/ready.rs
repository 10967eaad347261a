//! Native functions that are ready made. Each takes what `foreign.rs` gives; what their sets share among guests is their data.

use crate::bulk::{self, pieces};
use crate::bytes::borrow;
use crate::foreign::Given;
use crate::interrupt;
use crate::keyvalue;
use crate::logring;
use std::ptr;
use std::sync::{Mutex, PoisonError};
use wasmer_vm::VMMemoryDefinition;

pub const WASMERGO_CLOCK_REALTIME: u32 = 0;
pub const WASMERGO_CLOCK_MONOTONIC: u32 = 1;
pub const WASMERGO_RANDOM_GET: u32 = 2;
pub const WASMERGO_RANDOM_FILL: u32 = 3;
pub const WASMERGO_LOG_WRITE: u32 = 4;
pub const WASMERGO_KV_GET: u32 = 5;
pub const WASMERGO_KV_SET: u32 = 6;
pub const WASMERGO_KV_DELETE: u32 = 7;
pub const WASMERGO_PEER_READ: u32 = 8;
pub const WASMERGO_PEER_WRITE: u32 = 9;
pub const WASMERGO_PEER_SIZE: u32 = 10;

/// The address of the function of this number; 0 if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_ready_function(number: u32) -> usize {
    match number {
        WASMERGO_CLOCK_REALTIME => clock_realtime as *const () as usize,
        WASMERGO_CLOCK_MONOTONIC => clock_monotonic as *const () as usize,
        WASMERGO_RANDOM_GET => random_get as *const () as usize,
        WASMERGO_RANDOM_FILL => random_fill as *const () as usize,
        WASMERGO_LOG_WRITE => logring::write as *const () as usize,
        WASMERGO_KV_GET => keyvalue::get as *const () as usize,
        WASMERGO_KV_SET => keyvalue::set as *const () as usize,
        WASMERGO_KV_DELETE => keyvalue::delete as *const () as usize,
        WASMERGO_PEER_READ => peer_read as *const () as usize,
        WASMERGO_PEER_WRITE => peer_write as *const () as usize,
        WASMERGO_PEER_SIZE => peer_size as *const () as usize,
        _ => 0,
    }
}

extern "C" fn clock_realtime(_: &mut Given) -> i64 {
    now(libc::CLOCK_REALTIME)
}

extern "C" fn clock_monotonic(_: &mut Given) -> i64 {
    now(libc::CLOCK_MONOTONIC)
}

fn now(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// Random bytes of the system, fetched many at a time. None is given out twice, nor kept.
static RANDOM: Mutex<Random> = Mutex::new(Random {
    bytes: [0; 256],
    left: 0,
});

struct Random {
    bytes: [u8; 256],
    left: usize,
}

/// Fills with what the system has; false if it has none.
fn fill(bytes: &mut [u8]) -> bool {
    // This many the system gives at once, never fewer.
    bytes
        .chunks_mut(256)
        .all(|chunk| unsafe { libc::getentropy(chunk.as_mut_ptr().cast(), chunk.len()) } == 0)
}

extern "C" fn random_get(given: &mut Given) -> u64 {
    let mut random = RANDOM.lock().unwrap_or_else(PoisonError::into_inner);
    if random.left == 0 {
        if !fill(&mut random.bytes) {
            given.error = c"the system has no random bytes".as_ptr();
            return 0;
        }
        random.left = random.bytes.len();
    }
    random.left -= 8;
    let from = random.left;
    let mut number = [0; 8];
    number.swap_with_slice(&mut random.bytes[from..from + 8]);
    u64::from_le_bytes(number)
}

extern "C" fn random_fill(given: &mut Given, to: u32, len: u32) {
    if len == 0 {
        return;
    }
    if let Some(to) = given.place(to, len) {
        for (at, len) in pieces(len as usize, PIECE, false) {
            let bytes = unsafe { std::slice::from_raw_parts_mut(to.add(at), len) };
            if !fill(bytes) {
                given.error = c"the system has no random bytes".as_ptr();
            }
            if !given.goes_on() {
                return;
            }
        }
    }
}

/// Bytes that take some milliseconds.
const PIECE: usize = bulk::BYTES;

impl Given {
    /// The bytes at an address of a memory, or the guest's end. Guests that share the memory may be changing them.
    fn within(&mut self, memory: *const VMMemoryDefinition, at: u32, len: u32) -> Option<*mut u8> {
        match unsafe { memory.as_ref() } {
            Some(memory) if at as usize + len as usize <= memory.current_length => {
                Some(memory.base.wrapping_add(at as usize))
            }
            _ => {
                self.error = c"out of bounds memory access".as_ptr();
                None
            }
        }
    }

    pub fn bytes(&mut self, at: u32, len: u32) -> Option<&'static [u8]> {
        let bytes = self.within(self.memory, at, len)?;
        Some(unsafe { borrow(bytes, len as usize) })
    }

    pub fn place(&mut self, at: u32, len: u32) -> Option<*mut u8> {
        self.within(self.memory, at, len)
    }

    fn copy(
        &mut self,
        to: (*const VMMemoryDefinition, u32),
        from: (*const VMMemoryDefinition, u32),
        len: u32,
    ) {
        if let Some(to) = self.within(to.0, to.1, len)
            && let Some(from) = self.within(from.0, from.1, len)
        {
            for (at, len) in pieces(len as usize, PIECE, from < to) {
                unsafe { ptr::copy(from.add(at), to.add(at), len) };
                if len == PIECE && !self.goes_on() {
                    return;
                }
            }
        }
    }

    /// Whether long work may go on: it has not failed, and the guest is not to end.
    fn goes_on(&mut self) -> bool {
        if self.error.is_null() && interrupt::ends() {
            self.error = c"interrupted".as_ptr();
        }
        self.error.is_null()
    }
}

/// The data of the last three is another memory of the store.
extern "C" fn peer_read(given: &mut Given, to: u32, from: u32, len: u32) {
    given.copy((given.memory, to), (given.data.cast(), from), len);
}

extern "C" fn peer_write(given: &mut Given, to: u32, from: u32, len: u32) {
    given.copy((given.data.cast(), to), (given.memory, from), len);
}

extern "C" fn peer_size(given: &mut Given) -> u64 {
    let memory = unsafe { given.data.cast::<VMMemoryDefinition>().as_ref() };
    memory.map_or(0, |memory| memory.current_length as u64)
}
