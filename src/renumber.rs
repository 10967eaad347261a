//! The middleware that keeps LLVM's code from memory 0; `first_memory.rs` tells why.

use crate::first_memory::{ADDED, imported};
use std::sync::OnceLock;
use wasmer::wasmparser::{Operator, for_each_operator};
use wasmer_compiler::{FunctionMiddleware, MiddlewareReaderState, ModuleMiddleware};
use wasmer_types::entity::PrimaryMap;
use wasmer_types::{
    ExportIndex, LocalFunctionIndex, MemoryIndex, MemoryStyle, MiddlewareError, ModuleInfo,
};

/// The styles of the memories that make LLVM's code so.
pub(crate) fn styles(module: &ModuleInfo) -> Option<PrimaryMap<MemoryIndex, MemoryStyle>> {
    imported(module)?;
    let movable = MemoryStyle::Dynamic {
        offset_guard_size: 0,
    };
    let others = std::iter::repeat_n(MemoryStyle::Static, module.memories.len() - 1);
    Some([movable].into_iter().chain(others).collect())
}

/// Adds the import, and gives the code the other indices.
#[derive(Debug, Default)]
pub(crate) struct Renumber {
    /// How many memories the module imports, once that is known.
    imported: OnceLock<u32>,
}

impl ModuleMiddleware for Renumber {
    fn generate_function_middleware<'a>(
        &self,
        _: LocalFunctionIndex,
    ) -> Box<dyn FunctionMiddleware<'a> + 'a> {
        let imported = self.imported.get().copied();
        Box::new(Renumbered(imported.unwrap_or_default()))
    }

    fn transform_module_info(&self, module: &mut ModuleInfo) -> Result<(), MiddlewareError> {
        if module.memories.is_empty() {
            return Ok(());
        }
        let imported = module.num_imported_memories;
        let mut memories: Vec<_> = module.memories.values().copied().collect();
        memories.insert(imported, ADDED);
        module.memories = memories.into_iter().collect();
        module.num_imported_memories += 1;
        for export in module.exports.values_mut() {
            if let ExportIndex::Memory(index) = export
                && index.as_u32() >= imported as u32
            {
                *index = MemoryIndex::from_u32(index.as_u32() + 1);
            }
        }
        let known = self.imported.set(imported as u32);
        known.map_err(|_| MiddlewareError::new("memories", "an engine compiles one module"))
    }
}

#[derive(Debug)]
struct Renumbered(u32);

impl Renumbered {
    fn renumber(&self, memory: &mut u32) {
        let imported = self.0;
        match *memory {
            0 if imported > 0 => *memory = imported,
            index if index >= imported => *memory += 1,
            _ => {}
        }
    }
}

impl<'a> FunctionMiddleware<'a> for Renumbered {
    fn feed(
        &mut self,
        mut operator: Operator<'a>,
        state: &mut MiddlewareReaderState<'a>,
    ) -> Result<(), MiddlewareError> {
        memories(&mut operator, |memory| self.renumber(memory));
        state.push_operator(operator);
        Ok(())
    }
}

/// Which arguments are memories, by the names that the parser gives them.
macro_rules! memory {
    (memarg $argument:ident $change:ident) => {
        $change(&mut $argument.memory)
    };
    (mem $argument:ident $change:ident) => {
        $change($argument)
    };
    (dst_mem $argument:ident $change:ident) => {
        $change($argument)
    };
    (src_mem $argument:ident $change:ident) => {
        $change($argument)
    };
    ($other:ident $argument:ident $change:ident) => {
        let _ = $argument;
    };
}

macro_rules! operators {
    ($(@$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
        /// Changes the memories of an instruction.
        fn memories(operator: &mut Operator, change: impl Fn(&mut u32)) {
            match operator {
                $(Operator::$op $({ $($arg),* })? => { $($(memory!($arg $arg change);)*)? })*
                _ => {}
            }
        }
    };
}
for_each_operator!(operators);
