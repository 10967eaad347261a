//! How many memories there are, and what they take.

use crate::count::Count;
use crate::guard::infallible;
use crate::{image, resource};

static LIVE: Count = Count::new();
static ACCESSIBLE: Count = Count::new();

/// Counts a memory of `len` bytes.
pub(crate) fn made(len: usize) {
    LIVE.add(1);
    grown(len);
}

pub(crate) fn grown(by: usize) {
    ACCESSIBLE.add(by);
}

pub(crate) fn shrunk(by: usize) {
    ACCESSIBLE.sub(by);
}

/// Counts it no more.
pub(crate) fn freed(len: usize) {
    LIVE.sub(1);
    ACCESSIBLE.sub(len);
}

/// The memories of the process, of all engines together.
#[repr(C)]
#[derive(Default)]
#[allow(non_camel_case_types)]
pub struct wasmergo_memory_stats {
    /// Memories that live.
    pub memories: u64,
    /// Bytes that guests can access: the sizes of the memories.
    pub accessible: u64,
    /// Address space that is taken for memories, also for those to come.
    pub reserved: u64,
    /// Mappings of the process, which vm.max_map_count bounds; 0 where that cannot be seen. Counting them takes time.
    pub mappings: u64,
    /// Images of which memories begin as copies, and their bytes, which no memory counts.
    pub images: u64,
    pub image_bytes: u64,
}

/// Tells about the memories of the process; `mappings` only if asked for.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_memory_stats_now(mappings: bool) -> wasmergo_memory_stats {
    let (images, image_bytes) = image::live();
    infallible(|| wasmergo_memory_stats {
        memories: LIVE.get() as u64,
        accessible: ACCESSIBLE.get() as u64,
        reserved: resource::reserved() as u64,
        mappings: if mappings {
            resource::mappings() as u64
        } else {
            0
        },
        images: images as u64,
        image_bytes: image_bytes as u64,
    })
}
