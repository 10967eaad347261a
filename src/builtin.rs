//! Functions of the engine that compiled code calls through a table of addresses beside each instance, where wasmer's are
//! wrong:
//!
//! - memory.fill, .copy and .init add offset and length in 32 bits, so that an end at exactly 4 GiB lies outside of every
//!   memory. Ours do these cases, and leave all others to wasmer's.
//! - table.grow ends the process if there is no memory. Ours looks before.
//! - table.init takes all segments for ones of functions, and ends the process over a table of other references. Ours does
//!   these tables, and the elements that wasmer does not know (`element.rs`).

use crate::function::Call;
use crate::instance::wasmergo_instance;
use crate::table::can_grow;
use wasmer_types::{DataIndex, ElemIndex, ExportIndex, MemoryIndex, TableIndex, TrapCode, Type};
use wasmer_vm::libcalls::{
    wasmer_vm_data_drop, wasmer_vm_elem_drop, wasmer_vm_imported_memory32_fill,
    wasmer_vm_imported_table_grow, wasmer_vm_memory32_copy, wasmer_vm_memory32_fill,
    wasmer_vm_memory32_init, wasmer_vm_raise_trap, wasmer_vm_table_grow, wasmer_vm_table_init,
};
use wasmer_vm::{
    LinearMemory, VMBuiltinFunctionIndex, VMContext, VMExtern, VMInstance, on_host_stack,
};

/// Puts our functions into the instance's table.
pub(crate) fn install(instance: &VMInstance) {
    type Index = VMBuiltinFunctionIndex;
    let functions = [
        (Index::get_memory_copy_index(), copy as *const () as usize),
        (Index::get_memory_fill_index(), fill as *const () as usize),
        (
            Index::get_imported_memory_fill_index(),
            imported_fill as *const () as usize,
        ),
        (Index::get_memory_init_index(), init as *const () as usize),
        (
            Index::get_table_grow_index(),
            table_grow as *const () as usize,
        ),
        (
            Index::get_imported_table_grow_index(),
            imported_table_grow as *const () as usize,
        ),
        (
            Index::get_table_init_index(),
            table_init as *const () as usize,
        ),
        (
            Index::get_data_drop_index(),
            data_drop as *const () as usize,
        ),
        (
            Index::get_elem_drop_index(),
            elem_drop as *const () as usize,
        ),
    ];
    let offsets = instance.vmoffsets();
    for (index, function) in functions {
        let offset = offsets.vmctx_builtin_function(index) as usize;
        let slot = instance.vmctx_ptr().cast::<u8>().wrapping_add(offset);
        unsafe { slot.cast::<usize>().write(function) };
    }
}

fn overflows(offset: u32, len: u32) -> bool {
    offset.checked_add(len).is_none()
}

/// The instance whose code runs right now, by its context.
fn running<'a>(context: *mut VMContext) -> Option<&'a wasmergo_instance> {
    Call::current()?.store().instance_of(context)
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

/// table.grow of wasmer, with the reference as compiled code passes it: a word, which is all that wasmer's private type is.
type TableGrow = unsafe extern "C" fn(*mut VMContext, usize, u32, u32) -> u32;

// When wasmer's functions trap they do not return: nothing here may have a destructor to run then.

unsafe extern "C" fn fill(context: *mut VMContext, memory: u32, at: u32, value: u32, len: u32) {
    if overflows(at, len)
        && let Some(memory) = unsafe { Memory::find(context, memory, true) }
        && let Some(to) = memory.at(at, len)
    {
        return unsafe { to.write_bytes(value as u8, len as usize) };
    }
    unsafe { wasmer_vm_memory32_fill(context, memory, at, value, len) }
}

unsafe extern "C" fn imported_fill(
    context: *mut VMContext,
    memory: u32,
    at: u32,
    value: u32,
    len: u32,
) {
    if overflows(at, len)
        && let Some(memory) = unsafe { Memory::find(context, memory, false) }
        && let Some(to) = memory.at(at, len)
    {
        return unsafe { to.write_bytes(value as u8, len as usize) };
    }
    unsafe { wasmer_vm_imported_memory32_fill(context, memory, at, value, len) }
}

unsafe extern "C" fn copy(
    context: *mut VMContext,
    target: u32,
    source: u32,
    to: u32,
    from: u32,
    len: u32,
) {
    if (overflows(to, len) || overflows(from, len))
        && let Some(target) = unsafe { Memory::find(context, target, false) }
        && let Some(source) = unsafe { Memory::find(context, source, false) }
        && let (Some(to), Some(from)) = (target.at(to, len), source.at(from, len))
    {
        return unsafe { std::ptr::copy(from, to, len as usize) };
    }
    unsafe { wasmer_vm_memory32_copy(context, target, source, to, from, len) }
}

unsafe extern "C" fn init(
    context: *mut VMContext,
    memory: u32,
    segment: u32,
    at: u32,
    from: u32,
    len: u32,
) {
    if overflows(at, len)
        && let Some(instance) = running(context)
        && let Some(memory) = unsafe { Memory::find(context, memory, false) }
        && let Some(to) = memory.at(at, len)
        && let Some(bytes) = segment_bytes(instance, segment, from, len)
    {
        return unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }
    unsafe { wasmer_vm_memory32_init(context, memory, segment, at, from, len) }
}

fn segment_bytes(instance: &wasmergo_instance, segment: u32, from: u32, len: u32) -> Option<&[u8]> {
    let segment = DataIndex::from_u32(segment);
    if instance.dropped_data.borrow().contains(&segment) {
        return None;
    }
    let bytes = instance.module.info().passive_data.get(&segment)?;
    bytes.get(from as usize..from as usize + len as usize)
}

unsafe extern "C" fn data_drop(context: *mut VMContext, segment: u32) {
    on_host_stack(|| {
        if let Some(instance) = running(context) {
            let mut dropped = instance.dropped_data.borrow_mut();
            dropped.insert(DataIndex::from_u32(segment));
        }
    });
    unsafe { wasmer_vm_data_drop(context, segment) }
}

unsafe extern "C" fn table_init(
    context: *mut VMContext,
    table: u32,
    segment: u32,
    to: u32,
    from: u32,
    len: u32,
) {
    // Nothing with a destructor may be left when wasmer's functions trap.
    enum Next {
        Functions { globals: bool },
        Done,
        Trap,
    }
    let instance = running(context);
    let next = match instance {
        None => Next::Functions { globals: false },
        Some(instance) => {
            let info = instance.module.info();
            if info.tables[TableIndex::from_u32(table)].ty == Type::ExternRef {
                match instance.initialize_with_nulls(segment, table, to, from, len) {
                    Ok(true) => Next::Done,
                    _ => Next::Trap,
                }
            } else {
                Next::Functions {
                    globals: !instance.module.notes.elements.is_empty(),
                }
            }
        }
    };
    match next {
        Next::Trap => unsafe { wasmer_vm_raise_trap(TrapCode::TableAccessOutOfBounds) },
        Next::Functions { globals } => {
            unsafe { wasmer_vm_table_init(context, table, segment, to, from, len) };
            if !globals {
                return;
            }
        }
        Next::Done => {}
    }
    if let Some(instance) = instance {
        // Cannot fail: the bounds have been checked.
        let _ = instance.initialize_elements_of(segment, table, to, from, len);
    }
}

unsafe extern "C" fn table_grow(
    context: *mut VMContext,
    init: usize,
    delta: u32,
    table: u32,
) -> u32 {
    match has_memory(context, table, true, delta) {
        true => unsafe {
            let grow = wasmer_vm_table_grow as *const ();
            std::mem::transmute::<*const (), TableGrow>(grow)(context, init, delta, table)
        },
        false => u32::MAX,
    }
}

unsafe extern "C" fn imported_table_grow(
    context: *mut VMContext,
    init: usize,
    delta: u32,
    table: u32,
) -> u32 {
    match has_memory(context, table, false, delta) {
        true => unsafe {
            let grow = wasmer_vm_imported_table_grow as *const ();
            std::mem::transmute::<*const (), TableGrow>(grow)(context, init, delta, table)
        },
        false => u32::MAX,
    }
}

/// Whether there is memory for the table to grow; with `own`, the index counts the tables that the module defines.
fn has_memory(context: *mut VMContext, table: u32, own: bool, delta: u32) -> bool {
    on_host_stack(|| {
        let Some(instance) = running(context) else {
            return true;
        };
        let imported = instance.module.info().num_imported_tables as u32;
        let index = if own { imported + table } else { table };
        let Ok(table) = instance.table(TableIndex::from_u32(index)) else {
            return true;
        };
        let size = table.get_runtime_size();
        can_grow(size, size.saturating_add(delta))
    })
}

unsafe extern "C" fn elem_drop(context: *mut VMContext, segment: u32) {
    on_host_stack(|| {
        if let Some(instance) = running(context) {
            let mut dropped = instance.dropped.borrow_mut();
            dropped.insert(ElemIndex::from_u32(segment));
        }
    });
    unsafe { wasmer_vm_elem_drop(context, segment) }
}
