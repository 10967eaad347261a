//! What is done to a valid binary before a compiler sees it, and what must be remembered of it:
//!
//! - Custom sections are left out, but for the names: often most of a binary, and of no use to a compiler, which would hash
//!   them, copy them, and keep the copy with the module. They are kept here, debug information (DWARF) in `dwarf.rs`.
//! - The start function is hidden: wasmer would run it before data that it cannot initialize itself; see `instance.rs`.
//! - Exported tables that cannot grow are noted; see `table.rs`.
//! - Imported functions that may be referred to are noted; see `abi.rs`.
//! - Elements that are the value of an imported global become null, and are noted: wasmer knows constants only; see
//!   `element.rs`.

use crate::dwarf::Sections;
use crate::element::{self, GlobalElement};
use crate::embed;
use crate::results::ImportWithResults;
use crate::table::FixedTable;
use shared_buffer::OwnedBuffer;
use std::borrow::Cow;
use wasmer::wasmparser::{
    BinaryReaderError, ExternalKind, Operator, Parser, Payload, RefType, TypeRef,
};
use wasmer_types::{FunctionIndex, FunctionType, ModuleInfo};

pub(crate) struct Prepared<'a> {
    pub binary: Cow<'a, [u8]>,
    pub notes: Notes,
    /// The debug sections that tell lines, and where the code section's contents begin.
    pub debug: Vec<(&'a str, &'a [u8])>,
    pub code: u32,
}

impl Prepared<'_> {
    /// A copy of the debug sections.
    pub fn sections(&self) -> Sections {
        let all = self.debug.iter();
        Sections {
            code: self.code,
            all: all
                .map(|(name, data)| (name.to_string(), data.to_vec().into()))
                .collect(),
        }
    }
}

/// What wasmer is not told; an artifact carries it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Notes {
    pub start: Option<u32>,
    pub tables: Vec<FixedTable>,
    pub elements: Vec<GlobalElement>,
    /// The imported functions that may be referred to, or exported.
    pub references: Vec<u32>,
    /// The imported functions with several results that the compiler cannot import as they are.
    pub results: Vec<ImportWithResults>,
    /// The custom sections, without the debug information that follows the code.
    pub sections: Vec<(String, OwnedBuffer)>,
}

impl Notes {
    /// Whether the imported function is one with several results.
    pub fn has_results(&self, index: FunctionIndex) -> bool {
        let mut imports = self.results.iter();
        imports.any(|import| import.function == index.as_u32())
    }

    /// The type of a function as the module has it.
    pub fn function_type<'a>(&self, module: &'a ModuleInfo, index: u32) -> &'a FunctionType {
        match self.results.iter().find(|import| import.function == index) {
            Some(import) => import.signature(module),
            None => &module.signatures[module.functions[FunctionIndex::from_u32(index)]],
        }
    }

    /// u32 each: start (`u32::MAX` for none), count, { table, size }*, count, { segment, active, item, global }*, count,
    /// references*, count, { function, type, results, global }*, count, { name, contents }*, these two as their lengths and bytes
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
        numbers.push(self.references.len() as u32);
        numbers.extend(&self.references);
        numbers.push(self.results.len() as u32);
        for import in &self.results {
            numbers.extend([import.function, import.ty, import.results, import.global]);
        }
        numbers.push(self.sections.len() as u32);
        let mut out: Vec<u8> = numbers.into_iter().flat_map(u32::to_le_bytes).collect();
        let contents = self
            .sections
            .iter()
            .flat_map(|(name, contents)| [name.as_bytes(), &contents[..]]);
        for bytes in contents {
            out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            out.extend_from_slice(bytes);
        }
        out
    }

    /// The notes at the beginning of the bytes, which they go on using, and where the rest begins.
    pub fn decode(bytes: &OwnedBuffer) -> Option<(Self, usize)> {
        fn number(rest: &mut &[u8]) -> Option<u32> {
            let (head, tail) = rest.split_first_chunk()?;
            *rest = tail;
            Some(u32::from_le_bytes(*head))
        }
        let mut rest = &bytes[..];
        let start = Some(number(&mut rest)?).filter(|start| *start != u32::MAX);
        let mut tables = Vec::new();
        for _ in 0..number(&mut rest)? {
            tables.push(FixedTable {
                index: number(&mut rest)?,
                size: number(&mut rest)?,
            });
        }
        let mut elements = Vec::new();
        for _ in 0..number(&mut rest)? {
            elements.push(GlobalElement {
                segment: number(&mut rest)?,
                active: Some(number(&mut rest)?).filter(|active| *active != u32::MAX),
                item: number(&mut rest)?,
                global: number(&mut rest)?,
            });
        }
        let mut references = Vec::new();
        for _ in 0..number(&mut rest)? {
            references.push(number(&mut rest)?);
        }
        let mut results = Vec::new();
        for _ in 0..number(&mut rest)? {
            results.push(ImportWithResults {
                function: number(&mut rest)?,
                ty: number(&mut rest)?,
                results: number(&mut rest)?,
                global: number(&mut rest)?,
            });
        }
        let mut sections = Vec::new();
        for _ in 0..number(&mut rest)? {
            let mut take = || {
                let len = number(&mut rest)?;
                let at = bytes.len() - rest.len();
                (_, rest) = rest.split_at_checked(len as usize)?;
                Some(bytes.slice(at..at + len as usize))
            };
            sections.push((String::from_utf8(take()?.to_vec()).ok()?, take()?));
        }
        let notes = Self {
            start,
            tables,
            elements,
            references,
            results,
            sections,
        };
        Some((notes, bytes.len() - rest.len()))
    }
}

/// Prepares a valid binary. Sections before the code keep their places, so offsets of instructions stay what they are.
pub(crate) fn prepare(binary: &[u8]) -> Result<Prepared<'_>, BinaryReaderError> {
    let (mut kept, mut position, mut after_code) = (Vec::new(), 8, false);
    let (mut debug, mut code) = (Vec::new(), 0);
    let (mut notes, mut start_section) = (Notes::default(), None);
    let (mut sizes, mut nulls) = (Vec::new(), Vec::new());
    let (mut imported, mut imported_functions) = (0, 0);
    for payload in Parser::new(0).parse_all(binary) {
        let payload = payload?;
        match &payload {
            Payload::StartSection { func, range } => {
                notes.start = Some(*func);
                start_section = Some(range.start as usize..range.end as usize);
            }
            Payload::ImportSection(imports) => {
                for import in imports.clone().into_imports() {
                    match import?.ty {
                        TypeRef::Table(_) => imported += 1,
                        TypeRef::Func(_) => imported_functions += 1,
                        _ => {}
                    }
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
            Payload::GlobalSection(globals) => {
                for global in globals.clone() {
                    let first = global?.init_expr.get_operators_reader().read()?;
                    if let Operator::RefFunc { function_index } = first {
                        notes.references.push(function_index);
                    }
                }
            }
            Payload::ElementSection(segments) => {
                notes.elements = element::of_globals(segments.clone(), &mut nulls)?;
                notes
                    .references
                    .extend(element::functions(segments.clone())?);
            }
            Payload::ExportSection(exports) => {
                for export in exports.clone() {
                    let export = export?;
                    if export.kind == ExternalKind::Func {
                        notes.references.push(export.index);
                    }
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
        let mut keep = true;
        if let Payload::CustomSection(section) = &payload {
            if section.name() == embed::SECTION {
                // Compiled code, perhaps of this very module: nothing to remember.
            } else if !after_code || !section.name().starts_with(".debug_") {
                let (name, contents) = (section.name().to_string(), section.data().to_vec());
                notes.sections.push((name, contents.into()));
            } else if Sections::is_wanted(section.name()) {
                debug.push((section.name(), section.data()));
            }
            // What precedes the code stays whatever it is: what is changed below is changed where it lies in the binary.
            keep = !after_code || section.name() == "name";
        }
        if keep {
            kept.push(position..end);
        }
        if let Payload::CodeSectionStart { range, .. } = &payload {
            (after_code, code) = (true, range.start as u32);
        }
        position = end;
    }
    notes.references.retain(|index| *index < imported_functions);
    notes.references.sort_unstable();
    notes.references.dedup();
    notes.tables.sort_by_key(|table| table.index);
    notes.tables.dedup_by_key(|table| table.index);
    let mut binary = strip(binary, &kept);
    for (offset, null) in nulls {
        binary.to_mut()[offset..offset + null.len()].copy_from_slice(&null);
    }
    if let Some(body) = start_section {
        hide(binary.to_mut(), body);
    }
    Ok(Prepared {
        binary,
        notes,
        debug,
        code,
    })
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
    fn custom_sections_after_the_code_go_and_debug_information_is_forgotten() {
        let text = r#"(module
            (@custom ".debug_early" (before first) "stays")
            (func $f (export "f"))
            (@custom ".debug_info" (after last) "goes")
            (@custom "other" (after last) "is kept")
            (@custom "other" (after last) "this too"))"#;
        let binary = wasmer::wat2wasm(text.as_bytes()).unwrap();
        let prepared = prepare(&binary).unwrap();
        let stripped = prepared.binary;
        let has = |bytes: &[u8], name: &str| {
            bytes
                .windows(name.len())
                .any(|window| window == name.as_bytes())
        };
        assert!(has(&binary, ".debug_info") && !has(&stripped, ".debug_info"));
        assert!(has(&stripped, ".debug_early") && !has(&stripped, "other"));
        let kept: Vec<_> = prepared
            .notes
            .sections
            .iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(kept, [".debug_early", "other", "other", "name"]);
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
    fn embedded_code_before_the_code_moves_nothing() {
        for place in ["(before first)", "(before elem)", "(before code)"] {
            let text = format!(
                r#"(module
                    (import "" "g" (global externref))
                    (@custom "{}" {place} "0123456789")
                    (table 1 externref)
                    (elem (i32.const 0) externref (item (global.get 0)))
                    (func $f (drop (i32.const 0x08080808)))
                    (start $f))"#,
                embed::SECTION
            );
            let binary = wasmer::wat2wasm(text.as_bytes()).unwrap();
            let prepared = prepare(&binary).unwrap();
            assert_eq!(prepared.binary.len(), binary.len(), "{place}");
            assert_eq!(prepared.notes.elements.len(), 1, "{place}");
            let mut names = prepared.notes.sections.iter().map(|(name, _)| name);
            assert!(names.all(|name| name != embed::SECTION), "{place}");
            wasmer::wasmparser::validate(&prepared.binary).unwrap();
            let again = prepare(&prepared.binary).unwrap();
            assert_eq!((again.notes.start, again.notes.elements.len()), (None, 0));
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
        let (len, bytes) = (bytes.len() - 1, OwnedBuffer::from(bytes));
        assert_eq!(Notes::decode(&bytes), Some((notes, len)));
        assert_eq!(Notes::decode(&bytes.slice(..9)), None);
    }

    #[test]
    fn imported_functions_that_can_be_referred_to_are_noted() {
        let text = r#"(module
            (import "a" "0" (func)) (import "a" "1" (func)) (import "a" "2" (func)) (import "a" "3" (func))
            (import "a" "4" (func)) (import "a" "5" (func)) (func)
            (export "e" (func 1)) (export "own" (func 6)) (global funcref (ref.func 2))
            (table 9 funcref) (elem (i32.const 0) func 3 6) (elem declare func 4) (elem funcref (ref.func 3)))"#;
        let binary = wasmer::wat2wasm(text.as_bytes()).unwrap();
        assert_eq!(prepare(&binary).unwrap().notes.references, [1, 2, 3, 4]);
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
        let encoded = OwnedBuffer::from(prepared.notes.encode());
        let decoded = Notes::decode(&encoded);
        assert_eq!(decoded, Some((prepared.notes, encoded.len())));
        assert!(prepare(&prepared.binary).unwrap().notes.elements.is_empty());
    }
}
