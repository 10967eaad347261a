//! What keeps LLVM from passing on the place of memory 0.
//!
//! Where that memory does not move, LLVM's code passes its place from function to function, as one argument more. Which
//! functions take it depends on the module, and who calls by an import or a reference cannot know: a guest could choose,
//! as any number, what another one takes for its memory. So modules are compiled as if memory 0 could move, which has no such
//! argument, and their code is made to use others only: the memories that the module defines have one more as their index, and
//! memory 0, if it is an import, has another import's index, which is added. Nobody gives that import; `link` fills it in.

use wasmer_types::{MemoryIndex, MemoryType, ModuleInfo, Pages};
use wasmer_vm::{VMInstance, VMMemoryImport};

/// The type of the import that is added; no other memory can have it.
pub(crate) const ADDED: MemoryType = MemoryType {
    minimum: Pages(1),
    maximum: Some(Pages(0)),
    shared: false,
};

/// How many memories the module imports in its binary, if it was compiled here: then it has one more.
pub(crate) fn imported(module: &ModuleInfo) -> Option<u32> {
    let last = module.num_imported_memories.checked_sub(1)?;
    let ty = module.memories.values().nth(last)?;
    (*ty == ADDED).then_some(last as u32)
}

/// The memory that has this index in the module's binary.
pub(crate) fn index(module: &ModuleInfo, index: MemoryIndex) -> MemoryIndex {
    match imported(module) {
        Some(imported) if index.as_u32() >= imported => MemoryIndex::from_u32(index.as_u32() + 1),
        _ => index,
    }
}

/// Gives the code memory 0 under its other index.
///
/// # Safety
/// The instance is a new one of that module, and none of its code has run.
pub(crate) unsafe fn link(instance: &VMInstance, module: &ModuleInfo) {
    let Some(imported) = imported(module) else {
        return;
    };
    let import = |index| {
        let index = MemoryIndex::from_u32(index);
        let offset = instance.vmoffsets().vmctx_vmmemory_import(index);
        let context = instance.vmctx_ptr().cast::<u8>();
        context
            .wrapping_add(offset as usize)
            .cast::<VMMemoryImport>()
    };
    unsafe {
        match imported {
            0 => import(0).write_bytes(0, 1), // there for its index only
            _ => import(imported).copy_from(import(0), 1),
        }
    }
}
