//! Functions of the engine that compiled code calls through a table of addresses beside each instance. All return by way of
//! `closing`; and some are ours: those on ranges (`bulk.rs`), and
//!
//! - table.init: wasmer takes all segments for ones of functions, and ends the process over a table of other references. Ours
//!   does these tables, and the elements that wasmer does not know (`element.rs`).
//! - the making of exceptions, which ours bounds.

use crate::bulk;
use crate::function::Call;
use crate::instance::wasmergo_instance;
use crate::stack;
use crate::thread::stack_pointer;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use wasmer_types::{DataIndex, ElemIndex, TableIndex, TrapCode, Type};
use wasmer_vm::libcalls::{wasmer_vm_alloc_exception, wasmer_vm_raise_trap, wasmer_vm_table_init};
use wasmer_vm::{
    StoreObject, VMBuiltinFunctionIndex, VMContext, VMExceptionObj, VMInstance, on_host_stack,
    raise_user_trap,
};

const COUNT: usize = VMBuiltinFunctionIndex::builtin_functions_total_number() as usize;

/// What the entries of the table lead to: wasmer's functions and ours.
static TARGETS: [AtomicUsize; COUNT] = [const { AtomicUsize::new(0) }; COUNT];

/// Whatever the function: none has more arguments, and all are integers or addresses.
type Function = unsafe extern "C-unwind" fn(usize, usize, usize, usize, usize, usize) -> usize;

/// Calls a function of the table, and looks whether the guest may go on, and that the reserve of the stack is closed if that
/// opened it: it is not for the guest.
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
    stack::resume();
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
            (
                Index::get_memory_copy_index(),
                bulk::copy as *const () as usize,
            ),
            (
                Index::get_memory_fill_index(),
                bulk::fill as *const () as usize,
            ),
            (
                Index::get_imported_memory_fill_index(),
                bulk::imported_fill as *const () as usize,
            ),
            (
                Index::get_memory_init_index(),
                bulk::init as *const () as usize,
            ),
            (
                Index::get_data_drop_index(),
                data_drop as *const () as usize,
            ),
            (
                Index::get_table_grow_index(),
                bulk::table_grow as *const () as usize,
            ),
            (
                Index::get_imported_table_grow_index(),
                bulk::imported_table_grow as *const () as usize,
            ),
            (
                Index::get_table_fill_index(),
                bulk::table_fill as *const () as usize,
            ),
            (
                Index::get_table_copy_index(),
                bulk::table_copy as *const () as usize,
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

/// The instance whose code runs right now, by its context.
pub(crate) fn running<'a>(context: *mut VMContext) -> Option<&'a wasmergo_instance> {
    Call::current()?.store().instance_of(context)
}

/// A segment that no module has: to wasmer it is an empty one. Segments that were dropped are so, and we alone know that, because
/// an instance that is reset has them again.
pub(crate) const NO_SEGMENT: u32 = u32::MAX;

// When wasmer's functions trap they do not return: nothing here may have a destructor to run then.

unsafe extern "C" fn data_drop(context: *mut VMContext, segment: u32) {
    on_host_stack(|| {
        if let Some(instance) = running(context) {
            let mut dropped = instance.dropped_data.borrow_mut();
            dropped.insert(DataIndex::from_u32(segment));
        }
    });
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
    let dropped = instance.is_some_and(|instance| {
        let dropped = instance.dropped.borrow();
        dropped.contains(&ElemIndex::from_u32(segment))
    });
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
            let segment = if dropped { NO_SEGMENT } else { segment };
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

unsafe extern "C" fn elem_drop(context: *mut VMContext, segment: u32) {
    on_host_stack(|| {
        if let Some(instance) = running(context) {
            let mut dropped = instance.dropped.borrow_mut();
            dropped.insert(ElemIndex::from_u32(segment));
        }
    });
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
