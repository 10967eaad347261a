//! Instructions that work on a range of a memory or table. Long ranges are done in pieces, so that the guest can be stopped
//! in between; wasmer's functions do the pieces. Where those are wrong, ours are not: they add offset and length in 32 bits,
//! so that an end at exactly 4 GiB lies outside of every memory; and they end the process over a table that there is no memory for.
//!
//! When wasmer's functions trap they do not return: nothing here may have a destructor to run then.

use crate::builtin::{NO_SEGMENT, running};
use crate::instance::wasmergo_instance;
use crate::interrupt;
use crate::table::can_grow;
use std::ptr;
use wasmer_types::{DataIndex, ExportIndex, MemoryIndex, TableIndex};
use wasmer_vm::libcalls::{
    wasmer_vm_imported_memory32_fill, wasmer_vm_imported_table_grow, wasmer_vm_memory32_copy,
    wasmer_vm_memory32_fill, wasmer_vm_memory32_init, wasmer_vm_table_copy, wasmer_vm_table_fill,
    wasmer_vm_table_grow,
};
use wasmer_vm::{LinearMemory, VMContext, VMExtern, on_host_stack};

/// Bytes of a memory, and elements of a table, that are done at a time: some tenths of a millisecond if the pages are new.
pub(crate) const BYTES: usize = 1 << 20;
const ELEMENTS: u32 = 1 << 16;

fn is_long(offset: u32, len: u32) -> bool {
    len as usize > BYTES || offset.checked_add(len).is_none()
}

/// The pieces of a range as (offset, size), the last one first if `backwards`.
pub(crate) fn pieces(
    len: usize,
    size: usize,
    backwards: bool,
) -> impl Iterator<Item = (usize, usize)> {
    let count = len.div_ceil(size);
    (0..count).map(move |number| {
        let number = if backwards {
            count - 1 - number
        } else {
            number
        };
        let offset = number * size;
        (offset, size.min(len - offset))
    })
}

/// A memory of the instance whose code runs right now.
struct Memory {
    base: *mut u8,
    len: u64,
}

impl Memory {
    /// With `own`, the index counts the memories that the module defines, else all.
    unsafe fn find(context: *mut VMContext, index: u32, own: bool) -> Option<Self> {
        let instance = running(context)?;
        let vm = unsafe { &mut *instance.vm() };
        let imported = vm.module_ref().num_imported_memories as u32;
        let index = MemoryIndex::from_u32(if own { imported + index } else { index });
        let VMExtern::Memory(handle) = vm.lookup_by_declaration(ExportIndex::Memory(index)) else {
            return None;
        };
        let definition = unsafe { handle.get(instance.objects()).vmmemory().as_ref() };
        Some(Self {
            base: definition.base,
            len: definition.current_length as u64,
        })
    }

    fn at(&self, offset: u32, len: u32) -> Option<*mut u8> {
        let end = u64::from(offset) + u64::from(len);
        (end <= self.len).then(|| self.base.wrapping_add(offset as usize))
    }
}

unsafe fn fill_pieces(to: *mut u8, value: u32, len: u32) {
    for (offset, size) in pieces(len as usize, BYTES, false) {
        unsafe { to.add(offset).write_bytes(value as u8, size) };
        interrupt::check();
    }
}

/// memory.fill of wasmer.
type Fill = unsafe extern "C" fn(*mut VMContext, u32, u32, u32, u32);

/// With `own`, the index counts the memories that the module defines, else all.
unsafe fn fill_either(
    own: bool,
    wasmers: Fill,
    context: *mut VMContext,
    memory: u32,
    (at, value, len): (u32, u32, u32),
) {
    if is_long(at, len)
        && let Some(found) = unsafe { Memory::find(context, memory, own) }
        && let Some(to) = found.at(at, len)
    {
        return unsafe { fill_pieces(to, value, len) };
    }
    unsafe { wasmers(context, memory, at, value, len) }
}

pub(crate) unsafe extern "C" fn fill(
    context: *mut VMContext,
    memory: u32,
    at: u32,
    value: u32,
    len: u32,
) {
    unsafe {
        fill_either(
            true,
            wasmer_vm_memory32_fill,
            context,
            memory,
            (at, value, len),
        )
    }
}

pub(crate) unsafe extern "C" fn imported_fill(
    context: *mut VMContext,
    memory: u32,
    at: u32,
    value: u32,
    len: u32,
) {
    let wasmers = wasmer_vm_imported_memory32_fill;
    unsafe { fill_either(false, wasmers, context, memory, (at, value, len)) }
}

pub(crate) unsafe extern "C" fn copy(
    context: *mut VMContext,
    target: u32,
    source: u32,
    to: u32,
    from: u32,
    len: u32,
) {
    if (is_long(to, len) || is_long(from, len))
        && let Some(target) = unsafe { Memory::find(context, target, false) }
        && let Some(source) = unsafe { Memory::find(context, source, false) }
        && let (Some(to), Some(from)) = (target.at(to, len), source.at(from, len))
    {
        for (offset, size) in pieces(len as usize, BYTES, to.cast_const() > from) {
            unsafe { ptr::copy(from.add(offset), to.add(offset), size) };
            interrupt::check();
        }
        return;
    }
    unsafe { wasmer_vm_memory32_copy(context, target, source, to, from, len) }
}

pub(crate) unsafe extern "C" fn init(
    context: *mut VMContext,
    memory: u32,
    segment: u32,
    at: u32,
    from: u32,
    len: u32,
) {
    let instance = running(context);
    if instance.is_some_and(|instance| is_dropped(instance, segment)) {
        return unsafe { wasmer_vm_memory32_init(context, memory, NO_SEGMENT, at, from, len) };
    }
    if is_long(at, len)
        && let Some(instance) = instance
        && let Some(memory) = unsafe { Memory::find(context, memory, false) }
        && let Some(to) = memory.at(at, len)
        && let Some(bytes) = segment_bytes(instance, segment, from, len)
    {
        for (offset, size) in pieces(bytes.len(), BYTES, false) {
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr().add(offset), to.add(offset), size) };
            interrupt::check();
        }
        return;
    }
    unsafe { wasmer_vm_memory32_init(context, memory, segment, at, from, len) }
}

fn is_dropped(instance: &wasmergo_instance, segment: u32) -> bool {
    let dropped = instance.dropped_data.borrow();
    dropped.contains(&DataIndex::from_u32(segment))
}

fn segment_bytes(instance: &wasmergo_instance, segment: u32, from: u32, len: u32) -> Option<&[u8]> {
    let segment = DataIndex::from_u32(segment);
    let bytes = instance.module.info().passive_data.get(&segment)?;
    bytes.get(from as usize..from as usize + len as usize)
}

/// Functions of wasmer with a reference as compiled code passes it: a word, which is all that wasmer's private type is.
type TableGrow = unsafe extern "C" fn(*mut VMContext, usize, u32, u32) -> u32;
type TableFill = unsafe extern "C" fn(*mut VMContext, u32, u32, usize, u32);

/// The size of a table of the instance whose code runs right now, and the most that it can have; the index counts all tables.
fn table_size(context: *mut VMContext, table: u32) -> Option<(u32, u32)> {
    on_host_stack(|| {
        let table = running(context)?.table(TableIndex::from_u32(table)).ok()?;
        let most = table.ty().maximum.unwrap_or(u32::MAX);
        Some((table.get_runtime_size(), most))
    })
}

fn fits(context: *mut VMContext, table: u32, at: u32, len: u32) -> bool {
    table_size(context, table)
        .is_some_and(|(size, _)| at.checked_add(len).is_some_and(|end| end <= size))
}

pub(crate) unsafe extern "C" fn table_fill(
    context: *mut VMContext,
    table: u32,
    at: u32,
    reference: usize,
    len: u32,
) {
    let fill = wasmer_vm_table_fill as *const ();
    let fill = unsafe { std::mem::transmute::<*const (), TableFill>(fill) };
    if len <= ELEMENTS || !fits(context, table, at, len) {
        return unsafe { fill(context, table, at, reference, len) };
    }
    for (offset, size) in pieces(len as usize, ELEMENTS as usize, false) {
        unsafe { fill(context, table, at + offset as u32, reference, size as u32) };
        interrupt::check();
    }
}

pub(crate) unsafe extern "C" fn table_copy(
    context: *mut VMContext,
    target: u32,
    source: u32,
    to: u32,
    from: u32,
    len: u32,
) {
    if len <= ELEMENTS || !fits(context, target, to, len) || !fits(context, source, from, len) {
        return unsafe { wasmer_vm_table_copy(context, target, source, to, from, len) };
    }
    // Right for one table, and no different for two.
    for (offset, size) in pieces(len as usize, ELEMENTS as usize, to > from) {
        let (to, from) = (to + offset as u32, from + offset as u32);
        unsafe { wasmer_vm_table_copy(context, target, source, to, from, size as u32) };
        interrupt::check();
    }
}

pub(crate) unsafe extern "C" fn table_grow(
    context: *mut VMContext,
    init: usize,
    delta: u32,
    table: u32,
) -> u32 {
    let imported =
        running(context).map_or(0, |instance| instance.module.info().num_imported_tables);
    unsafe {
        grow(
            context,
            init,
            delta,
            table,
            imported as u32,
            wasmer_vm_table_grow as *const (),
        )
    }
}

pub(crate) unsafe extern "C" fn imported_table_grow(
    context: *mut VMContext,
    init: usize,
    delta: u32,
    table: u32,
) -> u32 {
    unsafe {
        grow(
            context,
            init,
            delta,
            table,
            0,
            wasmer_vm_imported_table_grow as *const (),
        )
    }
}

/// `first` is the number of the table that has the index 0.
unsafe fn grow(
    context: *mut VMContext,
    init: usize,
    delta: u32,
    table: u32,
    first: u32,
    grow: *const (),
) -> u32 {
    let grow = unsafe { std::mem::transmute::<*const (), TableGrow>(grow) };
    let Some((size, most)) = table_size(context, first + table) else {
        return unsafe { grow(context, init, delta, table) };
    };
    let grown = size.checked_add(delta).filter(|grown| *grown <= most);
    if !grown.is_some_and(|grown| on_host_stack(|| can_grow(size, grown))) {
        crate::statistics::refused_growth();
        return u32::MAX;
    }
    let mut before = size;
    for (number, (_, piece)) in
        pieces((delta as usize).max(1), ELEMENTS as usize, false).enumerate()
    {
        let result = unsafe { grow(context, init, (piece as u32).min(delta), table) };
        if number == 0 {
            before = result;
        }
        interrupt::check();
    }
    before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_a_range_once() {
        for (len, backwards) in [(0, false), (1, true), (10, false), (25, true), (30, false)] {
            let mut all: Vec<_> = pieces(len, 10, backwards).collect();
            if backwards {
                all.reverse();
            }
            let covered: Vec<_> = all.iter().flat_map(|(at, size)| *at..at + size).collect();
            assert_eq!(covered, (0..len).collect::<Vec<_>>());
        }
    }
}
