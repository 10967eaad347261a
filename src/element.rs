//! Element segments, where they are more than wasmer knows: an element that is the value of an imported global, and segments
//! of references other than to functions.

use crate::error::{Error, wasmergo_error_kind};
use crate::instance::wasmergo_instance;
use std::collections::HashMap;
use wasmer::wasmparser::{
    BinaryReaderError, ElementItems, ElementKind, ElementSectionReader, Operator, RefType,
};
use wasmer_types::entity::packed_option::ReservedValue;
use wasmer_types::{
    ElemIndex, ExportIndex, FunctionIndex, GlobalIndex, RawValue, TableIndex, Type,
};
use wasmer_vm::{TableElement, Trap, VMExtern, VMExternRef, VMFuncRef, VMTable};

/// An element that is the value of an imported global.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct GlobalElement {
    pub segment: u32,
    /// The segment's number among the active ones, if it is one.
    pub active: Option<u32>,
    pub item: u32,
    pub global: u32,
}

/// Finds them in a valid module, and says where which bytes put null in their place. One whose expression is longer than
/// that is left to wasmer, which refuses it.
pub(crate) fn of_globals(
    segments: ElementSectionReader<'_>,
    nulls: &mut Vec<(usize, [u8; 3])>,
) -> Result<Vec<GlobalElement>, BinaryReaderError> {
    const REF_NULL: u8 = 0xd0;
    const END: u8 = 0x0b;
    let (mut found, mut active) = (Vec::new(), 0);
    for (segment, element) in segments.into_iter().enumerate() {
        let element = element?;
        let is_active = matches!(element.kind, ElementKind::Active { .. });
        if let ElementItems::Expressions(ty, items) = element.items {
            let heap_type = if ty == RefType::EXTERNREF { 0x6f } else { 0x70 };
            for (item, expression) in items.into_iter().enumerate() {
                let mut reader = expression?.get_operators_reader();
                let start = reader.original_position() as usize;
                let Operator::GlobalGet { global_index } = reader.read()? else {
                    continue;
                };
                // Null takes three bytes; the end is the last.
                if reader.original_position() as usize != start + 2 {
                    continue;
                }
                nulls.push((start, [REF_NULL, heap_type, END]));
                found.push(GlobalElement {
                    segment: segment as u32,
                    active: is_active.then_some(active),
                    item: item as u32,
                    global: global_index,
                });
            }
        }
        active += u32::from(is_active);
    }
    Ok(found)
}

/// The functions that segments of any kind refer to.
pub(crate) fn functions(segments: ElementSectionReader<'_>) -> Result<Vec<u32>, BinaryReaderError> {
    let mut found = Vec::new();
    for element in segments {
        match element?.items {
            ElementItems::Functions(functions) => {
                for function in functions {
                    found.push(function?);
                }
            }
            ElementItems::Expressions(_, items) => {
                for expression in items {
                    if let Operator::RefFunc { function_index } =
                        expression?.get_operators_reader().read()?
                    {
                        found.push(function_index);
                    }
                }
            }
        }
    }
    Ok(found)
}

impl wasmergo_instance {
    /// Copies the active segments again, from the first that has a value of a global: now with these, in the order of the
    /// segments, and up to the first that is out of bounds, where wasmer stopped.
    pub fn initialize_elements(&self) -> Result<(), Error> {
        let mut globals = HashMap::new();
        for element in &self.module.notes.elements {
            if let Some(active) = element.active {
                globals.insert((active as usize, element.item as usize), element);
            }
        }
        let Some(first) = globals.keys().map(|(segment, _)| *segment).min() else {
            return Ok(());
        };
        let segments = &self.module.info().table_initializers;
        for (number, segment) in segments.iter().enumerate().skip(first) {
            let start = self.constant(&segment.offset_expr)? as usize;
            let size = self.table(segment.table_index)?.get_runtime_size() as usize;
            if start + segment.elements.len() > size {
                break;
            }
            for (item, function) in segment.elements.iter().enumerate() {
                let value = match globals.get(&(number, item)) {
                    Some(element) => self.global_element(element)?,
                    None => self.function_element(*function),
                };
                self.set_element(segment.table_index, (start + item) as u32, value)?;
            }
        }
        Ok(())
    }

    pub(crate) fn function_element(&self, function: FunctionIndex) -> RawValue {
        let funcref = match function == FunctionIndex::reserved_value() {
            true => 0,
            false => self.reference(function),
        };
        RawValue {
            u128: funcref as u128,
        }
    }

    /// Puts the values of globals in place after table.init has copied elements from a passive segment.
    pub fn initialize_elements_of(
        &self,
        segment: u32,
        table: u32,
        to: u32,
        from: u32,
        len: u32,
    ) -> Result<(), Error> {
        let table = TableIndex::from_u32(table);
        let elements = &self.module.notes.elements; // by segment, then item
        let first =
            elements.partition_point(|element| (element.segment, element.item) < (segment, from));
        for element in &elements[first..] {
            if element.segment != segment || element.item - from >= len {
                break;
            }
            let index = to + element.item - from;
            self.set_element(table, index, self.global_element(element)?)?;
        }
        Ok(())
    }

    /// Copies nulls, all that wasmer knows of other references than to functions, to a table of them. False if that is out
    /// of bounds.
    pub fn initialize_with_nulls(
        &self,
        segment: u32,
        table: u32,
        to: u32,
        from: u32,
        len: u32,
    ) -> Result<bool, Error> {
        let segment = ElemIndex::from_u32(segment);
        let available = match self.dropped.borrow().contains(&segment) {
            true => 0,
            false => {
                let segments = &self.module.info().passive_elements;
                segments.get(&segment).map_or(0, |elements| elements.len())
            }
        };
        let table = self.table(TableIndex::from_u32(table))?;
        let fits = |from: u32, size: usize| from as usize + len as usize <= size;
        if !fits(from, available) || !fits(to, table.get_runtime_size() as usize) {
            return Ok(false);
        }
        for index in to..to + len {
            table.set(index, TableElement::ExternRef(None))?;
        }
        Ok(true)
    }

    #[allow(clippy::mut_from_ref)] // the store's holder is the only one
    pub(crate) fn table(&self, index: TableIndex) -> Result<&mut VMTable, Error> {
        let instance = unsafe { &mut *self.vm() };
        match instance.lookup_by_declaration(ExportIndex::Table(index)) {
            VMExtern::Table(handle) => Ok(handle.get_mut(self.objects())),
            _ => Err(Error::new(wasmergo_error_kind::Internal, "not a table")),
        }
    }

    /// Through the instance if the table is its own: wasmer may keep copies of it.
    fn set_element(&self, table: TableIndex, index: u32, value: RawValue) -> Result<(), Error> {
        let info = self.module.info();
        let element = match info.tables[table].ty {
            Type::ExternRef => TableElement::ExternRef(unsafe { VMExternRef::from_raw(value) }),
            _ => TableElement::FuncRef(unsafe { VMFuncRef::from_raw(value) }),
        };
        let set: Result<(), Trap> = match info.local_table_index(table) {
            Some(local) => unsafe { (*self.vm()).table_set(local, index, element) },
            None => self.table(table)?.set(index, element),
        };
        Ok(set?)
    }

    fn global_element(&self, element: &GlobalElement) -> Result<RawValue, Error> {
        let value = self.global(GlobalIndex::from_u32(element.global));
        value.ok_or_else(|| Error::new(wasmergo_error_kind::Internal, "not a global"))
    }
}
