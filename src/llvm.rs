//! LLVM, changed so that its code is like that of the other compilers where the store and the sandbox rely on it:
//!
//! - It does not pass on the place of memory 0; see `first_memory.rs`.
//! - It calls the engine through the table of addresses beside each instance, where our functions are (`builtin.rs`). Left
//!   to itself it calls wasmer's functions directly.
//! - It tells where in the module its functions begin: where their instructions are it does not know.

use crate::renumber::{self, Renumber};
use std::collections::HashMap;
use std::sync::Arc;
use wasmer::sys::{CompilerConfig, Features, Target};
use wasmer_compiler::types::function::{Compilation, RkyvCompilation};
use wasmer_compiler::types::module::CompileModuleInfo;
use wasmer_compiler::types::relocation::RelocationTarget;
use wasmer_compiler::types::section::{
    CustomSection, CustomSectionProtection, SectionBody, SectionIndex,
};
use wasmer_compiler::{Compiler, FunctionBodyData, ModuleMiddleware, ModuleTranslationState};
use wasmer_types::entity::{EntityRef, PrimaryMap};
use wasmer_types::target::Architecture;
use wasmer_types::{
    CompilationProgressCallback, CompileError, LibCall, LocalFunctionIndex, SourceLoc,
    VMBuiltinFunctionIndex, VMOffsets,
};

/// The configuration of LLVM, changed so. Nothing more can be set.
pub(crate) fn tame(
    mut config: Box<dyn CompilerConfig>,
    bounded_memories: bool,
) -> Box<dyn CompilerConfig> {
    if !bounded_memories {
        config.push_middleware(Arc::<Renumber>::default());
    }
    Box::new(Config(config))
}

struct Config(Box<dyn CompilerConfig>);

impl CompilerConfig for Config {
    fn compiler(self: Box<Self>) -> Box<dyn Compiler> {
        Box::new(Llvm(self.0.compiler()))
    }

    fn default_features_for_target(&self, target: &Target) -> Features {
        self.0.default_features_for_target(target)
    }

    fn supported_features_for_target(&self, target: &Target) -> Features {
        self.0.supported_features_for_target(target)
    }

    fn push_middleware(&mut self, middleware: Arc<dyn ModuleMiddleware>) {
        self.0.push_middleware(middleware);
    }
}

#[derive(Debug)]
struct Llvm(Box<dyn Compiler>);

impl Compiler for Llvm {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn deterministic_id(&self) -> String {
        self.0.deterministic_id()
    }

    fn artifact_format(&self) -> String {
        self.0.artifact_format()
    }

    fn compile_module(
        &self,
        target: &Target,
        info: &CompileModuleInfo,
        blob: &[u8],
        translation: &ModuleTranslationState,
        bodies: PrimaryMap<LocalFunctionIndex, FunctionBodyData<'_>>,
        progress: Option<&CompilationProgressCallback>,
    ) -> Result<Compilation, CompileError> {
        let mut changed = info.clone();
        if let Some(styles) = renumber::styles(&info.module) {
            changed.memory_styles = styles;
        }
        let starts: Vec<_> = bodies.values().map(|body| body.module_offset).collect();
        let compiler = &self.0;
        let mut done =
            compiler.compile_module(target, &changed, blob, translation, bodies, progress)?;
        let Compilation::Rkyv { compilation, .. } = &mut done else {
            return Err(CompileError::Codegen(
                "code of LLVM that is linked before it is loaded calls wasmer's functions directly"
                    .into(),
            ));
        };
        for (function, start) in compilation.functions.values_mut().zip(starts) {
            function.frame_info.address_map.start_srcloc = SourceLoc::new(start as u32);
        }
        redirect(compilation, target, &VMOffsets::new(8, &info.module))?;
        join_frames(compilation);
        Ok(done)
    }

    fn get_middlewares(&self) -> &[Arc<dyn ModuleMiddleware>] {
        self.0.get_middlewares()
    }
}

/// Leads calls of wasmer's functions to a jump through the table.
fn redirect(
    compilation: &mut RkyvCompilation,
    target: &Target,
    offsets: &VMOffsets,
) -> Result<(), CompileError> {
    let jump = match target.triple().architecture {
        Architecture::X86_64 => jump_x86_64,
        Architecture::Aarch64(_) => jump_aarch64,
        other => return Err(CompileError::UnsupportedTarget(other.to_string())),
    };
    let existing = compilation.custom_sections.len();
    let mut jumps = Vec::new();
    let mut sections = HashMap::new();
    let mut lead = |target: &mut RelocationTarget| {
        let RelocationTarget::LibCall(call) = *target else {
            return;
        };
        let Some(entry) = entry(call) else {
            return;
        };
        let section = *sections.entry(entry.index()).or_insert_with(|| {
            jumps.push(jump(offsets.vmctx_builtin_function(entry)));
            SectionIndex::new(existing + jumps.len() - 1)
        });
        *target = RelocationTarget::CustomSection(section);
    };
    for function in compilation.functions.values_mut() {
        for relocation in &mut function.relocations {
            lead(&mut relocation.reloc_target);
        }
    }
    for section in compilation.custom_sections.values_mut() {
        for relocation in &mut section.relocations {
            lead(&mut relocation.reloc_target);
        }
    }
    for code in jumps {
        compilation.custom_sections.push(CustomSection {
            protection: CustomSectionProtection::ReadExecute,
            alignment: Some(16),
            bytes: SectionBody::new_with_vec(code),
            relocations: Vec::new(),
        });
    }
    Ok(())
}

/// Makes one table of the frames that each function brings with it: the system's unwinder searches tables one after the other,
/// also when one is to be forgotten.
fn join_frames(compilation: &mut RkyvCompilation) {
    let Some(index) = compilation.unwind_info.eh_frame else {
        return;
    };
    let section = &mut compilation.custom_sections[index];
    let (bytes, ends) = without_ends(section.bytes.as_slice());
    for relocation in &mut section.relocations {
        let before = ends.partition_point(|end| *end < relocation.offset);
        relocation.offset -= (before * END.len()) as u32;
    }
    section.bytes = SectionBody::new_with_vec(bytes);
}

/// Ends a table of frames.
const END: [u8; 4] = [0; 4];

/// A table, which ends once, and where the ends were that are gone.
fn without_ends(table: &[u8]) -> (Vec<u8>, Vec<u32>) {
    let (mut out, mut ends) = (Vec::with_capacity(table.len()), Vec::new());
    let mut rest = table;
    while let Some((len, _)) = rest.split_first_chunk::<4>() {
        if *len == END {
            ends.push((table.len() - rest.len()) as u32);
            rest = &rest[END.len()..];
            continue;
        }
        let record = END.len() + u32::from_le_bytes(*len) as usize;
        let Some((record, tail)) = rest.split_at_checked(record) else {
            return (table.to_vec(), Vec::new()); // wasmer will say so
        };
        out.extend(record);
        rest = tail;
    }
    out.extend(END);
    (out, ends)
}

/// A jump to the address that lies at the offset from the first argument, which is the instance's context.
fn jump_x86_64(offset: u32) -> Vec<u8> {
    let mut code = vec![0xff, 0xa7]; // jmp [rdi + offset]
    code.extend(offset.to_le_bytes());
    code
}

fn jump_aarch64(offset: u32) -> Vec<u8> {
    let (low, high) = (offset & 0xffff, offset >> 16);
    let code = [
        0xd280_0010 | low << 5,  // movz x16, low
        0xf2a0_0010 | high << 5, // movk x16, high, lsl 16
        0xf870_6810,             // ldr x16, [x0, x16]
        0xd61f_0200,             // br x16
    ];
    code.into_iter().flat_map(u32::to_le_bytes).collect()
}

/// Where the function's address lies in the table. Not there: what has no context as its first argument, and what does not
/// return.
fn entry(call: LibCall) -> Option<VMBuiltinFunctionIndex> {
    type Index = VMBuiltinFunctionIndex;
    Some(match call {
        LibCall::Memory32Size => Index::get_memory32_size_index(),
        LibCall::ImportedMemory32Size => Index::get_imported_memory32_size_index(),
        LibCall::Memory32Copy => Index::get_memory_copy_index(),
        LibCall::Memory32Fill => Index::get_memory_fill_index(),
        LibCall::ImportedMemory32Fill => Index::get_imported_memory_fill_index(),
        LibCall::Memory32Init => Index::get_memory_init_index(),
        LibCall::Memory32AtomicWait32 => Index::get_memory_atomic_wait32_index(),
        LibCall::ImportedMemory32AtomicWait32 => Index::get_imported_memory_atomic_wait32_index(),
        LibCall::Memory32AtomicWait64 => Index::get_memory_atomic_wait64_index(),
        LibCall::ImportedMemory32AtomicWait64 => Index::get_imported_memory_atomic_wait64_index(),
        LibCall::Memory32AtomicNotify => Index::get_memory_atomic_notify_index(),
        LibCall::ImportedMemory32AtomicNotify => Index::get_imported_memory_atomic_notify_index(),
        LibCall::DataDrop => Index::get_data_drop_index(),
        LibCall::TableCopy => Index::get_table_copy_index(),
        LibCall::TableInit => Index::get_table_init_index(),
        LibCall::TableFill => Index::get_table_fill_index(),
        LibCall::TableSize => Index::get_table_size_index(),
        LibCall::ImportedTableSize => Index::get_imported_table_size_index(),
        LibCall::TableGet => Index::get_table_get_index(),
        LibCall::ImportedTableGet => Index::get_imported_table_get_index(),
        LibCall::TableSet => Index::get_table_set_index(),
        LibCall::ImportedTableSet => Index::get_imported_table_set_index(),
        LibCall::TableGrow => Index::get_table_grow_index(),
        LibCall::ImportedTableGrow => Index::get_imported_table_grow_index(),
        LibCall::FuncRef => Index::get_func_ref_index(),
        LibCall::ElemDrop => Index::get_elem_drop_index(),
        LibCall::AllocException => Index::get_imported_alloc_exception_index(),
        LibCall::ReadExnRef => Index::get_imported_read_exnref_index(),
        LibCall::EHPersonality2 => Index::get_imported_personality2_index(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_frames_ends_once() {
        let (one, two) = ([4, 0, 0, 0, 1, 2, 3, 4], [5, 0, 0, 0, 6, 7, 8, 9, 10]);
        let many = [&one[..], &END, &two, &one, &END, &END].concat();
        let joined = [&one[..], &two, &one, &END].concat();
        assert_eq!(without_ends(&many), (joined.clone(), vec![8, 29, 33]));
        assert_eq!(without_ends(&joined), (joined, vec![25]));
        let cut = [&one[..], &END, &two[..7]].concat();
        assert_eq!(without_ends(&cut), (cut, vec![]));
    }

    #[test]
    fn jumps_are_what_an_assembler_makes_of_them() {
        assert_eq!(jump_x86_64(0x1234), [0xff, 0xa7, 0x34, 0x12, 0, 0]);
        let words: Vec<u32> = jump_aarch64(0x5_1234)
            .chunks(4)
            .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
            .collect();
        assert_eq!(words, [0xd282_4690, 0xf2a0_00b0, 0xf870_6810, 0xd61f_0200]);
    }
}
