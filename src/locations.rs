//! Which instruction machine code was made from, and where it traps: what explains a trap, and nothing else needs. wasmer keeps
//! 24 bytes an instruction, often more than half of an artifact. Artifacts have this instead: a few bytes an instruction, read
//! where and when a trap is explained.
//!
//! Encoding: where each function begins in what follows, u32 each and one for the end; then for each function, as LEB128 numbers,
//! its first location, the count of traps, `{ distance in code, trap code }*`, the count of instructions, `{ distance in code,
//! length of code, distance of location }*`. Distances are to the one before, those of locations with a sign (zigzag).

use crate::error::{Error, wasmergo_error_kind};
use crate::header::incompatible;
use shared_buffer::OwnedBuffer;
use wasmer_compiler::ArtifactBuild;
use wasmer_compiler::serialize::{SerializableCompilation, SerializableModule};
use wasmer_compiler::types::function::CompiledFunctionFrameInfo;
use wasmer_types::entity::PrimaryMap;
use wasmer_types::{MetadataHeader, TrapCode};

const TRAPS: [TrapCode; 16] = [
    TrapCode::StackOverflow,
    TrapCode::HeapAccessOutOfBounds,
    TrapCode::HeapMisaligned,
    TrapCode::TableAccessOutOfBounds,
    TrapCode::IndirectCallToNull,
    TrapCode::BadSignature,
    TrapCode::IntegerOverflow,
    TrapCode::IntegerDivisionByZero,
    TrapCode::BadConversionToInteger,
    TrapCode::UnreachableCodeReached,
    TrapCode::UnalignedAtomic,
    TrapCode::UncaughtException,
    TrapCode::UninitializedExnRef,
    TrapCode::YieldOutsideAsyncContext,
    TrapCode::HostInterrupt,
    TrapCode::ReadonlyTableModified,
];

/// The locations of a loaded module.
#[derive(Clone, Debug)]
pub(crate) struct Locations {
    bytes: OwnedBuffer,
    functions: usize,
}

/// Where an instruction of a function lies in the binary, as wasmer tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub function: u32,
    pub instruction: u32,
}

/// Takes the locations out of what wasmer has serialized. What has none, for it is no archive of wasmer's, stays as it is.
pub(crate) fn take(code: Vec<u8>) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let failed = |error: String| Error::new(wasmergo_error_kind::Internal, error);
    let Some(archive) = code.strip_prefix(ArtifactBuild::MAGIC_HEADER) else {
        return Ok((code, Vec::new()));
    };
    let archive = &archive[MetadataHeader::LEN..];
    let mut module = unsafe { SerializableModule::deserialize_unchecked(archive) }
        .map_err(|error| failed(error.to_string()))?;
    drop(code);
    let SerializableCompilation::Rkyv(compilation) = &mut module.compilation else {
        return Err(failed("an archive of something else".into()));
    };
    let functions = std::mem::replace(&mut compilation.function_frame_info, PrimaryMap::new());
    let locations = encode(functions.values());
    drop(functions);
    let archive = module
        .serialize()
        .map_err(|error| failed(error.to_string()))?;
    let mut code = Vec::with_capacity(archive.len() + 32);
    code.extend_from_slice(ArtifactBuild::MAGIC_HEADER);
    code.extend_from_slice(&MetadataHeader::new(archive.len()).into_bytes());
    code.extend_from_slice(&archive);
    Ok((code, locations))
}

fn encode<'a>(functions: impl ExactSizeIterator<Item = &'a CompiledFunctionFrameInfo>) -> Vec<u8> {
    let table = 4 * (functions.len() + 1);
    let mut out = vec![0; table];
    let end = |out: &mut Vec<u8>, n: usize| {
        let at = (out.len() - table) as u32;
        out[4 * n..4 * n + 4].copy_from_slice(&at.to_le_bytes());
    };
    let count = functions.len();
    for (n, function) in functions.enumerate() {
        end(&mut out, n);
        let map = &function.address_map;
        let first = map.start_srcloc.bits();
        write(&mut out, first);
        write(&mut out, function.traps.len() as u32);
        let mut at = 0;
        for trap in &function.traps {
            write(&mut out, trap.code_offset - at);
            write(&mut out, trap.trap_code as u32);
            at = trap.code_offset;
        }
        write(&mut out, map.instructions.len() as u32);
        let (mut at, mut location) = (0, first);
        for instruction in &map.instructions {
            let (offset, srcloc) = (instruction.code_offset as u32, instruction.srcloc.bits());
            write(&mut out, offset - at);
            write(&mut out, instruction.code_len as u32);
            let distance = srcloc.wrapping_sub(location) as i32;
            write(&mut out, (distance << 1 ^ distance >> 31) as u32);
            (at, location) = (offset, srcloc);
        }
    }
    end(&mut out, count);
    out
}

fn write(out: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Numbers of a function.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn next(&mut self) -> Option<u32> {
        let mut number = 0;
        for shift in (0..32).step_by(7) {
            let (first, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u32::from(first & 0x7f) << shift;
            if *first < 0x80 {
                return Some(number);
            }
        }
        None
    }
}

impl Locations {
    /// Of so many functions; none at all if there are no bytes.
    pub fn new(bytes: OwnedBuffer, functions: usize) -> Result<Option<Self>, Error> {
        let locations = Self { bytes, functions };
        match locations.bytes.is_empty() {
            true => Ok(None),
            false if locations.bytes.len() >= locations.table() => Ok(Some(locations)),
            false => Err(incompatible("damaged: functions lack locations")),
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The length of the table.
    fn table(&self) -> usize {
        4 * (self.functions + 1)
    }

    fn numbers(&self, function: usize) -> Option<Numbers<'_>> {
        let offset = |n: usize| {
            let bytes = self.bytes[..self.table()].get(4 * n..4 * n + 4)?;
            Some(self.table() + u32::from_le_bytes(bytes.try_into().ok()?) as usize)
        };
        let range = offset(function)?..offset(function + 1)?;
        Some(Numbers(self.bytes.get(range)?))
    }

    /// Why code traps there, at an offset in a function's code.
    pub fn trap(&self, function: usize, offset: usize) -> Option<TrapCode> {
        let mut numbers = self.numbers(function)?;
        numbers.next()?;
        let mut at = 0;
        for _ in 0..numbers.next()? {
            at += numbers.next()? as usize;
            let code = numbers.next()?;
            if at >= offset {
                return (at == offset).then(|| TRAPS.get(code as usize).copied())?;
            }
        }
        None
    }

    /// What code was made from, at an offset in a function's code.
    pub fn find(&self, function: usize, offset: usize) -> Option<Location> {
        let mut numbers = self.numbers(function)?;
        let first = numbers.next()?;
        for _ in 0..numbers.next()? {
            numbers.next()?;
            numbers.next()?;
        }
        let (mut at, mut location, mut found) = (0, first, first);
        for _ in 0..numbers.next()? {
            at += numbers.next()? as usize;
            let len = numbers.next()? as usize;
            let distance = numbers.next()?;
            location = location.wrapping_add(distance >> 1 ^ (distance & 1).wrapping_neg());
            if at > offset {
                break;
            }
            // The last one that begins there counts, or code that stands for no instruction.
            found = match at == offset || offset < at + len {
                true => location,
                false => first,
            };
        }
        Some(Location {
            function: first,
            instruction: found,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmer_compiler::types::address_map::{FunctionAddressMap, InstructionAddressMap};
    use wasmer_types::{SourceLoc, TrapInformation};

    fn function(first: u32, instructions: &[(u32, usize, usize)]) -> CompiledFunctionFrameInfo {
        let instruction =
            |(srcloc, code_offset, code_len): &(u32, usize, usize)| InstructionAddressMap {
                srcloc: SourceLoc::new(*srcloc),
                code_offset: *code_offset,
                code_len: *code_len,
            };
        let trap = |(code_offset, trap_code)| TrapInformation {
            code_offset,
            trap_code,
        };
        CompiledFunctionFrameInfo {
            traps: [(3, TRAPS[9]), (200, TRAPS[15])].map(trap).to_vec(),
            address_map: FunctionAddressMap {
                instructions: instructions.iter().map(instruction).collect(),
                start_srcloc: SourceLoc::new(first),
                ..FunctionAddressMap::default()
            },
        }
    }

    #[test]
    fn what_is_encoded_is_found() {
        let functions = [
            function(u32::MAX, &[]),
            function(
                1000,
                &[
                    (1010, 0, 4),
                    (1005, 4, 100),
                    (u32::MAX, 120, 8),
                    (7, 300, 1),
                ],
            ),
        ];
        let bytes = OwnedBuffer::from(encode(functions.iter()));
        let all = Locations::new(bytes.clone(), 2).unwrap().unwrap();
        let at = |function, offset| all.find(function, offset).map(|found| found.instruction);
        assert_eq!(at(0, 5), Some(u32::MAX));
        for (offset, location) in [
            (0, 1010),
            (3, 1010),
            (4, 1005),
            (103, 1005),
            (104, 1000),
            (120, u32::MAX),
            (300, 7),
            (301, 1000),
        ] {
            assert_eq!(at(1, offset), Some(location), "{offset}");
        }
        assert_eq!(all.find(1, 0).unwrap().function, 1000);
        assert_eq!(all.trap(1, 3), Some(TrapCode::UnreachableCodeReached));
        assert_eq!(all.trap(0, 200), Some(TrapCode::ReadonlyTableModified));
        assert_eq!(all.trap(1, 4), None);
        assert_eq!((at(2, 0), all.trap(usize::MAX / 8, 0)), (None, None));
        for len in 1..bytes.len() {
            // What is cut off is not found; nothing panics.
            if let Ok(Some(cut)) = Locations::new(bytes.slice(..len), 2) {
                let _ = (cut.find(0, 5), cut.find(1, 300), cut.trap(1, 200));
            }
        }
        assert!(Locations::new(OwnedBuffer::new(), 2).unwrap().is_none());
        assert!(Locations::new(bytes.slice(..11), 2).is_err());
    }
}
