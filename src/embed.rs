//! Universal WebAssembly: a module that carries compiled code of its own in custom sections, which other engines ignore. It may
//! have several, of other compilers, machines and versions.

use crate::bytes::{Encoder, borrow, wasmergo_bytes};
use crate::digest::{self, DIGEST};
use crate::error::Error;
use crate::guard::fallible;
use crate::header::{Header, incompatible};
use crate::module::wasmergo_module;
use crate::{artifact, validate};
use std::ops::Range;
use wasmer::wasmparser::{BinaryReaderError, Parser, Payload};

/// The name of the sections.
pub(crate) const SECTION: &str = "wasmer-go.artifact";

/// A section that should hold an artifact: all of it, and its contents.
struct Embedded {
    section: Range<usize>,
    artifact: Range<usize>,
}

/// The sections of a binary. Nothing of the module is validated.
fn find(binary: &[u8]) -> Result<Vec<Embedded>, BinaryReaderError> {
    let (mut found, mut position) = (Vec::new(), 8);
    for payload in Parser::new(0).parse_all(binary) {
        let payload = payload?;
        let Some((_, range)) = payload.as_section() else {
            continue;
        };
        if let Payload::CustomSection(section) = &payload
            && section.name() == SECTION
        {
            let end = range.end as usize;
            found.push(Embedded {
                section: position..end,
                artifact: end - section.data().len()..end,
            });
        }
        position = range.end as usize;
    }
    Ok(found)
}

/// The digest of a binary without the sections: the same whatever is embedded in it.
pub(crate) fn digest(binary: &[u8]) -> Result<[u8; DIGEST], Error> {
    let embedded = find(binary).map_err(malformed)?;
    if embedded.is_empty() {
        return Ok(digest::digest(binary));
    }
    let mut hash = blake3::Hasher::new();
    let mut from = 0;
    for embedded in embedded {
        hash.update(&binary[from..embedded.section.start]);
        from = embedded.section.end;
    }
    hash.update(&binary[from..]);
    Ok(hash.finalize().into())
}

fn malformed(error: BinaryReaderError) -> Error {
    Error::invalid(error.message(), error.offset() as usize, None)
}

/// Puts the module's artifact into the module that it was made from, in place of one that says the same of itself.
fn embed(module: &wasmergo_module, binary: &[u8]) -> Result<Vec<u8>, Error> {
    if digest(binary)? != module.header.module {
        return Err(incompatible(
            "the code was compiled from another module than the one that it is to be embedded in",
        ));
    }
    let artifact = module.artifact("")?;
    let len = artifact.iter().map(Vec::len).sum::<usize>();
    let mut head = Vec::new();
    leb128(&mut head, SECTION.len());
    head.extend_from_slice(SECTION.as_bytes());
    let mut out = Vec::with_capacity(binary.len() + head.len() + len + 16);
    let mut from = 0;
    for embedded in find(binary).map_err(malformed)? {
        let same = |header: &Header| *header == module.header;
        let header = artifact::read(&binary[embedded.artifact]).map(|found| found.header);
        if header.as_ref().is_ok_and(same) {
            out.extend_from_slice(&binary[from..embedded.section.start]);
            from = embedded.section.end;
        }
    }
    out.extend_from_slice(&binary[from..]);
    let size = head.len() + len;
    if u32::try_from(size).is_err() {
        return Err(incompatible("the artifact is too large for a section"));
    }
    out.push(0);
    leb128(&mut out, size);
    out.append(&mut head);
    artifact.iter().for_each(|part| out.extend_from_slice(part));
    Ok(out)
}

fn leb128(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Puts the module's artifact into a custom section of the module that it was made from, in binary or text format.
///
/// # Safety
/// `bytes` holds `len` bytes, `out` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_module_embed(
    module: &wasmergo_module,
    bytes: *const u8,
    len: usize,
    out: *mut wasmergo_bytes,
) -> wasmergo_bytes {
    fallible(|| {
        let binary = validate::binary(unsafe { borrow(bytes, len) })?;
        unsafe { out.write(embed(module, &binary)?.into()) };
        Ok(())
    })
}

/// Where the artifacts are that are embedded in a binary, and were made from it by what they say: offset u64, length u64 each.
/// What cannot be read has none.
///
/// # Safety
/// `bytes` holds `len` bytes, `out` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_module_embedded(
    bytes: *const u8,
    len: usize,
    out: *mut wasmergo_bytes,
) -> wasmergo_bytes {
    fallible(|| {
        let binary = unsafe { borrow(bytes, len) };
        let mut encoder = Encoder::default();
        let found = find(binary).unwrap_or_default();
        if !found.is_empty() {
            let digest = digest(binary)?;
            for embedded in found {
                let artifact = artifact::read(&binary[embedded.artifact.clone()]);
                if artifact.is_ok_and(|found| found.header.module == digest) {
                    encoder.u64(embedded.artifact.start as u64);
                    encoder.u64(embedded.artifact.len() as u64);
                }
            }
        }
        unsafe { out.write(encoder.finish()) };
        Ok(())
    })
}
