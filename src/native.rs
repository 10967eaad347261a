//! The common cases of host functions that guests call very often, without the way to Go. What is unusual about a call is
//! left to the Go function.

use crate::instance::wasmergo_instance;
use crate::stack;
use std::cell::Cell;
use std::ptr;
use wasmer_types::{ExportIndex, ImportIndex, RawValue};
use wasmer_vm::{VMExtern, VMMemoryDefinition};

/// Which function it is. The Go function of the same number does the same, only slower.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq)]
#[allow(non_camel_case_types)]
pub enum wasmergo_native {
    /// None: Go does it all.
    None,
    /// WASI's clock_time_get on the system's clocks. `start` is the monotonic clock's value that counts as 0.
    ClockTimeGet,
}

pub(crate) struct Native {
    start: u64,
    /// The memory that pointers mean; null until the instance is linked.
    memory: Cell<*const VMMemoryDefinition>,
}

impl Native {
    pub fn new(kind: wasmergo_native, start: u64) -> Option<Self> {
        (kind == wasmergo_native::ClockTimeGet).then(|| Self {
            start,
            memory: Cell::new(ptr::null()),
        })
    }

    pub fn bind(&self, memory: *const VMMemoryDefinition) {
        self.memory.set(memory);
    }

    /// Does it, or is false if Go is to do it. Runs on the guest's stack; nothing here has a destructor.
    #[inline]
    pub unsafe fn call(&self, values: *mut RawValue) -> bool {
        let (clock, result) = unsafe { ((*values).u32, (*values.add(2)).u32) };
        let Some(now) = self.now(clock) else {
            return false;
        };
        let Some(memory) = (unsafe { self.memory.get().as_ref() }) else {
            return false;
        };
        if u64::from(result) + 8 > memory.current_length as u64 {
            return false;
        }
        unsafe {
            let target = memory.base.add(result as usize).cast::<[u8; 8]>();
            target.write(now.to_le_bytes());
            (*values).u32 = 0;
        }
        true
    }

    fn now(&self, clock: u32) -> Option<u64> {
        match clock {
            0 => read(libc::CLOCK_REALTIME),
            1..=3 => Some(read(libc::CLOCK_MONOTONIC)?.wrapping_sub(self.start)),
            _ => None,
        }
    }
}

/// The memory that host functions take pointers of this importer for: the exported one, else the first imported one. Null if
/// there is none.
pub(crate) fn memory_of(instance: &wasmergo_instance) -> *const VMMemoryDefinition {
    let info = instance.module.info();
    let index = |export: &ExportIndex| match export {
        ExportIndex::Memory(index) => Some(*index),
        _ => None,
    };
    let exported = info.exports.get("memory").and_then(index);
    let first = || info.exports.values().find_map(index);
    let imported = || {
        let mut imports = info.imports.values();
        imports.find_map(|import| match import {
            ImportIndex::Memory(index) => Some(*index),
            _ => None,
        })
    };
    let Some(index) = exported.or_else(first).or_else(imported) else {
        return ptr::null();
    };
    let vm = unsafe { &mut *instance.vm() };
    let VMExtern::Memory(handle) = vm.lookup_by_declaration(ExportIndex::Memory(index)) else {
        return ptr::null();
    };
    let memory = handle.get(instance.objects());
    wasmer_vm::LinearMemory::vmmemory(memory).as_ptr()
}

fn read(clock: libc::clockid_t) -> Option<u64> {
    stack::check();
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let status = unsafe { libc::clock_gettime(clock, &mut time) };
    (status == 0).then(|| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}
