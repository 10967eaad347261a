//! What the memories of a module begin with: where its data segments are large and always the same, images of them that all
//! instances share, else the segments, which are copied.

use crate::first_memory;
use crate::image::{Image, Part};
use crate::module::Compiled;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use wasmer_compiler::{Artifact, ArtifactCreate};
use wasmer_types::{
    DataInitializerLike, DataInitializerLocationLike, GlobalIndex, InitExpr, InitExprOp,
    LocalMemoryIndex, MemoryIndex, ModuleInfo, RawValue, entity::EntityRef,
};

/// Segments of less bytes are copied sooner than mapped.
const LARGE: usize = 16 << 10;

/// Images of the first segments of a module. They are made for its second instance: many modules have but one.
#[derive(Default)]
pub(crate) struct Initial {
    wanted: AtomicBool,
    images: OnceLock<Images>,
}

struct Images {
    by_memory: BTreeMap<usize, Arc<Image>>,
    /// So many segments are in the images, those of memories without one excepted.
    segments: usize,
}

impl Compiled {
    /// Makes what its next instance begins with.
    pub fn make_images(&self) {
        let Initial { wanted, images } = &self.tunables.initial;
        if images.get().is_none() && wanted.swap(true, Ordering::Relaxed) {
            images.get_or_init(|| Images::of(&self.artifact));
        }
    }
}

impl Initial {
    /// What the memory of this number among the module's own begins with.
    pub fn image(&self, memory: usize) -> Option<&Arc<Image>> {
        self.images.get()?.by_memory.get(&memory)
    }

    /// The memories that have one.
    pub fn memories(&self) -> impl Iterator<Item = LocalMemoryIndex> {
        let images = self.images.get().into_iter();
        images.flat_map(|images| images.by_memory.keys().copied().map(LocalMemoryIndex::new))
    }

    /// Whether the segment of this number is in the image of its memory.
    pub fn has(&self, segment: usize) -> bool {
        self.images
            .get()
            .is_some_and(|images| segment < images.segments)
    }
}

impl Images {
    /// Those up to the first segment that depends on an import, or is out of bounds: what follows it may never be copied.
    fn of(artifact: &Artifact) -> Self {
        let info = artifact.module_info();
        let mut parts: BTreeMap<usize, Vec<Part<'_>>> = BTreeMap::new();
        let mut segments = 0;
        let initializers: Vec<_> = artifact.data_initializers().collect();
        for segment in &initializers {
            let location = segment.location();
            let offset = evaluate(&location.offset_expr(), |_| None);
            let (Some(memory), Some(offset)) = (
                local(info, location.memory_index()),
                offset.map(|offset| offset as usize),
            ) else {
                break;
            };
            let bytes: &[u8] = segment.data();
            let index = info.memory_index(memory);
            if offset + bytes.len() > info.memories[index].minimum.bytes().0 {
                break;
            }
            parts
                .entry(memory.index())
                .or_default()
                .push((offset, bytes));
            segments += 1;
        }
        parts.retain(|_, parts| parts.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() >= LARGE);
        let image =
            |(memory, parts): (usize, Vec<Part<'_>>)| Some((memory, Image::of_parts(&parts)?));
        Self {
            by_memory: parts.into_iter().filter_map(image).collect(),
            segments,
        }
    }
}

/// The memory of the module that has this index in its binary, if that is no import.
fn local(info: &ModuleInfo, memory: MemoryIndex) -> Option<LocalMemoryIndex> {
    info.local_memory_index(first_memory::index(info, memory))
}

/// Evaluates a constant expression of type i32; none if it is malformed, or a global is unknown.
pub(crate) fn evaluate(
    expression: &InitExpr,
    global: impl Fn(GlobalIndex) -> Option<RawValue>,
) -> Option<u32> {
    let mut values: Vec<i32> = Vec::new();
    for operation in expression.ops() {
        let operator: fn(i32, i32) -> i32 = match operation {
            InitExprOp::I32Const(value) => {
                values.push(*value);
                continue;
            }
            InitExprOp::GlobalGetI32(index) => {
                values.push(unsafe { global(*index)?.i32 });
                continue;
            }
            InitExprOp::I32Add => i32::wrapping_add,
            InitExprOp::I32Sub => i32::wrapping_sub,
            InitExprOp::I32Mul => i32::wrapping_mul,
            _ => return None,
        };
        let (right, left) = (values.pop()?, values.pop()?);
        values.push(operator(left, right));
    }
    values.pop().map(|value| value as u32)
}
