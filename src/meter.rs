//! What a store's guests have used up: cells that compiled code counts in, and that the Go side reads at any time.

use std::sync::atomic::{AtomicU64, Ordering};
use wasmer_types::entity::EntityRef;
use wasmer_types::{GlobalIndex, ModuleInfo, TrapCode};
use wasmer_vm::VMInstance;
use wasmer_vm::libcalls::wasmer_vm_raise_trap;

/// The cells that compiled code knows: what may yet be charged, the instructions, the mark that there was too little left,
/// and a place for the length of a bulk operation.
pub(crate) const CELLS: usize = 4;

/// The trap code of a guest that was to be charged more than remained.
pub const WASMERGO_TRAP_COST_LIMIT: u32 = 0x100;

/// The meter of a store. Compiled code writes while a guest runs, the Go side only while it holds the store.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Meter {
    remaining: AtomicU64,
    instructions: AtomicU64,
    exceeded: AtomicU64,
    length: AtomicU64,
    /// What host functions have cost.
    host: AtomicU64,
    /// Not 0 if there is code that counts: else host functions cost nothing.
    metered: AtomicU64,
}

impl Meter {
    pub fn new() -> Self {
        Self {
            remaining: AtomicU64::new(u64::MAX),
            ..Self::default()
        }
    }

    /// Has the code of a new instance count here.
    ///
    /// # Safety
    /// The instance is one of a module that counts, and ends before the meter; none of its code has run.
    pub unsafe fn connect(&self, instance: &VMInstance, module: &ModuleInfo) {
        let first = module.num_imported_globals - CELLS;
        let cells: [_; CELLS] = [
            &self.remaining,
            &self.instructions,
            &self.exceeded,
            &self.length,
        ];
        for (number, cell) in cells.into_iter().enumerate() {
            let index = GlobalIndex::new(first + number);
            let offset = instance.vmoffsets().vmctx_vmglobal_import_definition(index);
            let context = instance.vmctx_ptr().cast::<u8>();
            let place = context
                .wrapping_add(offset as usize)
                .cast::<*const AtomicU64>();
            unsafe { place.write(cell) };
        }
        self.metered.store(1, Ordering::Relaxed);
    }

    /// Charges a host function, or ends its guest. Runs on the guest's stack, with no destructor pending.
    pub fn charge_host(&self, cost: u64) {
        if self.metered.load(Ordering::Relaxed) == 0 {
            return;
        }
        let remaining = self.remaining.load(Ordering::Relaxed);
        if remaining < cost {
            self.exceeded.store(1, Ordering::Relaxed);
            unsafe { wasmer_vm_raise_trap(TrapCode::UnreachableCodeReached) }
        }
        self.remaining.store(remaining - cost, Ordering::Relaxed);
        let host = self.host.load(Ordering::Relaxed);
        self.host.store(host.wrapping_add(cost), Ordering::Relaxed);
    }

    /// Whether it was the meter that ended the guest, which is told once.
    pub fn take_exceeded(&self) -> bool {
        self.exceeded.swap(0, Ordering::Relaxed) != 0
    }
}
