//! Memories that go back to what they were.

use crate::arena::{Reservation, is_shown};
use crate::image::Image;
use crate::linear::{GuestMemory, Place, fitting, refused};
use crate::memory_stats;
use crate::region::Chunk;
use std::io::ErrorKind;
use std::mem::replace;
use std::sync::Arc;
use wasmer_types::{MemoryError, Pages};
use wasmer_vm::LinearMemory;

impl GuestMemory {
    /// Turns the memory into one of so many pages that begins with the image, the rest being zero. It costs what was touched
    /// since the memory was made or reset, with the same image. If the bytes were shown as a slice the memory moves to another
    /// place, and the slice shows zeros. After a failure the contents may be anything, and the size either.
    ///
    /// # Safety
    /// Nobody uses the memory meanwhile, hosts included: where it shrinks, its end is no longer accessible.
    pub unsafe fn reset(
        &mut self,
        image: Option<&Arc<Image>>,
        pages: Pages,
    ) -> Result<(), MemoryError> {
        let image = fitting(image, pages.bytes().0)?;
        if pages > self.pages {
            self.grow(Pages(pages.0 - self.pages.0))?;
        }
        self.turn_into(image.map(Arc::as_ref))?;
        self.image = image.cloned();
        self.shrink(pages)
    }

    fn turn_into(&mut self, image: Option<&Image>) -> Result<(), MemoryError> {
        let used = self.pages.bytes().0;
        let definition = unsafe { self.definition.as_ptr().as_mut() };
        let shown = is_shown(definition.base as usize);
        match &mut self.place {
            Some(Place::Reserved(place)) if shown => {
                replace(place, Reservation::take(used, image)?).release(used);
                definition.base = place.base as *mut u8;
                Ok(())
            }
            Some(Place::Reserved(place)) => place.show(used, image),
            Some(Place::Bounded(place, _)) => {
                let turned = self.latch.alone(|| {
                    if !shown {
                        return place.show(used, image);
                    }
                    replace(place, Chunk::take(used, image)?).release(used);
                    definition.base = place.base as *mut u8;
                    Ok(())
                });
                turned.unwrap_or_else(|| Err(ErrorKind::ResourceBusy.into()))
            }
            None => Ok(()),
        }
        .map_err(|error| refused(used, &error))
    }

    /// Makes it smaller, or not, once it is zero beyond that.
    fn shrink(&mut self, pages: Pages) -> Result<(), MemoryError> {
        let (used, len) = (self.pages.bytes().0, pages.bytes().0);
        if let Some(Place::Reserved(place)) = &self.place {
            let done = place.protect(len, used - len);
            done.map_err(|error| refused(len, &error))?;
        }
        self.share.shrink(Pages(self.pages.0 - pages.0));
        memory_stats::shrunk(used - len);
        self.pages = pages;
        unsafe { self.definition.as_ptr().as_mut() }.current_length = len;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena;
    use crate::image::PAGE;
    use wasmer_types::{MemoryStyle, MemoryType, WASM_PAGE_SIZE};

    const STYLES: [MemoryStyle; 2] = [
        MemoryStyle::Static,
        MemoryStyle::Dynamic {
            offset_guard_size: 0,
        },
    ];

    fn memory(style: MemoryStyle, pages: u32, image: Option<&Arc<Image>>) -> GuestMemory {
        let ty = MemoryType::new(pages, None, false);
        GuestMemory::new(&ty, style, 65536, None, None, image).unwrap()
    }

    fn bytes(memory: &GuestMemory) -> &'static mut [u8] {
        let definition = unsafe { memory.vmmemory().as_ref() };
        unsafe { std::slice::from_raw_parts_mut(definition.base, definition.current_length) }
    }

    fn zero(bytes: &[u8]) -> bool {
        let zeros = [0; WASM_PAGE_SIZE];
        bytes
            .chunks(zeros.len())
            .all(|part| part == &zeros[..part.len()])
    }

    /// Every byte is the image's, or zero after it.
    fn is(memory: &GuestMemory, picture: &[u8], what: &str) {
        let (begin, rest) = bytes(memory).split_at(picture.len());
        assert!(begin == picture, "the image, {what}");
        assert!(zero(rest), "the rest, {what}");
    }

    /// Pictures with pages of zeros before, between and after others, of sizes around those where ways part.
    fn pictures() -> Vec<Vec<u8>> {
        let mut pictures = vec![Vec::new(), vec![0; PAGE], vec![7; 100]];
        for len in [PAGE, WASM_PAGE_SIZE, 4 * WASM_PAGE_SIZE, 17 << 20] {
            for first in [0, len / 2].into_iter().skip((len > 1 << 20) as usize) {
                let mut picture = vec![0u8; len];
                for at in (first..len).step_by(len / 4) {
                    picture[at] = 1 + (at / PAGE) as u8 % 255;
                }
                pictures.push(picture);
            }
        }
        pictures
    }

    #[test]
    fn a_memory_becomes_any_image_after_any_other() {
        let pictures = pictures();
        let images: Vec<_> = pictures.iter().map(|p| Image::new(p)).collect();
        for style in STYLES {
            let mut memory = memory(style, 1, None);
            for (from, _) in images.iter().enumerate() {
                for (to, image) in images.iter().enumerate() {
                    let what = format!("{to} after {from} in {style:?}");
                    for (index, image) in [(from, &images[from]), (to, image)] {
                        let pages =
                            Pages(1 + pictures[index].len().div_ceil(WASM_PAGE_SIZE) as u32);
                        unsafe { memory.reset(Some(image), pages).unwrap() };
                        is(&memory, &pictures[index], &what);
                        memory.grow(Pages(1)).unwrap();
                        is(&memory, &pictures[index], &what);
                        bytes(&memory).fill(0xee);
                        unsafe { memory.reset(Some(image), memory.pages).unwrap() };
                        is(&memory, &pictures[index], &what);
                        bytes(&memory)[..100].fill(0xee);
                    }
                }
                unsafe { memory.reset(None, Pages(2)).unwrap() };
                is(&memory, &[], &format!("none after {from}"));
            }
        }
    }

    #[test]
    fn what_comes_after_a_memory_with_an_image_is_new() {
        let pictures = pictures();
        for style in STYLES {
            for picture in &pictures {
                let image = Image::new(picture);
                let pages = 1 + picture.len().div_ceil(WASM_PAGE_SIZE) as u32;
                for _ in 0..3 {
                    let mut first = memory(style, pages, Some(&image));
                    is(&first, picture, "at first");
                    first.grow(Pages(3)).unwrap();
                    is(&first, picture, "grown");
                    bytes(&first).fill(0xee);
                    drop(first);
                    is(&memory(style, pages + 2, None), &[], "without an image");
                    is(&memory(style, pages, Some(&image)), picture, "again");
                }
                let last = memory(style, pages, Some(&image));
                drop((image, last));
                is(&memory(style, pages, None), &[], "without its image");
            }
        }
    }

    #[test]
    fn a_slice_of_a_memory_that_was_reset_shows_zeros() {
        let picture = vec![5u8; 3 * WASM_PAGE_SIZE];
        for image in [None, Some(Image::new(&picture))] {
            for style in STYLES {
                let mut memory = memory(style, 4, image.as_ref());
                let mut views = Vec::new();
                for pages in [4, 6, 3] {
                    let view = bytes(&memory);
                    view.fill(0xee);
                    arena::show(view.as_ptr() as usize);
                    unsafe { memory.reset(image.as_ref(), Pages(pages)).unwrap() };
                    bytes(&memory).fill(0xdd);
                    views.push(view);
                }
                drop(memory);
                for view in views {
                    assert!(zero(view));
                }
            }
        }
    }

    #[test]
    fn an_image_is_gone_with_the_last_that_has_it() {
        let picture = vec![9u8; 300 << 10];
        let image = Image::new(&picture);
        let weak = Arc::downgrade(&image);
        let memories = STYLES.map(|style| memory(style, 5, Some(&image)));
        drop(image);
        memories
            .iter()
            .for_each(|memory| is(memory, &picture, "held"));
        drop(memories);
        assert!(weak.upgrade().is_none());
        is(&memory(MemoryStyle::Static, 5, None), &[], "afterwards");
    }

    /// The parts of a place that can be accessed, without the borders between mappings.
    #[cfg(target_os = "linux")]
    fn accessible(from: usize, to: usize) -> Vec<(usize, usize)> {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let mut parts: Vec<(usize, usize)> = Vec::new();
        let mut covered = from;
        for line in maps.lines() {
            let (range, access) = line.split_once(' ').unwrap();
            let (start, end) = range.split_once('-').unwrap();
            let number = |text| usize::from_str_radix(text, 16).unwrap();
            let (start, end) = (number(start).max(from), number(end).min(to));
            if start >= end {
                continue;
            }
            assert_eq!(start, covered, "nobody else can come to lie in between");
            covered = end;
            match parts.last_mut() {
                _ if access.starts_with("---") => {}
                Some((_, last)) if *last == start => *last = end,
                _ => parts.push((start, end)),
            }
        }
        assert_eq!(covered, to, "all of it is reserved");
        parts
    }

    /// Of every page in reach of an index and an offset those of the memory can be accessed, and no others, whatever was there
    /// before, and however the memory has come to its size.
    #[test]
    #[cfg(target_os = "linux")]
    fn nothing_behind_a_memory_can_be_accessed() {
        let pictures = [vec![], vec![3; 100 << 10], vec![4; 700 << 10]];
        let images = pictures.each_ref().map(|picture| Image::new(picture));
        let guarded = |memory: &GuestMemory, what: &str| {
            let (base, len) = (bytes(memory).as_ptr() as usize, bytes(memory).len());
            let expected = if len > 0 {
                vec![(base, base + len)]
            } else {
                vec![]
            };
            assert_eq!(accessible(base, base + arena::SPAN), expected, "{what}");
        };
        for round in 0..3 {
            for (index, image) in images.iter().enumerate() {
                let what = format!("image {index} in round {round}");
                let least = pictures[index].len().div_ceil(WASM_PAGE_SIZE) as u32;
                for pages in [least, least + 1, least + 9] {
                    let mut memory = memory(MemoryStyle::Static, pages, Some(image));
                    guarded(&memory, &what);
                    for _ in 0..3 {
                        memory.grow(Pages(2)).unwrap();
                        guarded(&memory, &what);
                    }
                    bytes(&memory).fill(0xee);
                    for (other, pages) in [
                        (image, least),
                        (&images[0], 1),
                        (&images[2], 40),
                        (image, least + 3),
                    ] {
                        unsafe { memory.reset(Some(other), Pages(pages)).unwrap() };
                        guarded(&memory, &what);
                    }
                    if pages == least {
                        arena::show(bytes(&memory).as_ptr() as usize);
                        unsafe { memory.reset(None, Pages(2)).unwrap() };
                        guarded(&memory, "moved");
                    }
                }
                let another = memory(MemoryStyle::Static, 1, None);
                guarded(&another, "without an image");
            }
        }
    }

    #[test]
    fn an_image_must_fit() {
        let image = Image::new(&vec![1; WASM_PAGE_SIZE + 1]);
        for style in STYLES {
            let mut memory = memory(style, 2, None);
            assert!(unsafe { memory.reset(Some(&image), Pages(1)) }.is_err());
            assert_eq!(memory.size(), Pages(2));
            let ty = MemoryType::new(1, None, false);
            assert!(GuestMemory::new(&ty, style, 2, None, None, Some(&image)).is_err());
            assert!(unsafe { memory.reset(None, Pages(65536 + 1)) }.is_err());
        }
    }
}
