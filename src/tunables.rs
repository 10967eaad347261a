//! How stores allocate: memories from the arena, memories and tables within limits, the rest as wasmer does.

use crate::budget::Budget;
use crate::engine::wasmergo_limits;
use crate::image::Image;
use crate::initial::Initial;
use crate::linear::GuestMemory;
use crate::resource::limits;
use crate::table::{FixedTable, can_grow};
use std::ptr::NonNull;
use std::sync::Arc;
use wasmer_compiler::{LinkError, Tunables};
use wasmer_types::entity::PrimaryMap;
use wasmer_types::{
    LocalMemoryIndex, LocalTableIndex, MemoryError, MemoryIndex, MemoryStyle, MemoryType,
    ModuleInfo, TableIndex, TableStyle, TableType,
};
use wasmer_vm::{
    InternalStoreHandle, StoreObjects, VMMemory, VMMemoryDefinition, VMTable, VMTableDefinition,
};

/// Has limits, and knows tables whose module was compiled without their maximum.
pub(crate) struct GuestTunables {
    memory_pages: u32,
    bounded_memories: bool,
    table_elements: u32,
    tables: Vec<FixedTable>,
    budget: Option<Arc<Budget>>,
    pub initial: Initial,
}

/// The code checks each access in full: behind a bounded memory lies another one.
const BOUNDED: MemoryStyle = MemoryStyle::Dynamic {
    offset_guard_size: 0,
};

impl GuestTunables {
    pub fn new(
        limits: &wasmergo_limits,
        tables: Vec<FixedTable>,
        budget: Option<Arc<Budget>>,
    ) -> Self {
        Self {
            memory_pages: limits.memory_pages,
            bounded_memories: limits.bounded_memories,
            table_elements: limits.table_elements,
            tables,
            budget,
            initial: Initial::default(),
        }
    }

    pub fn for_table(table_elements: u32) -> Self {
        Self {
            memory_pages: 0,
            bounded_memories: false,
            table_elements,
            tables: Vec::new(),
            budget: None,
            initial: Initial::default(),
        }
    }

    pub fn for_memory(
        memory_pages: u32,
        bounded_memories: bool,
        budget: Option<Arc<Budget>>,
    ) -> Self {
        Self {
            memory_pages,
            bounded_memories,
            table_elements: 0,
            tables: Vec::new(),
            budget,
            initial: Initial::default(),
        }
    }

    fn memory(
        &self,
        ty: &MemoryType,
        style: &MemoryStyle,
        place: Option<NonNull<VMMemoryDefinition>>,
        image: Option<&Arc<Image>>,
    ) -> Result<VMMemory, MemoryError> {
        let budget = self.budget.as_ref();
        let memory = GuestMemory::new(ty, *style, self.memory_pages, budget, place, image)?;
        Ok(VMMemory(Box::new(memory)))
    }

    /// The type that the table is made with: it cannot grow beyond the limit.
    fn limit(&self, ty: &TableType) -> Result<TableType, String> {
        if ty.minimum > self.table_elements {
            return Err(format!(
                "a table of {} elements, the limit is {}",
                ty.minimum, self.table_elements
            ));
        }
        if !can_grow(0, ty.minimum) {
            return Err(format!(
                "no memory for a table of {} elements{}",
                ty.minimum,
                limits(8 * ty.minimum as usize)
            ));
        }
        Ok(TableType {
            maximum: Some(ty.maximum.map_or(self.table_elements, |maximum| {
                maximum.min(self.table_elements)
            })),
            ..*ty
        })
    }
}

impl Tunables for GuestTunables {
    fn memory_style(&self, _: &MemoryType) -> MemoryStyle {
        match self.bounded_memories {
            true => BOUNDED,
            false => MemoryStyle::Static,
        }
    }

    fn table_style(&self, _: &TableType) -> TableStyle {
        TableStyle::CallerChecksSignature
    }

    fn create_host_memory(
        &self,
        ty: &MemoryType,
        style: &MemoryStyle,
    ) -> Result<VMMemory, MemoryError> {
        self.memory(ty, style, None, None)
    }

    unsafe fn create_vm_memory(
        &self,
        ty: &MemoryType,
        style: &MemoryStyle,
        place: NonNull<VMMemoryDefinition>,
    ) -> Result<VMMemory, MemoryError> {
        self.memory(ty, style, Some(place), None)
    }

    /// Memories that a middleware has added have no styles there.
    unsafe fn create_memories(
        &self,
        objects: &mut StoreObjects,
        module: &ModuleInfo,
        _: &PrimaryMap<MemoryIndex, MemoryStyle>,
        places: &[NonNull<VMMemoryDefinition>],
    ) -> Result<PrimaryMap<LocalMemoryIndex, InternalStoreHandle<VMMemory>>, LinkError> {
        let local = module.memories.values().skip(module.num_imported_memories);
        let mut memories = PrimaryMap::with_capacity(places.len());
        for (index, (ty, place)) in local.zip(places).enumerate() {
            let image = self.initial.image(index);
            let memory = self.memory(ty, &self.memory_style(ty), Some(*place), image);
            let memory = memory.map_err(|error| {
                LinkError::Resource(format!("Failed to create memory: {error}"))
            })?;
            memories.push(InternalStoreHandle::new(objects, memory));
        }
        Ok(memories)
    }

    fn create_host_table(&self, ty: &TableType, style: &TableStyle) -> Result<VMTable, String> {
        VMTable::new(&self.limit(ty)?, style)
    }

    unsafe fn create_vm_table(
        &self,
        ty: &TableType,
        style: &TableStyle,
        place: NonNull<VMTableDefinition>,
    ) -> Result<VMTable, String> {
        unsafe { VMTable::from_definition(&self.limit(ty)?, style, place) }
    }

    unsafe fn create_tables(
        &self,
        objects: &mut StoreObjects,
        module: &ModuleInfo,
        styles: &PrimaryMap<TableIndex, TableStyle>,
        places: &[NonNull<VMTableDefinition>],
    ) -> Result<PrimaryMap<LocalTableIndex, InternalStoreHandle<VMTable>>, LinkError> {
        let mut tables = PrimaryMap::with_capacity(places.len());
        let local = module.tables.iter().skip(module.num_imported_tables);
        for ((index, ty), place) in local.zip(places) {
            let fixed = self
                .tables
                .iter()
                .find(|table| table.index == index.as_u32());
            let ty = TableType {
                maximum: fixed.map_or(ty.maximum, |table| Some(table.size)),
                ..*ty
            };
            let table = unsafe { self.create_vm_table(&ty, &styles[index], *place) };
            tables.push(InternalStoreHandle::new(
                objects,
                table.map_err(LinkError::Resource)?,
            ));
        }
        Ok(tables)
    }
}
