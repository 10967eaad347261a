//! Snapshots in bytes: for files and other processes. What is read may have been made by anybody.
//!
//! `magic, version u32, payload, digest`: the BLAKE3 digest is of all before it. The payload: the module's digest; constants and
//! globals, each a count and `{ type u8, is a function u8, bits u128 or index }*`; tables, a count and `{ type u8, count,
//! { length, index + 1 or 0 for null }* }*`, the latter runs of one element; dropped element and data segments, each a count and indices; memories, a count
//! and `{ pages, count, { offset u64, length u64, bytes }* }*`, without pages of zeros. Counts, lengths and indices are u32, all
//! is little-endian.

use crate::bytes::Encoder;
use crate::digest::DIGEST;
use crate::error::{Error, wasmergo_error_kind};
use crate::image::{Image, PAGE, written};
use crate::resource::has_room;
use crate::snapshot::{Snapshot, Value, unusable};
use crate::types;
use std::sync::Arc;
use wasmer_types::{Pages, Type};

const MAGIC: &[u8; 8] = b"WASMERGS";

/// Changes with the format.
const VERSION: u32 = 1;

impl Snapshot {
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut out = Encoder::default();
        out.raw(MAGIC);
        out.u32(VERSION);
        out.raw(&self.module);
        for values in [&self.constants, &self.globals] {
            out.u32(values.len() as u32);
            for (ty, value) in values {
                let (function, bits) = match value {
                    Value::Bits(bits) => (0, *bits),
                    Value::Function(index) => (1, u128::from(*index)),
                };
                out.u8(types::code(*ty));
                out.u8(function);
                out.raw(&bits.to_le_bytes());
            }
        }
        out.u32(self.tables.len() as u32);
        for (ty, elements) in &self.tables {
            out.u8(types::code(*ty));
            let runs: Vec<_> = elements.chunk_by(|a, b| a == b).collect();
            out.u32(runs.len() as u32);
            for run in runs {
                out.u32(run.len() as u32);
                out.u32(run[0].map_or(0, |index| index + 1));
            }
        }
        for segments in [&self.dropped, &self.dropped_data] {
            out.u32(segments.len() as u32);
            segments.iter().for_each(|index| out.u32(*index));
        }
        out.u32(self.memories.len() as u32);
        for (image, pages) in &self.memories {
            let bytes = contents(image)?;
            let parts = written(&bytes);
            out.u32(pages.0);
            out.u32(parts.len() as u32);
            for (offset, bytes) in parts {
                out.u64(offset as u64);
                out.u64(bytes.len() as u64);
                out.raw(bytes);
            }
        }
        let mut out = out.into_vec();
        let digest = blake3::hash(&out);
        out.extend_from_slice(digest.as_bytes());
        Ok(out)
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let Some(rest) = bytes.strip_prefix(MAGIC) else {
            return Err(unusable("it does not begin as a snapshot"));
        };
        let cut = || unusable("it is cut off");
        let (version, _) = rest.split_first_chunk().ok_or_else(cut)?;
        let version = u32::from_le_bytes(*version);
        if version != VERSION {
            let message = format!("its format has version {version}, this library reads {VERSION}");
            return Err(unusable(message));
        }
        let (payload, digest) = bytes.split_last_chunk::<DIGEST>().ok_or_else(cut)?;
        if blake3::hash(payload) != blake3::Hash::from_bytes(*digest) {
            return Err(unusable(
                "it is damaged or cut off: its digest is another one",
            ));
        }
        let rest = payload.get(MAGIC.len() + 4..).ok_or_else(cut)?;
        let mut reader = Reader(rest);
        let snapshot = reader.snapshot()?;
        match reader.0.is_empty() {
            true => Ok(snapshot),
            false => Err(forged()),
        }
    }
}

fn forged() -> Error {
    unusable("its contents are no snapshot")
}

fn no_room(len: usize) -> Error {
    let message = format!("no memory for a snapshot of {len} bytes");
    Error::new(wasmergo_error_kind::Resource, message)
}

/// The bytes that a picture shows.
fn contents(image: &Image) -> Result<Vec<u8>, Error> {
    let len = image.end();
    let mut bytes = Vec::new();
    if has_room(len).is_err() || bytes.try_reserve_exact(len).is_err() {
        return Err(no_room(len));
    }
    bytes.resize(len, 0);
    unsafe { image.copy(bytes.as_mut_ptr() as usize) }
        .map_err(|error| Error::new(wasmergo_error_kind::Resource, error.to_string()))?;
    Ok(bytes)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, len: u64) -> Result<&'a [u8], Error> {
        let len = usize::try_from(len).map_err(|_| forged())?;
        let (head, tail) = self.0.split_at_checked(len).ok_or_else(forged)?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (head, tail) = self.0.split_first_chunk().ok_or_else(forged)?;
        self.0 = tail;
        Ok(*head)
    }

    fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_le_bytes)
    }

    fn ty(&mut self) -> Result<Type, Error> {
        let [code] = self.array()?;
        types::value(code).map_err(|_| forged())
    }

    /// A count and as many items. Nothing is taken ahead for a count that may be a lie.
    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Result<T, Error>) -> Result<Vec<T>, Error> {
        let mut list = Vec::new();
        for _ in 0..self.u32()? {
            list.push(item(self)?);
        }
        Ok(list)
    }

    fn value(&mut self) -> Result<(Type, Value), Error> {
        let ty = self.ty()?;
        let [function] = self.array()?;
        let bits = self.array().map(u128::from_le_bytes)?;
        let value = match function {
            0 => Value::Bits(bits),
            1 => Value::Function(u32::try_from(bits).map_err(|_| forged())?),
            _ => return Err(forged()),
        };
        Ok((ty, value))
    }

    fn table(&mut self) -> Result<(Type, Vec<Option<u32>>), Error> {
        // No table that can be made has more; see `wasmergo_limits`.
        const MOST: usize = 10_000_000;
        let ty = self.ty()?;
        let runs = self.list(|reader| Ok((reader.u32()?, reader.u32()?)))?;
        let mut elements = Vec::new();
        for (len, element) in runs {
            let len = len as usize;
            if elements.len() + len > MOST {
                return Err(forged());
            }
            if elements.try_reserve(len).is_err() {
                return Err(no_room(len));
            }
            elements.resize(elements.len() + len, element.checked_sub(1));
        }
        Ok((ty, elements))
    }

    fn memory(&mut self) -> Result<(Arc<Image>, Pages), Error> {
        let pages = Pages(self.u32()?);
        if pages > Pages::max_value() {
            return Err(forged());
        }
        let mut end = 0;
        let mut parts = Vec::new();
        for _ in 0..self.u32()? {
            let (offset, len) = (self.u64()? as usize, self.u64()?);
            let bytes = self.bytes(len)?;
            let next = offset.checked_add(bytes.len()).ok_or_else(forged)?;
            let whole = offset.is_multiple_of(PAGE) && bytes.len().is_multiple_of(PAGE);
            if bytes.is_empty() || !whole || offset < end || next > pages.bytes().0 {
                return Err(forged());
            }
            end = next;
            parts.push((offset, bytes));
        }
        let image = Image::of_parts(&parts).map_or_else(|| image(&parts, end), Ok)?;
        Ok((image, pages))
    }

    fn snapshot(&mut self) -> Result<Snapshot, Error> {
        Ok(Snapshot {
            module: self.array()?,
            constants: self.list(Self::value)?,
            globals: self.list(Self::value)?,
            tables: self.list(Self::table)?,
            dropped: self.list(Self::u32)?,
            dropped_data: self.list(Self::u32)?,
            memories: self.list(Self::memory)?,
        })
    }
}

/// Where pictures cannot be made of parts.
fn image(parts: &[(usize, &[u8])], end: usize) -> Result<Arc<Image>, Error> {
    let mut bytes = Vec::new();
    if has_room(end).is_err() || bytes.try_reserve_exact(end).is_err() {
        return Err(no_room(end));
    }
    bytes.resize(end, 0);
    for (offset, part) in parts {
        bytes[*offset..*offset + part.len()].copy_from_slice(part);
    }
    Ok(Image::new(&bytes))
}
