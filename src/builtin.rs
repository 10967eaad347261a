//! Bulk memory operations that end exactly at 4 GiB. Compiled code calls wasmer's functions through a table of addresses
//! beside each instance. Those functions add offset and length in 32 bits, so for them such an end lies outside of every
//! memory. Ours do these cases, and leave all others to wasmer's.

use crate::function::Call;
use wasmer_types::{ExportIndex, MemoryIndex};
use wasmer_vm::libcalls::{
    wasmer_vm_imported_memory32_fill, wasmer_vm_memory32_copy, wasmer_vm_memory32_fill,
    wasmer_vm_memory32_init,
};
use wasmer_vm::{LinearMemory, VMBuiltinFunctionIndex, VMContext, VMExtern, VMInstance};

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

/// A memory of the instance whose code runs right now.
struct Memory {
    base: *mut u8,
    len: u64,
}

impl Memory {
    /// With `own`, the index counts the memories that the module defines, else all.
    unsafe fn find(context: *mut VMContext, index: u32, own: bool) -> Option<Self> {
        let store = Call::current()?.store();
        let instances = store.instances.borrow();
        let mut all = instances.iter().map(|instance| instance.vm());
        let instance = all.find(|instance| unsafe { (**instance).vmctx_ptr() } == context)?;
        let imported = unsafe { (*instance).module_ref() }.num_imported_memories as u32;
        let index = MemoryIndex::from_u32(if own { imported + index } else { index });
        let export = ExportIndex::Memory(index);
        let VMExtern::Memory(handle) = (unsafe { (*instance).lookup_by_declaration(export) })
        else {
            return None;
        };
        let objects = unsafe { &*store.objects.get() };
        let definition = unsafe { handle.get(objects).vmmemory().as_ref() };
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

/// The segment is known to wasmer only: it writes the last byte to the memory's start, from where it is moved. Nothing
/// else runs meanwhile, and a segment that is too short traps before anything is written.
unsafe extern "C" fn init(
    context: *mut VMContext,
    memory: u32,
    segment: u32,
    at: u32,
    from: u32,
    len: u32,
) {
    if overflows(at, len)
        && let Some(found) = unsafe { Memory::find(context, memory, false) }
        && let Some(last) = found.at(u32::MAX, 1)
        && found.at(at, len).is_some()
        && let Some(from_last) = from.checked_add(len - 1)
    {
        unsafe {
            let first = found.base.read();
            wasmer_vm_memory32_init(context, memory, segment, 0, from_last, 1);
            let byte = found.base.replace(first);
            wasmer_vm_memory32_init(context, memory, segment, at, from, len - 1);
            return last.write(byte);
        }
    }
    unsafe { wasmer_vm_memory32_init(context, memory, segment, at, from, len) }
}
