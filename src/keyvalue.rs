//! A table of bytes by bytes that guests and the host share.

use crate::bytes::{Encoder, borrow, wasmergo_bytes};
use crate::foreign::Given;
use crate::guard::infallible;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The table. Any thread may use it at any time.
#[allow(non_camel_case_types)]
pub struct wasmergo_keyvalue {
    /// The most bytes of keys and values.
    limit: usize,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    values: HashMap<Box<[u8]>, Box<[u8]>>,
    size: usize,
}

/// What an entry takes besides its bytes, counted to the limit: or empty ones would cost nothing.
const ENTRY: usize = 64;

impl wasmergo_keyvalue {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, key: &[u8], value: &[u8]) -> bool {
        let mut table = self.table();
        let old = table.values.get(key);
        let old = old.map_or(0, |old| ENTRY + key.len() + old.len());
        let size = table.size - old + ENTRY + key.len() + value.len();
        if size > self.limit {
            return false;
        }
        table.size = size;
        match table.values.get_mut(key) {
            Some(old) if old.len() == value.len() => old.copy_from_slice(value),
            Some(old) => *old = value.into(),
            None => _ = table.values.insert(key.into(), value.into()),
        }
        true
    }

    fn delete(&self, key: &[u8]) -> bool {
        let mut table = self.table();
        let Some(value) = table.values.remove(key) else {
            return false;
        };
        table.size -= ENTRY + key.len() + value.len();
        true
    }
}

fn of(given: &Given) -> &'static wasmergo_keyvalue {
    unsafe { &*given.data.cast() }
}

/// Copies as much of the value as there is room for, and returns its length; -1 if there is none.
pub(crate) extern "C" fn get(given: &mut Given, key: u32, len: u32, to: u32, room: u32) -> i32 {
    let (Some(key), Some(to)) = (given.bytes(key, len), given.place(to, room)) else {
        return 0;
    };
    let table = of(given).table();
    let Some(value) = table.values.get(key) else {
        return -1;
    };
    // The key may lie there.
    unsafe { std::ptr::copy_nonoverlapping(value.as_ptr(), to, value.len().min(room as usize)) };
    value.len() as i32
}

/// Returns 1, or 0 if there is no room.
pub(crate) extern "C" fn set(given: &mut Given, key: u32, len: u32, value: u32, size: u32) -> i32 {
    let (Some(key), Some(value)) = (given.bytes(key, len), given.bytes(value, size)) else {
        return 0;
    };
    of(given).set(key, value).into()
}

/// Returns 1, or 0 if there was none.
pub(crate) extern "C" fn delete(given: &mut Given, key: u32, len: u32) -> i32 {
    match given.bytes(key, len) {
        Some(key) => of(given).delete(key).into(),
        None => 0,
    }
}

/// Makes a table, owned by the caller.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_keyvalue_new(limit: usize) -> Box<wasmergo_keyvalue> {
    Box::new(wasmergo_keyvalue {
        limit,
        table: Mutex::default(),
    })
}

/// Frees a table that no guest can reach any more.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_keyvalue_delete(table: Option<Box<wasmergo_keyvalue>>) {
    infallible(|| drop(table));
}

/// Sets a value, and reports whether there was room.
///
/// # Safety
/// Key and value hold so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_keyvalue_set(
    table: &wasmergo_keyvalue,
    key: *const u8,
    key_len: usize,
    value: *const u8,
    len: usize,
) -> bool {
    infallible(|| unsafe { table.set(borrow(key, key_len), borrow(value, len)) })
}

/// The value, owned by the caller; none if there is none.
///
/// # Safety
/// The key holds so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_keyvalue_get(
    table: &wasmergo_keyvalue,
    key: *const u8,
    len: usize,
) -> wasmergo_bytes {
    let found = crate::guard::guard(|| {
        let table = table.table();
        Ok(table.values.get(unsafe { borrow(key, len) }).map(|value| {
            let mut out = Encoder::default();
            out.bytes(value); // with its length: an empty one is something
            out.finish()
        }))
    });
    found.ok().flatten().unwrap_or(wasmergo_bytes::NONE)
}

/// Deletes a value, and reports whether there was one.
///
/// # Safety
/// The key holds so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_keyvalue_remove(
    table: &wasmergo_keyvalue,
    key: *const u8,
    len: usize,
) -> bool {
    infallible(|| table.delete(unsafe { borrow(key, len) }))
}

/// How many values there are.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_keyvalue_len(table: &wasmergo_keyvalue) -> usize {
    infallible(|| table.table().values.len())
}
