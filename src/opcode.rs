//! Opcodes: instructions by their number in the binary format.

use crate::bytes::{borrow, wasmergo_bytes};
use crate::guard::{guard, infallible};
use crate::instruction;
use std::collections::HashMap;
use std::sync::OnceLock;
use wasmer::wasmparser::{BinaryReader, OperatorsReader};

/// The byte of an opcode; of one behind a prefix `prefix << 16 | number`.
pub(crate) type Opcode = u32;

/// No opcode.
pub const WASMERGO_OPCODE_NONE: u32 = u32::MAX;

pub(crate) const LOOP: Opcode = 0x03;
pub(crate) const ELSE: Opcode = 0x05;
pub(crate) const END: Opcode = 0x0b;

/// The prefixes with how many numbers are in use behind each, rounded up.
const PREFIXES: [(u32, u32); 3] = [(0xfc, 0x40), (0xfd, 0x140), (0xfe, 0x50)];

/// The opcode of the instruction that the bytes of a valid module begin with.
pub(crate) fn read(bytes: &[u8]) -> Opcode {
    let first = u32::from(bytes[0]);
    if !PREFIXES.iter().any(|(prefix, _)| *prefix == first) {
        return first;
    }
    let (mut number, mut shift) = (0, 0);
    for byte in &bytes[1..] {
        number |= u32::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    first << 16 | number
}

/// Whether all that the instruction does is to work on the stack, locals and globals: it cannot trap, nor leave the function.
/// Jumps are not asked for here. What is unknown may do anything.
pub(crate) fn is_pure(opcode: Opcode) -> bool {
    match opcode >> 16 {
        0 => matches!(opcode,
            0x01..=0x05 | 0x0b | 0x1a..=0x1c | 0x1f..=0x24 | 0x3f | 0x41..=0x6c | 0x71..=0x7e | 0x83..=0xa7
            | 0xac..=0xad | 0xb2..=0xc4 | 0xd0..=0xd2),
        0xfc => matches!(opcode & 0xffff, 0..=7 | 16 | 19..=22),
        0xfd => !matches!(opcode & 0xffff, 0..=11 | 0x54..=0x5d),
        _ => false,
    }
}

/// Whether the topmost operand is a length: of bytes, elements or pages.
pub(crate) fn has_length(opcode: Opcode) -> bool {
    // memory.grow; memory.init, .copy, .fill; table.init, .copy, .grow, .fill
    matches!(opcode, 0x40 | 0xfc0008 | 0xfc000a..=0xfc000c | 0xfc000e..=0xfc000f | 0xfc0011)
}

/// The names, as `instruction.rs` gives them, of all opcodes that the parser knows.
fn names() -> &'static HashMap<Opcode, String> {
    static NAMES: OnceLock<HashMap<Opcode, String>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let behind = |(prefix, count): &(u32, u32)| {
            let prefix = *prefix << 16;
            (0..*count).map(move |number| prefix | number)
        };
        (0..0xf0)
            .chain(PREFIXES.iter().flat_map(behind))
            .filter_map(|opcode| Some((opcode, name(opcode)?)))
            .collect()
    })
}

/// The name is that of what the parser makes of the opcode with immediates of zero, or of one i32 type for a typed select.
fn name(opcode: Opcode) -> Option<String> {
    match opcode {
        ELSE => return Some("else".into()),
        END => return Some("end".into()),
        _ => {}
    }
    let mut bytes = match opcode >> 16 {
        0 => vec![opcode as u8],
        prefix => {
            let number = opcode & 0xffff;
            vec![prefix as u8, number as u8 | 0x80, (number >> 7) as u8]
        }
    };
    bytes.extend(if opcode == 0x1c { [1, 0x7f] } else { [0, 0] });
    bytes.resize(40, 0);
    let mut reader = OperatorsReader::new(BinaryReader::new(&bytes, 0));
    Some(instruction::name(&reader.read().ok()?))
}

/// The opcode of this name in the text format, as for `WASMERGO_OPCODE_NONE` if there is none.
///
/// # Safety
/// `name` holds `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_opcode_of(name: *const u8, len: usize) -> u32 {
    infallible(|| {
        let wanted = unsafe { borrow(name, len) };
        let mut all = names().iter();
        all.find(|(_, name)| name.as_bytes() == wanted)
            .map_or(WASMERGO_OPCODE_NONE, |(opcode, _)| *opcode)
    })
}

/// The name of the opcode in the text format; nothing if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_opcode_name(opcode: u32) -> wasmergo_bytes {
    guard(|| {
        let name = names().get(&opcode);
        Ok(name.map_or(wasmergo_bytes::NONE, |name| {
            name.clone().into_bytes().into()
        }))
    })
    .unwrap_or(wasmergo_bytes::NONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opcodes_have_the_names_of_the_text_format() {
        for (opcode, want) in [
            (0x00, "unreachable"),
            (0x05, "else"),
            (0x0e, "br_table"),
            (0x1f, "try_table"),
            (0x40, "memory.grow"),
            (0x6a, "i32.add"),
            (0xfc0000, "i32.trunc_sat_f32_s"),
            (0xfc0008, "memory.init"),
            (0xfc0011, "table.fill"),
            (0xfd000c, "v128.const"),
            (0xfd00ff, "f64x2.convert_low_i32x4_u"),
            (0xfe001e, "i32.atomic.rmw.add"),
        ] {
            assert_eq!(names().get(&opcode).map(String::as_str), Some(want));
            let found = unsafe { wasmergo_opcode_of(want.as_ptr(), want.len()) };
            assert_eq!(found, opcode, "{want}");
        }
        assert!(names().len() > 500, "{}", names().len());
        assert!(!names().contains_key(&0x27));
    }

    #[test]
    fn what_reads_memory_or_calls_is_not_pure() {
        for (opcode, name) in names() {
            let traps = ["load", "store", "atomic", "div", "rem_", "call", "throw"];
            let bulk = [".fill", ".copy", ".init", ".grow"];
            let traps = traps.iter().any(|part| name.contains(part))
                || bulk.iter().any(|end| name.ends_with(end));
            let floats = name.starts_with('f') && name.ends_with(".div");
            if traps && !floats {
                assert!(!is_pure(*opcode), "{name}");
            }
            if name.contains(".trunc_f") {
                assert!(!is_pure(*opcode), "{name}");
            }
            if has_length(*opcode) {
                assert!(bulk.iter().any(|part| name.ends_with(part)), "{name}");
            }
        }
        let lengths = names().keys().filter(|opcode| has_length(**opcode));
        assert_eq!(lengths.count(), 8);
    }
}
