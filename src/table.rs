//! Tables: vectors of references.

use crate::bytes::wasmergo_bytes;
use crate::error::{Error, wasmergo_error_kind};
use crate::r#extern::{Item, wasmergo_extern};
use crate::guard::{fallible, guard, infallible};
use crate::resource::has_room;
use crate::store::wasmergo_store;
use crate::tunables::GuestTunables;
use crate::types;
use wasmer_compiler::{FunctionMiddleware, ModuleMiddleware, Tunables};
use wasmer_types::entity::EntityRef;
use wasmer_types::{
    LocalFunctionIndex, MiddlewareError, ModuleInfo, RawValue, TableIndex, TableType, Type,
};
use wasmer_vm::{InternalStoreHandle, TableElement, VMExtern, VMExternRef, VMFuncRef, VMTable};

/// A table of functions that cannot grow, and that other instances and the host can change.
///
/// For a table that cannot grow wasmer keeps copies of its functions beside the instance that defines it, and that
/// instance's code calls those. It forgets the copies when another instance, or the host, changes the table. So such a
/// table is compiled as one that can grow, and made as what it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct FixedTable {
    pub index: u32,
    pub size: u32,
}

/// Lets the compiler take fixed tables for ones that can grow.
#[derive(Debug)]
pub(crate) struct SharedTables(pub Vec<FixedTable>);

#[derive(Debug)]
struct Unchanged;

impl FunctionMiddleware<'_> for Unchanged {}

impl ModuleMiddleware for SharedTables {
    fn generate_function_middleware<'a>(
        &self,
        _: LocalFunctionIndex,
    ) -> Box<dyn FunctionMiddleware<'a> + 'a> {
        Box::new(Unchanged)
    }

    fn transform_module_info(&self, module: &mut ModuleInfo) -> Result<(), MiddlewareError> {
        for table in &self.0 {
            module.tables[TableIndex::new(table.index as usize)].maximum = None;
        }
        Ok(())
    }
}

#[allow(clippy::mut_from_ref)] // the store's holder is the only one
fn get(table: &wasmergo_extern) -> Result<&mut VMTable, Error> {
    match table.item {
        Item::Other(VMExtern::Table(handle)) => Ok(handle.get_mut(unsafe { table.objects() })),
        _ => Err(Error::new(wasmergo_error_kind::Internal, "not a table")),
    }
}

/// Whether the system has memory for a table of this size to become that large. wasmer ends the process where it has not.
pub(crate) fn can_grow(from: u32, to: u32) -> bool {
    const SMALL: u32 = 4096;
    // wasmer's vector doubles, and may be half empty.
    let elements = to.max(from.saturating_mul(4)) as usize;
    to <= SMALL
        || has_room(elements * size_of::<u64>()).is_ok()
            && Vec::<u64>::new().try_reserve_exact(elements).is_ok()
}

/// A reference as it lies in a slot; 0 is null.
pub(crate) fn element(ty: Type, reference: u64) -> TableElement {
    let raw = RawValue {
        u128: u128::from(reference),
    };
    match ty {
        Type::ExternRef => TableElement::ExternRef(unsafe { VMExternRef::from_raw(raw) }),
        _ => TableElement::FuncRef(unsafe { VMFuncRef::from_raw(raw) }),
    }
}

pub(crate) fn reference(element: TableElement) -> u64 {
    let raw = match element {
        TableElement::ExternRef(Some(reference)) => reference.into_raw(),
        TableElement::FuncRef(Some(reference)) => reference.into_raw(),
        _ => return 0,
    };
    unsafe { raw.funcref as u64 }
}

/// Makes a table of `min` times the reference `init`. `max` is `UINT64_MAX` for none; it grows to `limit` at most.
///
/// # Safety
/// `init` is a reference of the element type in this store, or 0; `out` is valid; the caller holds the store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_table_new(
    store: &wasmergo_store,
    element_type: u8,
    min: u32,
    max: u64,
    limit: u32,
    init: u64,
    out: *mut *const wasmergo_extern,
) -> wasmergo_bytes {
    fallible(|| {
        let ty = TableType::new(types::value(element_type)?, min, u32::try_from(max).ok());
        let tunables = GuestTunables::for_table(limit);
        let mut table = tunables
            .create_host_table(&ty, &tunables.table_style(&ty))
            .map_err(|error| Error::new(wasmergo_error_kind::Resource, error))?;
        if init != 0 {
            for index in 0..min {
                table.set(index, element(ty.ty, init))?;
            }
        }
        let handle = InternalStoreHandle::new(unsafe { &mut *store.objects.get() }, table);
        unsafe { out.write(store.keep(Item::Other(VMExtern::Table(handle)))) };
        Ok(())
    })
}

/// Reads an element; false if the index is out of bounds.
///
/// # Safety
/// `table` is a table, `out` is valid; the caller holds the store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_table_get(
    table: &wasmergo_extern,
    index: u32,
    out: *mut u64,
) -> bool {
    infallible(|| {
        let found = get(table).ok().and_then(|table| table.get(index));
        found
            .map(|element| unsafe { out.write(reference(element)) })
            .is_some()
    })
}

/// Writes an element; false if the index is out of bounds.
///
/// # Safety
/// `table` is a table, `value` a reference of its element type in its store, or 0; the caller holds the store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_table_set(
    table: &wasmergo_extern,
    index: u32,
    value: u64,
) -> bool {
    infallible(|| {
        get(table).is_ok_and(|table| table.set(index, element(table.ty().ty, value)).is_ok())
    })
}

/// Grows by `delta` times the reference `init`, and gives the size before; `UINT64_MAX` if the table cannot grow.
///
/// # Safety
/// As for `wasmergo_table_set`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_table_grow(
    table: &wasmergo_extern,
    delta: u64,
    init: u64,
) -> u64 {
    let grown = guard(|| {
        let table = get(table)?;
        let Ok(delta) = u32::try_from(delta) else {
            return Ok(None);
        };
        let size = table.size();
        if !size
            .checked_add(delta)
            .is_some_and(|grown| can_grow(size, grown))
        {
            return Ok(None);
        }
        Ok(table.grow(delta, element(table.ty().ty, init)))
    });
    grown.ok().flatten().map_or(u64::MAX, u64::from)
}
