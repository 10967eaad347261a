//! Bytes in both directions: borrowed in as (pointer, length), owned out as `wasmergo_bytes`.

use std::ptr;

/// Bytes owned by the caller, who frees them with `wasmergo_bytes_delete`. `data` is null for "nothing": as an error
/// it means success.
#[repr(C)]
#[derive(Debug)]
#[allow(non_camel_case_types)]
pub struct wasmergo_bytes {
    pub data: *mut u8,
    pub len: usize,
}

impl wasmergo_bytes {
    pub(crate) const NONE: Self = Self {
        data: ptr::null_mut(),
        len: 0,
    };
}

impl Default for wasmergo_bytes {
    fn default() -> Self {
        Self::NONE
    }
}

impl From<Vec<u8>> for wasmergo_bytes {
    fn from(bytes: Vec<u8>) -> Self {
        let bytes = Box::leak(bytes.into_boxed_slice());
        Self {
            data: bytes.as_mut_ptr(),
            len: bytes.len(),
        }
    }
}

/// Frees what a function of this library returned. Null is allowed.
///
/// # Safety
/// `bytes` comes from this library and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_bytes_delete(bytes: wasmergo_bytes) {
    if !bytes.data.is_null() {
        drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(bytes.data, bytes.len)) });
    }
}

/// Borrows the caller's bytes for one call; an empty slice's pointer is never looked at.
pub(crate) unsafe fn borrow<'a, T>(data: *const T, len: usize) -> &'a [T] {
    match len {
        0 => &[],
        _ => unsafe { std::slice::from_raw_parts(data, len) },
    }
}

/// Little-endian fields, strings as length and bytes: what `decoder` of the Go side reads.
#[derive(Default)]
pub(crate) struct Encoder(Vec<u8>);

impl Encoder {
    pub fn u8(&mut self, v: u8) {
        self.0.push(v);
    }

    pub fn u32(&mut self, v: u32) {
        self.0.extend_from_slice(&v.to_le_bytes());
    }

    pub fn u64(&mut self, v: u64) {
        self.0.extend_from_slice(&v.to_le_bytes());
    }

    pub fn str(&mut self, v: &str) {
        self.bytes(v.as_bytes());
    }

    /// Bytes without their length.
    pub fn raw(&mut self, v: &[u8]) {
        self.0.extend_from_slice(v);
    }

    pub fn bytes(&mut self, v: &[u8]) {
        self.u32(v.len() as u32);
        self.0.extend_from_slice(v);
    }

    pub fn finish(self) -> wasmergo_bytes {
        self.0.into()
    }

    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_null_and_may_be_deleted() {
        unsafe { wasmergo_bytes_delete(wasmergo_bytes::NONE) };
        assert!(unsafe { borrow::<u8>(ptr::null(), 0) }.is_empty());
    }

    #[test]
    fn fields_are_little_endian_and_strings_carry_their_length() {
        let mut out = Encoder::default();
        out.u8(7);
        out.u32(1);
        out.str("ab");
        let bytes = out.finish();
        assert_eq!(
            unsafe { borrow(bytes.data, bytes.len) },
            [7, 1, 0, 0, 0, 2, 0, 0, 0, b'a', b'b']
        );
        unsafe { wasmergo_bytes_delete(bytes) };
    }
}
