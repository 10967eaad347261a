//! How stores allocate: memories from the arena, tables below a limit, the rest as wasmer does.

use crate::memory::GuestMemory;
use std::ptr::NonNull;
use wasmer_compiler::{BaseTunables, Tunables};
use wasmer_types::{MemoryError, MemoryStyle, MemoryType, TableStyle, TableType};
use wasmer_vm::{VMMemory, VMMemoryDefinition, VMTable, VMTableDefinition};

/// Tables stop here, as in browsers: a guest must not make the host allocate 4 billion elements.
const MAX_TABLE: u32 = 10_000_000;

/// Has no state: limits are constants.
pub(crate) struct GuestTunables;

impl GuestTunables {
    fn memory(
        ty: &MemoryType,
        place: Option<NonNull<VMMemoryDefinition>>,
    ) -> Result<VMMemory, MemoryError> {
        Ok(VMMemory(Box::new(GuestMemory::new(ty, place)?)))
    }

    fn limit(ty: &TableType) -> TableType {
        TableType {
            maximum: Some(
                ty.maximum
                    .unwrap_or(MAX_TABLE)
                    .min(MAX_TABLE.max(ty.minimum)),
            ),
            ..*ty
        }
    }
}

impl Tunables for GuestTunables {
    fn memory_style(&self, _: &MemoryType) -> MemoryStyle {
        MemoryStyle::Static
    }

    fn table_style(&self, _: &TableType) -> TableStyle {
        TableStyle::CallerChecksSignature
    }

    fn create_host_memory(
        &self,
        ty: &MemoryType,
        _: &MemoryStyle,
    ) -> Result<VMMemory, MemoryError> {
        Self::memory(ty, None)
    }

    unsafe fn create_vm_memory(
        &self,
        ty: &MemoryType,
        _: &MemoryStyle,
        place: NonNull<VMMemoryDefinition>,
    ) -> Result<VMMemory, MemoryError> {
        Self::memory(ty, Some(place))
    }

    fn create_host_table(&self, ty: &TableType, style: &TableStyle) -> Result<VMTable, String> {
        BaseTunables::new().create_host_table(&Self::limit(ty), style)
    }

    unsafe fn create_vm_table(
        &self,
        ty: &TableType,
        style: &TableStyle,
        place: NonNull<VMTableDefinition>,
    ) -> Result<VMTable, String> {
        unsafe { BaseTunables::new().create_vm_table(&Self::limit(ty), style, place) }
    }
}
