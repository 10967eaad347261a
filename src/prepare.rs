//! What is done to a valid binary before a compiler sees it, and what must be remembered of it:
//!
//! - Debug information (DWARF) in custom sections is left out: often most of a binary, and of no use to a compiler, which
//!   would hash it, copy it, and keep the copy with the module.
//! - The start function is hidden: wasmer would run it before data that it cannot initialize itself; see `instance.rs`.
//! - Exported tables that cannot grow are noted; see `table.rs`.
//! - Elements that are the value of an imported global become null, and are noted: wasmer knows constants only; see
//!   `element.rs`.

use crate::element::{self, GlobalElement};
use crate::table::FixedTable;
use std::borrow::Cow;
use wasmer::wasmparser::{BinaryReaderError, ExternalKind, Parser, Payload, RefType, TypeRef};

pub(crate) struct Prepared<'a> {
    pub binary: Cow<'a, [u8]>,
    pub notes: Notes,
}

/// What wasmer is not told; an artifact carries it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Notes {
    pub start: Option<u32>,
    pub tables: Vec<FixedTable>,
    pub elements: Vec<GlobalElement>,
}

impl Notes {
    /// u32 each: start (`u32::MAX` for none), count, { table, size }*, count, { segment, active, item, global }*
    pub fn encode(&self) -> Vec<u8> {
        let mut numbers = vec![self.start.unwrap_or(u32::MAX), self.tables.len() as u32];
        for table in &self.tables {
            numbers.extend([table.index, table.size]);
        }
        numbers.push(self.elements.len() as u32);
        for element in &self.elements {
            let active = element.active.unwrap_or(u32::MAX);
            numbers.extend([element.segment, active, element.item, element.global]);
        }
        numbers.into_iter().flat_map(u32::to_le_bytes).collect()
    }

    /// The notes at the beginning of the bytes, and the rest.
    pub fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut rest = bytes;
        let mut number = || {
            let (head, tail) = rest.split_first_chunk()?;
            rest = tail;
            Some(u32::from_le_bytes(*head))
        };
        let start = Some(number()?).filter(|start| *start != u32::MAX);
        let mut tables = Vec::new();
        for _ in 0..number()? {
            tables.push(FixedTable {
                index: number()?,
                size: number()?,
            });
        }
        let mut elements = Vec::new();
        for _ in 0..number()? {
            elements.push(GlobalElement {
                segment: number()?,
                active: Some(number()?).filter(|active| *active != u32::MAX),
                item: number()?,
                global: number()?,
            });
        }
        let notes = Self {
            start,
            tables,
            elements,
        };
        Some((notes, rest))
    }
}

/// Prepares a valid binary. Sections before the code keep their places, so offsets of instructions stay what they are.
pub(crate) fn prepare(binary: &[u8]) -> Result<Prepared<'_>, BinaryReaderError> {
    let (mut kept, mut position, mut after_code) = (Vec::new(), 8, false);
    let (mut notes, mut start_section) = (Notes::default(), None);
    let (mut sizes, mut imported, mut nulls) = (Vec::new(), 0, Vec::new());
    for payload in Parser::new(0).parse_all(binary) {
        let payload = payload?;
        match &payload {
            Payload::StartSection { func, range } => {
                notes.start = Some(*func);
                start_section = Some(range.start as usize..range.end as usize);
            }
            Payload::ImportSection(imports) => {
                for import in imports.clone().into_imports() {
                    imported += u32::from(matches!(import?.ty, TypeRef::Table(_)));
                }
            }
            Payload::TableSection(tables) => {
                for table in tables.clone() {
                    let ty = table?.ty;
                    let fixed =
                        ty.element_type == RefType::FUNCREF && ty.maximum == Some(ty.initial);
                    sizes.push(fixed.then_some(ty.initial as u32));
                }
            }
            Payload::ElementSection(segments) => {
                notes.elements = element::of_globals(segments.clone(), &mut nulls)?;
            }
            Payload::ExportSection(exports) => {
                for export in exports.clone() {
                    let export = export?;
                    let local = export.index.checked_sub(imported);
                    let (ExternalKind::Table, Some(local)) = (export.kind, local) else {
                        continue;
                    };
                    if let Some(Some(size)) = sizes.get(local as usize) {
                        notes.tables.push(FixedTable {
                            index: export.index,
                            size: *size,
                        });
                    }
                }
            }
            _ => {}
        }
        let Some((_, range)) = payload.as_section() else {
            continue;
        };
        let end = range.end as usize;
        match &payload {
            Payload::CustomSection(section)
                if after_code && section.name().starts_with(".debug_") => {}
            _ => kept.push(position..end),
        }
        after_code |= matches!(payload, Payload::CodeSectionStart { .. });
        position = end;
    }
    notes.tables.sort_by_key(|table| table.index);
    notes.tables.dedup_by_key(|table| table.index);
    let mut binary = strip(binary, &kept);
    for (offset, null) in nulls {
        binary.to_mut()[offset..offset + null.len()].copy_from_slice(&null);
    }
    if let Some(body) = start_section {
        hide(binary.to_mut(), body);
    }
    Ok(Prepared { binary, notes })
}

fn strip<'a>(binary: &'a [u8], kept: &[std::ops::Range<usize>]) -> Cow<'a, [u8]> {
    let size: usize = 8 + kept.iter().map(|range| range.len()).sum::<usize>();
    if size == binary.len() {
        return binary.into();
    }
    let mut out = Vec::with_capacity(size);
    out.extend_from_slice(&binary[..8]);
    for range in kept {
        out.extend_from_slice(&binary[range.clone()]);
    }
    out.into()
}

/// Makes a custom section of the same size out of a start section with this body: one whose name is all it has.
fn hide(binary: &mut [u8], body: std::ops::Range<usize>) {
    const CUSTOM: u8 = 0;
    const START: u8 = 8;
    let Some(id) = binary[..body.start].iter().rposition(|byte| *byte == START) else {
        return;
    };
    binary[id] = CUSTOM;
    binary[body.start] = (body.len() - 1) as u8;
    binary[body.start + 1..body.end].fill(b'-');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_debug_sections_after_the_code_go() {
        let text = r#"(module
            (@custom ".debug_early" (before first) "stays")
            (func $f (export "f"))
            (@custom ".debug_info" (after last) "goes")
            (@custom "other" (after last) "stays"))"#;
        let binary = wasmer::wat2wasm(text.as_bytes()).unwrap();
        let stripped = prepare(&binary).unwrap().binary;
        let has = |bytes: &[u8], name: &str| {
            bytes
                .windows(name.len())
                .any(|window| window == name.as_bytes())
        };
        assert!(has(&binary, ".debug_info") && !has(&stripped, ".debug_info"));
        assert!(has(&stripped, ".debug_early") && has(&stripped, "other"));
        assert_eq!(prepare(&stripped).unwrap().binary, stripped);
        let shared = binary
            .iter()
            .zip(stripped.iter())
            .take_while(|(a, b)| a == b)
            .count();
        assert!(
            shared > 8 + "debug_early stays".len(),
            "what comes before stays in place"
        );
    }

    #[test]
    fn the_start_function_is_hidden_and_nothing_moves() {
        for (functions, start) in [(1, 0), (300, 200), (9, 8)] {
            let text = format!(
                r#"(module (memory 1) {} (start {start}) (data "\\08x"))"#,
                "(func)".repeat(functions)
            );
            let binary = wasmer::wat2wasm(text.as_bytes()).unwrap();
            let prepared = prepare(&binary).unwrap();
            assert_eq!(prepared.notes.start, Some(start));
            assert_eq!(prepared.binary.len(), binary.len());
            wasmer::wasmparser::validate(&prepared.binary).unwrap();
            let again = prepare(&prepared.binary).unwrap();
            assert_eq!(again.notes.start, None);
            let differ = binary.iter().zip(prepared.binary.iter());
            assert!(differ.filter(|(a, b)| a != b).count() <= 4);
        }
    }

    #[test]
    fn exported_tables_that_cannot_grow_are_noted_once() {
        let text = r#"(module
            (import "a" "b" (table 3 3 funcref))
            (table (export "fixed") (export "again") 4 4 funcref)
            (table 5 5 funcref)
            (table (export "grows") 4 5 funcref)
            (table (export "other") 4 4 externref)
            (export "imported" (table 0)))"#;
        let binary = wasmer::wat2wasm(text.as_bytes()).unwrap();
        let notes = prepare(&binary).unwrap().notes;
        assert_eq!(notes.tables, [FixedTable { index: 1, size: 4 }]);
        let mut bytes = notes.encode();
        bytes.push(7);
        assert_eq!(Notes::decode(&bytes), Some((notes, &[7u8][..])));
        assert_eq!(Notes::decode(&bytes[..9]), None);
    }

    #[test]
    fn elements_that_are_globals_become_null() {
        let text = r#"(module
            (import "a" "b" (global $f funcref)) (import "a" "c" (global $e externref))
            (table $t 4 funcref) (func $g)
            (elem (table $t) (i32.const 0) func $g)
            (elem (table $t) (i32.const 1) funcref (ref.func $g) (global.get $f))
            (elem externref (global.get $e) (ref.null extern)))"#;
        let binary = wasmer::wat2wasm(text.as_bytes()).unwrap();
        let prepared = prepare(&binary).unwrap();
        assert_eq!(prepared.binary.len(), binary.len());
        wasmer::wasmparser::validate(&prepared.binary).unwrap();
        let element = |segment, active, item, global| GlobalElement {
            segment,
            active,
            item,
            global,
        };
        let want = vec![element(1, Some(1), 1, 0), element(2, None, 0, 1)];
        assert_eq!(prepared.notes.elements, want);
        let encoded = prepared.notes.encode();
        assert_eq!(Notes::decode(&encoded), Some((prepared.notes, &[][..])));
        assert!(prepare(&prepared.binary).unwrap().notes.elements.is_empty());
    }
}
