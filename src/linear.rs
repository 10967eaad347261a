//! Linear memories. Each lies at the start of a reservation of the address space that is large enough for every wasm
//! access to be checked by the page tables alone, or, if it is bounded, in a chunk that is as large as it, and may move when it
//! grows. Both are recycled. A place whose bytes were shown to Go as a slice is not: its pages turn to zeros and stay, so a
//! slice kept too long never sees another instance's bytes.

use crate::arena::Reservation;
use crate::budget::{Budget, Share};
use crate::function::Call;
use crate::image::Image;
use crate::interrupt;
use crate::latch::Latch;
use crate::memory_stats;
use crate::region::Chunk;
use crate::resource::explain;
use crate::statistics;
use std::cell::UnsafeCell;
use std::io;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmer_types::{MemoryError, MemoryStyle, MemoryType, Pages};
use wasmer_vm::{
    ExpectedValue, LinearMemory, MaybeInstanceOwned, NotifyLocation, ThreadConditions, VMMemory,
    VMMemoryDefinition, WaiterError,
};

/// How long a guest waits on an address before it is looked whether it may go on, and what memory.atomic.wait gives when its
/// time is up.
const TURN: Duration = Duration::from_millis(2);
const TIMED_OUT: u32 = 2;

/// A memory that one store owns.
#[derive(Debug)]
pub(crate) struct GuestMemory {
    pub place: Option<Place>,
    pub latch: Latch,
    pub share: Share,
    ty: MemoryType,
    limit: Pages,
    /// The size, here too: a failed instantiation frees the definition before the memory.
    pub pages: Pages,
    pub definition: MaybeInstanceOwned<VMMemoryDefinition>,
    /// Of a shared memory: who waits at which address.
    conditions: Option<ThreadConditions>,
    /// What its place shows; it is kept until that is given back.
    pub image: Option<Arc<Image>>,
}

#[derive(Debug)]
pub(crate) enum Place {
    Reserved(Reservation),
    /// With the places that it moved away from while a host function may have had a slice of them, and how many bytes of
    /// each it used.
    Bounded(Chunk, Vec<(Chunk, usize)>),
}

// The pointers lead to the memory's own mapping and to its definition, which the owning store keeps alive.
unsafe impl Send for GuestMemory {}
unsafe impl Sync for GuestMemory {}

impl GuestMemory {
    /// Makes a memory that grows to `limit` pages at most, and begins with the image if there is one, which has no more bytes.
    pub fn new(
        ty: &MemoryType,
        style: MemoryStyle,
        limit: u32,
        budget: Option<&Arc<Budget>>,
        definition_place: Option<NonNull<VMMemoryDefinition>>,
        image: Option<&Arc<Image>>,
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
        let image = fitting(image, length)?;
        let share = Share::take(budget, ty.minimum)?;
        let (place, base) = match style {
            MemoryStyle::Static => {
                let reservation = Reservation::take(length, image.map(Arc::as_ref))?;
                let base = reservation.base;
                (Place::Reserved(reservation), base)
            }
            MemoryStyle::Dynamic { .. } => {
                let chunk = Chunk::take(length, image.map(Arc::as_ref));
                let chunk = chunk.map_err(|error| refused(length, &error))?;
                let base = chunk.base;
                (Place::Bounded(chunk, Vec::new()), base)
            }
        };
        let definition = VMMemoryDefinition {
            base: base as *mut u8,
            current_length: length,
        };
        memory_stats::made(length);
        Ok(Self {
            place: Some(place),
            latch: Latch::default(),
            share,
            ty: *ty,
            limit,
            pages: ty.minimum,
            image: image.cloned(),
            conditions: ty.shared.then(ThreadConditions::new),
            definition: match definition_place {
                Some(place) => {
                    unsafe { place.write(definition) };
                    MaybeInstanceOwned::Instance(place)
                }
                None => MaybeInstanceOwned::Host(Box::new(UnsafeCell::new(definition))),
            },
        })
    }

    /// What a memory is: all are made by `tunables`.
    pub fn of(memory: &mut VMMemory) -> &mut Self {
        let made: *mut (dyn LinearMemory + Send + Sync) = &mut *memory.0;
        unsafe { &mut *made.cast() }
    }

    /// Makes room for `len` bytes, in another place if need be.
    fn make_room(&mut self, len: usize) -> io::Result<()> {
        let used = self.pages.bytes().0;
        let most = self.most().bytes().0;
        match &mut self.place {
            None => Ok(()),
            Some(Place::Reserved(reservation)) => reservation.commit(used, len - used),
            Some(Place::Bounded(chunk, left)) => {
                if chunk.extend(len, most) {
                    return Ok(());
                }
                // It may have a slice of the memory, as those of WASI have.
                let keep = Call::in_host_function();
                let moved = self.latch.alone(|| {
                    let before = chunk.relocate(used, len, most, keep)?;
                    unsafe { self.definition.as_ptr().as_mut() }.base = chunk.base as *mut u8;
                    match keep {
                        true => left.push((before, used)),
                        false => {
                            before.release(used);
                            left.drain(..).for_each(|(chunk, used)| chunk.release(used));
                        }
                    }
                    Ok(())
                });
                moved.unwrap_or_else(|| Err(io::ErrorKind::ResourceBusy.into()))
            }
        }
    }

    fn most(&self) -> Pages {
        self.ty.maximum.unwrap_or(self.limit).min(self.limit)
    }
}

/// The image, which a memory of this length has room for.
pub(crate) fn fitting(
    image: Option<&Arc<Image>>,
    length: usize,
) -> Result<Option<&Arc<Image>>, MemoryError> {
    match image {
        Some(image) if image.end() > length => Err(MemoryError::Region(format!(
            "an image of {} bytes for a memory of {length}",
            image.end()
        ))),
        _ => Ok(image),
    }
}

#[cold]
pub(crate) fn refused(length: usize, error: &io::Error) -> MemoryError {
    MemoryError::Region(format!(
        "cannot map {length} bytes for a memory: {}",
        explain(error, length)
    ))
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
        match self.place {
            Some(Place::Bounded(..)) => MemoryStyle::Dynamic {
                offset_guard_size: 0,
            },
            _ => MemoryStyle::Static,
        }
    }

    fn grow(&mut self, delta: Pages) -> Result<Pages, MemoryError> {
        let current = self.size();
        let refused = || {
            statistics::refused_growth();
            MemoryError::CouldNotGrow {
                current,
                attempted_delta: delta,
            }
        };
        let Some(new) = current.checked_add(delta) else {
            return Err(refused());
        };
        if new > self.most() || !self.share.grow(delta) {
            return Err(refused());
        }
        if self.make_room(new.bytes().0).is_err() {
            self.share.shrink(delta);
            return Err(refused());
        }
        memory_stats::grown(delta.bytes().0);
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
        memory_stats::freed(length);
        match self.place.take() {
            Some(Place::Reserved(reservation)) => reservation.release(length),
            Some(Place::Bounded(chunk, left)) => {
                chunk.release(length);
                left.into_iter()
                    .for_each(|(chunk, used)| chunk.release(used));
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena;

    const BOUNDED: MemoryStyle = MemoryStyle::Dynamic {
        offset_guard_size: 0,
    };
    const STYLES: [MemoryStyle; 2] = [MemoryStyle::Static, BOUNDED];

    fn one_page(style: MemoryStyle) -> GuestMemory {
        GuestMemory::new(
            &MemoryType::new(1, Some(3), false),
            style,
            65536,
            None,
            None,
            None,
        )
        .unwrap()
    }

    fn bytes(memory: &GuestMemory) -> &'static mut [u8] {
        let definition = unsafe { memory.vmmemory().as_ref() };
        unsafe { std::slice::from_raw_parts_mut(definition.base, definition.current_length) }
    }

    #[test]
    fn a_recycled_place_is_zero() {
        for style in STYLES {
            for _ in 0..100 {
                let mut memory = one_page(style);
                memory.grow(Pages(2)).unwrap();
                assert!(bytes(&memory).iter().all(|b| *b == 0));
                bytes(&memory).fill(0xaa);
            }
        }
    }

    #[test]
    fn a_shown_memory_stays_readable_and_is_never_another_ones() {
        for style in STYLES {
            let mut kept = Vec::new();
            for round in 0..2000 {
                let mut memory = one_page(style);
                let view = bytes(&memory);
                view.fill(round as u8 | 1);
                let base = unsafe { memory.vmmemory().as_ref() }.base as usize;
                arena::show(base);
                if round % 3 == 0 {
                    memory.grow(Pages(2)).unwrap();
                }
                drop(memory);
                kept.push(view);
            }
            let later: Vec<_> = (0..50).map(|_| one_page(style)).collect();
            later.iter().for_each(|memory| bytes(memory).fill(0xbb));
            assert!(kept.iter().all(|view| view.iter().all(|b| *b == 0)));
        }
    }

    #[test]
    fn growth_stops_at_the_maximum() {
        for style in STYLES {
            let mut memory = one_page(style);
            assert_eq!(memory.grow(Pages(2)).unwrap(), Pages(1));
            assert!(memory.grow(Pages(1)).is_err());
            assert_eq!(memory.grow(Pages(0)).unwrap(), Pages(3));
        }
    }
}
