//! Memories, as the Go side makes and uses them.

use crate::arena;
use crate::bytes::wasmergo_bytes;
use crate::engine::wasmergo_engine;
use crate::error::{Error, wasmergo_error_kind};
use crate::r#extern::{Item, wasmergo_extern};
use crate::guard::{fallible, guard};
use crate::linear::GuestMemory;
use crate::store::wasmergo_store;
use crate::tunables::GuestTunables;
use std::ptr;
use wasmer_compiler::Tunables;
use wasmer_types::{MemoryStyle, MemoryType, Pages};
use wasmer_vm::{InternalStoreHandle, LinearMemory, VMExtern, VMMemory, VMMemoryDefinition};

/// Where a memory's bytes are now. The Go side reads it in place: it stays at one address as long as the store lives. `len`
/// only grows; `base` changes when a bounded memory grows, see `wasmergo_memory_definition_of`.
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

/// Makes a memory. Sizes are in pages; `max` is `UINT64_MAX` for none; it grows to `limit` at most, and counts as one of the
/// engine, if that is not null.
///
/// # Safety
/// `out` is valid; the caller holds the store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_memory_new(
    store: &wasmergo_store,
    engine: Option<&wasmergo_engine>,
    min: u32,
    max: u64,
    shared: bool,
    limit: u32,
    bounded: bool,
    out: *mut *const wasmergo_extern,
) -> wasmergo_bytes {
    fallible(|| {
        let max = u32::try_from(max).ok().map(Pages);
        let ty = MemoryType::new(Pages(min), max, shared);
        let tunables = GuestTunables::for_memory(
            limit,
            bounded,
            engine.and_then(|engine| engine.budget.clone()),
        );
        let memory = tunables.create_host_memory(&ty, &tunables.memory_style(&ty))?;
        let handle = InternalStoreHandle::new(unsafe { &mut *store.objects.get() }, memory);
        unsafe { out.write(store.keep(Item::Other(VMExtern::Memory(handle)))) };
        Ok(())
    })
}

/// The memory's definition; null if `memory` is none. `latch` gets, of a bounded memory, the word in which accesses from
/// outside of calls count themselves, so that it does not move meanwhile (see `WASMERGO_LATCH_MOVING`), and after it that in
/// which views do, during an access, so that it does not move until they end; both live as long as the store. It gets null for
/// others, which never move.
///
/// # Safety
/// `latch` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_memory_definition_of(
    memory: &wasmergo_extern,
    latch: *mut *const u64,
) -> *const wasmergo_memory_definition {
    guard(|| {
        let memory = get(memory)?;
        let word = match memory.style() {
            MemoryStyle::Static => ptr::null(),
            MemoryStyle::Dynamic { .. } => GuestMemory::of(memory).latch.address(),
        };
        unsafe { latch.write(word) };
        Ok(memory.vmmemory().as_ptr().cast_const().cast())
    })
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
