use std::alloc::{alloc, dealloc, Layout};
use std::ffi::{c_char, CStr, CString};

// A zero-sized layout must not reach the allocator.
fn bytes(size: usize) -> Layout {
    Layout::from_size_align(size.max(1), 1).expect("size")
}

#[no_mangle]
pub extern "C" fn allocate(size: usize) -> *mut u8 {
    unsafe { alloc(bytes(size)) }
}

/// # Safety
/// `pointer` must come from `allocate(size)`, or from `greet` with `size` the
/// length of its string and 1 for the NUL.
#[no_mangle]
pub unsafe extern "C" fn deallocate(pointer: *mut u8, size: usize) {
    if !pointer.is_null() {
        dealloc(pointer, bytes(size));
    }
}

/// # Safety
/// `subject` must point to a NUL-terminated string.
#[no_mangle]
pub unsafe extern "C" fn greet(subject: *const c_char) -> *mut c_char {
    let subject = CStr::from_ptr(subject).to_bytes();
    let greeting = [b"Hello, ", subject, b"!"].concat();
    // `into_raw` trims the buffer to the string, which is what `deallocate` relies on.
    CString::from_vec_unchecked(greeting).into_raw()
}
