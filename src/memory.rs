//! Linear memories. Each lies at the start of a reservation of the address space that is large enough for every wasm
//! access to be checked by the page tables alone. Reservations are recycled. A memory whose bytes were shown to Go as a
//! slice is not: its pages turn to zeros and stay, so a slice kept too long never sees another instance's bytes.

use crate::arena::{self, Reservation};
use crate::bytes::wasmergo_bytes;
use crate::error::{Error, wasmergo_error_kind};
use crate::r#extern::{Item, wasmergo_extern};
use crate::guard::fallible;
use crate::interrupt;
use crate::store::wasmergo_store;
use crate::tunables::GuestTunables;
use std::cell::UnsafeCell;
use std::ptr::{self, NonNull};
use std::time::{Duration, Instant};
use wasmer_compiler::Tunables;
use wasmer_types::{MemoryError, MemoryStyle, MemoryType, Pages};
use wasmer_vm::{
    ExpectedValue, InternalStoreHandle, LinearMemory, MaybeInstanceOwned, NotifyLocation,
    ThreadConditions, VMExtern, VMMemory, VMMemoryDefinition, WaiterError,
};

/// How long a guest waits on an address before it is looked whether it may go on, and what memory.atomic.wait gives when its
/// time is up.
const TURN: Duration = Duration::from_millis(2);
const TIMED_OUT: u32 = 2;

/// A memory that one store owns.
#[derive(Debug)]
pub(crate) struct GuestMemory {
    reservation: Option<Reservation>,
    ty: MemoryType,
    limit: Pages,
    /// The size, here too: a failed instantiation frees the definition before the memory.
    pages: Pages,
    definition: MaybeInstanceOwned<VMMemoryDefinition>,
    /// Of a shared memory: who waits at which address.
    conditions: Option<ThreadConditions>,
}

// The pointers lead to the memory's own mapping and to its definition, which the owning store keeps alive.
unsafe impl Send for GuestMemory {}
unsafe impl Sync for GuestMemory {}

impl GuestMemory {
    /// Makes a memory that grows to `limit` pages at most.
    pub fn new(
        ty: &MemoryType,
        limit: u32,
        place: Option<NonNull<VMMemoryDefinition>>,
    ) -> Result<Self, MemoryError> {
        let limit = Pages(limit).min(Pages::max_value());
        if ty.minimum > limit {
            return Err(MemoryError::MinimumMemoryTooLarge {
                min_requested: ty.minimum,
                max_allowed: limit,
            });
        }
        if ty.maximum.is_some_and(|maximum| maximum < ty.minimum) {
            return Err(MemoryError::InvalidMemory {
                reason: "its maximum is less than its minimum".into(),
            });
        }
        let length = ty.minimum.bytes().0;
        let reservation = Reservation::take(length)?;
        let definition = VMMemoryDefinition {
            base: reservation.base as *mut u8,
            current_length: length,
        };
        Ok(Self {
            reservation: Some(reservation),
            ty: *ty,
            limit,
            pages: ty.minimum,
            conditions: ty.shared.then(ThreadConditions::new),
            definition: match place {
                Some(place) => {
                    unsafe { place.write(definition) };
                    MaybeInstanceOwned::Instance(place)
                }
                None => MaybeInstanceOwned::Host(Box::new(UnsafeCell::new(definition))),
            },
        })
    }
}

impl LinearMemory for GuestMemory {
    fn ty(&self) -> MemoryType {
        MemoryType {
            minimum: self.size(),
            ..self.ty
        }
    }

    fn size(&self) -> Pages {
        self.pages
    }

    fn style(&self) -> MemoryStyle {
        MemoryStyle::Static
    }

    fn grow(&mut self, delta: Pages) -> Result<Pages, MemoryError> {
        let current = self.size();
        let refused = MemoryError::CouldNotGrow {
            current,
            attempted_delta: delta,
        };
        let Some(new) = current.checked_add(delta) else {
            return Err(refused);
        };
        if new > self.ty.maximum.unwrap_or(self.limit).min(self.limit) {
            return Err(refused);
        }
        if let Some(reservation) = &self.reservation {
            reservation.commit(current.bytes().0, delta.bytes().0)?;
        }
        self.pages = new;
        unsafe { self.definition.as_ptr().as_mut() }.current_length = new.bytes().0;
        Ok(current)
    }

    fn vmmemory(&self) -> NonNull<VMMemoryDefinition> {
        self.definition.as_ptr()
    }

    fn try_clone(&self) -> Result<Box<dyn LinearMemory + Send + Sync>, MemoryError> {
        Err(MemoryError::MemoryNotShared)
    }

    fn copy(&self) -> Result<Box<dyn LinearMemory + Send + Sync>, MemoryError> {
        Err(MemoryError::UnsupportedOperation {
            message: "copy".into(),
        })
    }

    unsafe fn do_wait(
        &mut self,
        address: u32,
        expected: ExpectedValue,
        timeout: Option<Duration>,
    ) -> Result<u32, WaiterError> {
        let place = NotifyLocation {
            address,
            memory_base: unsafe { self.definition.as_ptr().as_ref() }.base,
        };
        let Some(conditions) = &mut self.conditions else {
            return Err(WaiterError::Unimplemented);
        };
        // In short turns: the guest may have to stop.
        let start = Instant::now();
        let mut expected = expected;
        loop {
            let left = timeout.map_or(TURN, |timeout| timeout.saturating_sub(start.elapsed()));
            let result = unsafe { conditions.do_wait(place, expected, Some(left.min(TURN)))? };
            if result != TIMED_OUT || timeout.is_some_and(|timeout| start.elapsed() >= timeout) {
                return Ok(result);
            }
            if interrupt::is_requested() {
                return Ok(TIMED_OUT); // nobody will see it
            }
            expected = ExpectedValue::None; // it was met; from now on only a notification counts
        }
    }

    fn do_notify(&mut self, address: u32, count: u32) -> u32 {
        self.conditions
            .as_mut()
            .map_or(0, |conditions| conditions.do_notify(address, count))
    }

    fn thread_conditions(&self) -> Option<&ThreadConditions> {
        self.conditions.as_ref()
    }
}

impl Drop for GuestMemory {
    fn drop(&mut self) {
        let length = self.pages.bytes().0;
        if let Some(reservation) = self.reservation.take() {
            reservation.release(length);
        }
    }
}

/// Where a memory's bytes are now. The Go side reads it in place: it stays at one address as long as the store lives,
/// `base` never changes, `len` only grows.
#[repr(C)]
#[allow(non_camel_case_types)]
pub struct wasmergo_memory_definition {
    pub base: *mut u8,
    pub len: usize,
}

const _: () = {
    use std::mem::{offset_of, size_of};
    assert!(size_of::<wasmergo_memory_definition>() == size_of::<VMMemoryDefinition>());
    assert!(offset_of!(wasmergo_memory_definition, base) == offset_of!(VMMemoryDefinition, base));
    assert!(
        offset_of!(wasmergo_memory_definition, len)
            == offset_of!(VMMemoryDefinition, current_length)
    );
};

#[allow(clippy::mut_from_ref)] // the store's holder is the only one
fn get(memory: &wasmergo_extern) -> Result<&mut VMMemory, Error> {
    match memory.item {
        Item::Other(VMExtern::Memory(handle)) => Ok(handle.get_mut(unsafe { memory.objects() })),
        _ => Err(Error::new(wasmergo_error_kind::Internal, "not a memory")),
    }
}

/// Makes a memory. Sizes are in pages; `max` is `UINT64_MAX` for none; it grows to `limit` at most.
///
/// # Safety
/// `out` is valid; the caller holds the store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_memory_new(
    store: &wasmergo_store,
    min: u32,
    max: u64,
    shared: bool,
    limit: u32,
    out: *mut *const wasmergo_extern,
) -> wasmergo_bytes {
    fallible(|| {
        let max = u32::try_from(max).ok().map(Pages);
        let ty = MemoryType::new(Pages(min), max, shared);
        let tunables = GuestTunables::for_memory(limit);
        let memory = tunables.create_host_memory(&ty, &tunables.memory_style(&ty))?;
        let handle = InternalStoreHandle::new(unsafe { &mut *store.objects.get() }, memory);
        unsafe { out.write(store.keep(Item::Other(VMExtern::Memory(handle)))) };
        Ok(())
    })
}

/// The memory's definition; null if `memory` is none.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_memory_definition_of(
    memory: &wasmergo_extern,
) -> *const wasmergo_memory_definition {
    crate::guard::guard(|| Ok(get(memory)?.vmmemory().as_ptr().cast_const().cast()))
        .unwrap_or(ptr::null())
}

/// Grows by `delta` pages and gives the size before, in pages; `UINT64_MAX` if the memory cannot grow.
///
/// # Safety
/// The caller holds the store: no guest of it runs meanwhile, except below a host function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_memory_grow(
    memory: &wasmergo_extern,
    delta: u64,
    previous: *mut u64,
) -> wasmergo_bytes {
    fallible(|| {
        let delta = u32::try_from(delta).unwrap_or(u32::MAX);
        let before = get(memory)?
            .grow(Pages(delta))
            .map_or(u64::MAX, |pages| u64::from(pages.0));
        unsafe { previous.write(before) };
        Ok(())
    })
}

/// Notes that the bytes of the memory with this base are shown as a slice: its address range is never recycled. The
/// memory must stay alive meanwhile; its store need not be held.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_memory_show(base: usize) -> wasmergo_bytes {
    fallible(|| {
        arena::show(base);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_page() -> GuestMemory {
        GuestMemory::new(&MemoryType::new(1, Some(3), false), 65536, None).unwrap()
    }

    fn bytes(memory: &GuestMemory) -> &'static mut [u8] {
        let definition = unsafe { memory.vmmemory().as_ref() };
        unsafe { std::slice::from_raw_parts_mut(definition.base, definition.current_length) }
    }

    #[test]
    fn a_recycled_reservation_is_zero() {
        for _ in 0..100 {
            let mut memory = one_page();
            memory.grow(Pages(2)).unwrap();
            assert!(bytes(&memory).iter().all(|b| *b == 0));
            bytes(&memory).fill(0xaa);
        }
    }

    #[test]
    fn a_shown_memory_stays_readable_and_is_never_another_ones() {
        let mut kept = Vec::new();
        for round in 0..2000 {
            let memory = one_page();
            let view = bytes(&memory);
            view.fill(round as u8 | 1);
            let base = unsafe { memory.vmmemory().as_ref() }.base as usize;
            arena::show(base);
            drop(memory);
            kept.push(view);
        }
        let later: Vec<_> = (0..50).map(|_| one_page()).collect();
        later.iter().for_each(|memory| bytes(memory).fill(0xbb));
        assert!(kept.iter().all(|view| view.iter().all(|b| *b == 0)));
    }

    #[test]
    fn growth_stops_at_the_maximum() {
        let mut memory = one_page();
        assert_eq!(memory.grow(Pages(2)).unwrap(), Pages(1));
        assert!(memory.grow(Pages(1)).is_err());
        assert_eq!(memory.grow(Pages(0)).unwrap(), Pages(3));
    }
}
