//! Files without a name that nobody can change any more, for memories to map.

use crate::image::Part;
use crate::resource::{bound, replace};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::FileExt;

#[derive(Debug)]
pub(crate) struct File(fs::File);

impl File {
    /// A file of this length with these parts, put on zeros one after another. What is left zero takes no memory.
    pub fn new<'a>(len: usize, parts: impl Iterator<Item = Part<'a>>) -> io::Result<Self> {
        // To write beyond this limit would end the process by a signal.
        if bound(libc::RLIMIT_FSIZE).is_some_and(|limit| len > limit) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        // Kernels before 6.3 do not know the last flag, and some later ones insist on it.
        let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
        let file = create(flags | libc::MFD_NOEXEC_SEAL).or_else(|_| create(flags))?;
        let fd = file.as_raw_fd();
        // The numbers are given out from below: most of them are left to the program.
        if bound(libc::RLIMIT_NOFILE).is_some_and(|limit| fd as usize >= limit / 4) {
            return Err(io::Error::from_raw_os_error(libc::EMFILE));
        }
        file.set_len(len as u64)?;
        for (at, bytes) in parts {
            file.write_all_at(bytes, at as u64)?;
        }
        let seals =
            libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE | libc::F_SEAL_SEAL;
        match unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, seals) } {
            0 => Ok(Self(file)),
            _ => Err(io::Error::last_os_error()),
        }
    }

    pub fn read(&self, target: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(target, 0)
    }

    /// Maps the first `len` bytes at `at`; what is written there is seen there only.
    ///
    /// # Safety
    /// Nobody uses what lies there.
    pub unsafe fn map(&self, at: usize, len: usize) -> io::Result<()> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_NORESERVE | libc::MAP_FIXED;
        let fd = self.0.as_raw_fd();
        match unsafe { libc::mmap(at as *mut _, len, access, flags, fd, 0) } {
            libc::MAP_FAILED => {
                let error = io::Error::last_os_error();
                // What was there may be gone, and others must not come to lie there.
                let _ = replace(at, len, access).or_else(|_| replace(at, len, libc::PROT_NONE));
                Err(error)
            }
            _ => Ok(()),
        }
    }
}

fn create(flags: libc::c_uint) -> io::Result<fs::File> {
    match unsafe { libc::memfd_create(c"wasmer-memory".as_ptr(), flags) } {
        fd if fd < 0 => Err(io::Error::last_os_error()),
        fd => Ok(unsafe { fs::File::from_raw_fd(fd) }),
    }
}
