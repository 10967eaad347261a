//! The state of an instance: what is in its own memories, tables and globals, and which of its segments were dropped. What it
//! imports is not its own. References are as they lie in its store, so a state is of use to its instance only; see `snapshot.rs`
//! for what others can use.

use crate::error::{Error, wasmergo_error_kind};
use crate::image::{Image, SMALL};
use crate::instance::wasmergo_instance;
use crate::linear::GuestMemory;
use crate::table::{can_grow, element, reference};
use std::collections::HashSet;
use std::ptr::NonNull;
use std::sync::Arc;
use wasmer_compiler::{ArtifactCreate, Tunables};
use wasmer_types::{
    DataIndex, ElemIndex, ExportIndex, GlobalIndex, GlobalInit, InitExpr, InitExprOp,
    LocalTableIndex, MemoryIndex, Pages, RawValue, TableIndex, TableStyle, Type,
};
use wasmer_vm::{LinearMemory, VMExtern, VMGlobalDefinition, VMTable};

#[derive(Debug)]
pub(crate) struct State {
    pub memories: Vec<(Arc<Image>, Pages)>,
    pub globals: Vec<u128>,
    pub tables: Vec<Vec<usize>>,
    pub dropped: HashSet<ElemIndex>,
    pub dropped_data: HashSet<DataIndex>,
}

impl State {
    /// What the instance is in now. `untouched` says that memories have what they began with.
    pub fn of(instance: &wasmergo_instance, untouched: bool) -> Self {
        let segments = instance.module.artifact.data_initializers().count();
        let initial = &instance.module.tunables.initial;
        let whole = untouched && segments.checked_sub(1).is_none_or(|last| initial.has(last));
        let memories = instance.own_memories().map(|memory| {
            let large = memory.size().bytes().0 > SMALL; // a small one is put back faster to a copy
            if let Some(image) = memory.image.as_ref().filter(|_| whole && large) {
                return (image.clone(), memory.size());
            }
            let definition = unsafe { memory.vmmemory().as_ref() };
            let bytes = match definition.current_length {
                0 => &[],
                len => unsafe { std::slice::from_raw_parts(definition.base, len) },
            };
            (Image::new(bytes), memory.size())
        });
        let globals = instance
            .own_globals()
            .map(|(ty, cell)| masked(ty, unsafe { cell.as_ref() }.val));
        let tables = instance.own_tables().map(|(_, table)| {
            (0..table.get_runtime_size())
                .filter_map(|index| table.get(index).map(|element| reference(element) as usize))
                .collect()
        });
        Self {
            memories: memories.collect(),
            globals: globals.collect(),
            tables: tables.collect(),
            dropped: instance.dropped.borrow().clone(),
            dropped_data: instance.dropped_data.borrow().clone(),
        }
    }

    /// Puts the instance into this state. If that fails it is in none.
    ///
    /// # Safety
    /// As of `begin_anew`.
    pub unsafe fn apply(&self, instance: &wasmergo_instance) -> Result<(), Error> {
        for (memory, (image, pages)) in instance.own_memories().zip(&self.memories) {
            unsafe { memory.reset(Some(image), *pages)? };
        }
        for ((_, mut cell), value) in instance.own_globals().zip(&self.globals) {
            unsafe { cell.as_mut() }.val.u128 = *value;
        }
        for ((index, table), elements) in instance.own_tables().zip(&self.tables) {
            instance.resize_table(index, table, elements.len() as u32)?;
            instance.fill_table(index, elements)?;
        }
        instance.dropped.borrow_mut().clone_from(&self.dropped);
        let mut dropped = instance.dropped_data.borrow_mut();
        dropped.clone_from(&self.dropped_data);
        Ok(())
    }
}

/// A value without what its type leaves open, so that equal states are equal.
pub(crate) fn masked(ty: Type, value: RawValue) -> u128 {
    unsafe {
        match ty {
            Type::I32 | Type::F32 | Type::ExceptionRef => u128::from(value.u32),
            Type::V128 => value.u128,
            _ => u128::from(value.u64),
        }
    }
}

impl wasmergo_instance {
    /// The memories that the module defines.
    pub(crate) fn own_memories(&self) -> impl Iterator<Item = &mut GuestMemory> {
        let info = self.module.info();
        (info.num_imported_memories..info.memories.len()).filter_map(|index| {
            let index = ExportIndex::Memory(MemoryIndex::from_u32(index as u32));
            match unsafe { &mut *self.vm() }.lookup_by_declaration(index) {
                VMExtern::Memory(handle) => Some(GuestMemory::of(handle.get_mut(self.objects()))),
                _ => None,
            }
        })
    }

    /// The globals that the module defines, without those that are added for the compiler: type and place.
    pub(crate) fn own_globals(&self) -> impl Iterator<Item = (Type, NonNull<VMGlobalDefinition>)> {
        let info = self.module.info();
        let added = self.module.notes.results.iter();
        let added: usize = added.map(|import| import.results as usize).sum();
        (info.num_imported_globals..info.globals.len() - added).filter_map(|index| {
            let index = GlobalIndex::from_u32(index as u32);
            let declared = ExportIndex::Global(index);
            match unsafe { &mut *self.vm() }.lookup_by_declaration(declared) {
                VMExtern::Global(handle) => Some((
                    self.module.info().globals[index].ty,
                    handle.get(self.objects()).vmglobal(),
                )),
                _ => None,
            }
        })
    }

    /// The tables that the module defines.
    pub(crate) fn own_tables(&self) -> impl Iterator<Item = (TableIndex, &mut VMTable)> {
        let info = self.module.info();
        (info.num_imported_tables..info.tables.len()).filter_map(|index| {
            let index = TableIndex::from_u32(index as u32);
            self.table(index).ok().map(|table| (index, table))
        })
    }

    /// Makes the table that large; what it gets anew, or all of it if it was larger, is null.
    fn resize_table(&self, index: TableIndex, table: &mut VMTable, size: u32) -> Result<(), Error> {
        let ty = &self.module.info().tables[index];
        let no_room = || {
            let message = format!("no memory for a table of {size} elements");
            Error::new(wasmergo_error_kind::Resource, message)
        };
        if table.get_runtime_size() > size {
            // It cannot shrink: another one takes its place.
            let local = self.local_table(index)?;
            let place = self.vm_offset(
                unsafe { &*self.vm() }
                    .vmoffsets()
                    .vmctx_vmtable_definition(local),
            );
            let place = NonNull::new(place.cast()).ok_or_else(no_room)?;
            let style = TableStyle::CallerChecksSignature;
            // One that could not grow has the size that it had.
            *table = unsafe { self.module.tunables.create_vm_table(ty, &style, place) }
                .map_err(|error| Error::new(wasmergo_error_kind::Resource, error))?;
        }
        let now = table.get_runtime_size();
        let grown = size.checked_sub(now).ok_or_else(no_room)?;
        if grown > 0 && (!can_grow(now, size) || table.grow(grown, element(ty.ty, 0)).is_none()) {
            return Err(no_room());
        }
        Ok(())
    }

    /// Sets those elements that are others. It goes through the instance, which may keep copies of them.
    fn fill_table(&self, index: TableIndex, elements: &[usize]) -> Result<(), Error> {
        let ty = &self.module.info().tables[index];
        let local = self.local_table(index)?;
        let table = self.table(index)?;
        for (at, wanted) in elements.iter().enumerate() {
            let at = at as u32;
            if table.get(at).map(reference) != Some(*wanted as u64) {
                unsafe { &mut *self.vm() }.table_set(local, at, element(ty.ty, *wanted as u64))?;
            }
        }
        Ok(())
    }

    fn local_table(&self, index: TableIndex) -> Result<LocalTableIndex, Error> {
        let local = self.module.info().local_table_index(index);
        local.ok_or_else(|| Error::new(wasmergo_error_kind::Internal, "not a table of its own"))
    }

    fn vm_offset(&self, offset: u32) -> *mut u8 {
        let context = unsafe { &*self.vm() }.vmctx_ptr().cast::<u8>();
        context.wrapping_add(offset as usize)
    }

    /// Puts the instance of a module without start code back to what it began with, as instantiation does it.
    ///
    /// # Safety
    /// No code of the store runs, and nobody uses its memories; the caller holds the store.
    pub(crate) unsafe fn begin_anew(&self) -> Result<(), Error> {
        let info = self.module.info();
        let declared = info.memories.values().skip(info.num_imported_memories);
        for (number, (memory, ty)) in self.own_memories().zip(declared).enumerate() {
            let image = self.module.tunables.initial.image(number);
            unsafe { memory.reset(image, ty.minimum)? };
        }
        for ((_, mut cell), init) in self.own_globals().zip(info.global_initializers.values()) {
            let value = self.initial(init)?;
            unsafe { cell.as_mut() }.val = value;
        }
        for (index, table) in self.own_tables() {
            let size = info.tables[index].minimum;
            self.resize_table(index, table, size)?;
            self.fill_table(index, &vec![0; size as usize])?;
        }
        self.dropped.borrow_mut().clear();
        self.dropped_data.borrow_mut().clear();
        unsafe { self.initialize() }
    }

    /// What a global begins with. wasmer does that once, and keeps to itself how.
    fn initial(&self, init: &GlobalInit) -> Result<RawValue, Error> {
        let mut value = RawValue::default();
        match init {
            GlobalInit::I32Const(number) => value.i32 = *number,
            GlobalInit::I64Const(number) => value.i64 = *number,
            GlobalInit::F32Const(number) => value.f32 = *number,
            GlobalInit::F64Const(number) => value.f64 = *number,
            GlobalInit::V128Const(bytes) => value.bytes = *bytes.bytes(),
            GlobalInit::RefNullConst => {}
            GlobalInit::RefFunc(function) => value = self.function_element(*function),
            GlobalInit::GetGlobal(index) => {
                let found = self.global(*index);
                return found
                    .ok_or_else(|| Error::new(wasmergo_error_kind::Internal, "not a global"));
            }
            GlobalInit::Expr(expression) => {
                if let Some(InitExprOp::I32Const(_) | InitExprOp::GlobalGetI32(_)) =
                    expression.ops().first()
                {
                    value.u32 = self.constant(expression)?;
                } else {
                    value.i64 = self.constant64(expression)?;
                }
            }
        }
        Ok(value)
    }

    /// Evaluates a constant expression of type i64.
    fn constant64(&self, expression: &InitExpr) -> Result<i64, Error> {
        let malformed = || Error::new(wasmergo_error_kind::Internal, "not a constant expression");
        let mut values: Vec<i64> = Vec::new();
        for operation in expression.ops() {
            let operator: fn(i64, i64) -> i64 = match operation {
                InitExprOp::I64Const(value) => {
                    values.push(*value);
                    continue;
                }
                InitExprOp::GlobalGetI64(index) => {
                    let value = self.global(*index).ok_or_else(malformed)?;
                    values.push(unsafe { value.i64 });
                    continue;
                }
                InitExprOp::I64Add => i64::wrapping_add,
                InitExprOp::I64Sub => i64::wrapping_sub,
                InitExprOp::I64Mul => i64::wrapping_mul,
                _ => return Err(malformed()),
            };
            let (right, left) = (values.pop(), values.pop());
            values.push(operator(
                left.ok_or_else(malformed)?,
                right.ok_or_else(malformed)?,
            ));
        }
        values.pop().ok_or_else(malformed)
    }
}
