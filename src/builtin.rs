//! Functions of the engine that compiled code calls through a table of addresses beside each instance. All return by way of
//! `closing`; and some are ours, where wasmer's are wrong:
//!
//! - memory.fill, .copy and .init add offset and length in 32 bits, so that an end at exactly 4 GiB lies outside of every
//!   memory. Ours do these cases, and leave all others to wasmer's.
//! - table.grow ends the process if there is no memory. Ours looks before.
//! - table.init takes all segments for ones of functions, and ends the process over a table of other references. Ours does
//!   these tables, and the elements that wasmer does not know (`element.rs`).

use crate::function::Call;
use crate::instance::wasmergo_instance;
use crate::stack;
use crate::table::can_grow;
use crate::thread::stack_pointer;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use wasmer_types::{DataIndex, ElemIndex, ExportIndex, MemoryIndex, TableIndex, TrapCode, Type};
use wasmer_vm::libcalls::{
    wasmer_vm_alloc_exception, wasmer_vm_data_drop, wasmer_vm_elem_drop,
    wasmer_vm_imported_memory32_fill, wasmer_vm_imported_table_grow, wasmer_vm_memory32_copy,
    wasmer_vm_memory32_fill, wasmer_vm_memory32_init, wasmer_vm_raise_trap, wasmer_vm_table_grow,
    wasmer_vm_table_init,
};
use wasmer_vm::{
    LinearMemory, StoreObject, VMBuiltinFunctionIndex, VMContext, VMExceptionObj, VMExtern,
    VMInstance, on_host_stack, raise_user_trap,
};

const COUNT: usize = VMBuiltinFunctionIndex::builtin_functions_total_number() as usize;

/// What the entries of the table lead to: wasmer's functions and ours.
static TARGETS: [AtomicUsize; COUNT] = [const { AtomicUsize::new(0) }; COUNT];

/// Whatever the function: none has more arguments, and all are integers or addresses.
type Function = unsafe extern "C-unwind" fn(usize, usize, usize, usize, usize, usize) -> usize;

/// Calls a function of the table, and closes the reserve of the stack if that opened it: it is not for the guest.
unsafe extern "C-unwind" fn closing<const INDEX: usize>(
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> usize {
    let target = TARGETS[INDEX].load(Ordering::Relaxed);
    let result = unsafe { std::mem::transmute::<usize, Function>(target)(a, b, c, d, e, f) };
    stack::close_opened();
    result
}

macro_rules! closing {
    ($($index:literal)*) => { [$(closing::<$index>,)*] };
}

const CLOSING: [Function; COUNT] = closing!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29
    30 31 32 33 34 35);

/// Puts our table in the place of wasmer's, which is the same for all instances.
pub(crate) fn install(instance: &VMInstance) {
    type Index = VMBuiltinFunctionIndex;
    static OURS: OnceLock<[usize; COUNT]> = OnceLock::new();
    let first = instance
        .vmoffsets()
        .vmctx_builtin_function(Index::get_memory32_grow_index());
    let table = instance
        .vmctx_ptr()
        .cast::<u8>()
        .wrapping_add(first as usize);
    let table = unsafe { &mut *table.cast::<[usize; COUNT]>() };
    *table = *OURS.get_or_init(|| {
        let ours = [
            (Index::get_memory_copy_index(), copy as *const () as usize),
            (Index::get_memory_fill_index(), fill as *const () as usize),
            (
                Index::get_imported_memory_fill_index(),
                imported_fill as *const () as usize,
            ),
            (Index::get_memory_init_index(), init as *const () as usize),
            (
                Index::get_data_drop_index(),
                data_drop as *const () as usize,
            ),
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
                Index::get_elem_drop_index(),
                elem_drop as *const () as usize,
            ),
            (
                Index::get_imported_alloc_exception_index(),
                alloc_exception as *const () as usize,
            ),
        ];
        for (target, wasmers) in TARGETS.iter().zip(table.iter()) {
            target.store(*wasmers, Ordering::Relaxed);
        }
        for (index, function) in ours {
            TARGETS[index.index() as usize].store(function, Ordering::Relaxed);
        }
        let mut all = CLOSING.map(|entry| entry as *const () as usize);
        // These two do not return.
        for index in [
            Index::get_raise_trap_index(),
            Index::get_imported_throw_index(),
        ] {
            all[index.index() as usize] = table[index.index() as usize];
        }
        all
    });
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

/// A guest that throws more in one call is ended: wasmer keeps all exceptions until then, each with a backtrace, which takes
/// about as much memory as the guest has used of its stack.
const EXCEPTIONS: usize = 1 << 20;
const BACKTRACES: usize = 1 << 30;

#[derive(Debug)]
struct TooManyExceptions;

impl fmt::Display for TooManyExceptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many exceptions in one call")
    }
}

impl std::error::Error for TooManyExceptions {}

/// On the host's stack, where there is room for making the backtrace.
unsafe extern "C-unwind" fn alloc_exception(context: *mut VMContext, tag: u32) -> u32 {
    let depth = Call::current().map_or(0, |call| call.stack.get() - stack_pointer());
    let made = on_host_stack(|| {
        if let Some(instance) = running(context)
            && too_many(instance, depth)
        {
            return None;
        }
        Some(unsafe { wasmer_vm_alloc_exception(context, tag) })
    });
    match made {
        Some(exception) => exception,
        None => unsafe { raise_user_trap(Box::new(TooManyExceptions)) },
    }
}

fn too_many(instance: &wasmergo_instance, depth: usize) -> bool {
    let store = instance.store();
    let count = VMExceptionObj::list(instance.objects()).len();
    let kept = if count == 0 {
        0
    } else {
        store.backtraces.get()
    };
    store.backtraces.set(kept + depth);
    count >= EXCEPTIONS || kept + depth > BACKTRACES
}
