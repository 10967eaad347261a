//! Debug information (DWARF) of a module: from an instruction to the lines of source that it was made from. The addresses
//! in it count from the start of the code section's contents.
//!
//! See <https://yurydelendik.github.io/webassembly-dwarf/>.
//!
//! A guest's debug information is as hostile as the guest: units that share one huge table, endless lists, functions
//! inlined a million deep. So each byte that is read is paid for from a budget, which grows with the size of the sections
//! alone; it bounds time and memory. And the depth of the stack is looked at: the parser recurses. See `section_reader.rs`.

use crate::bytes::Encoder;
use crate::section_reader::{Budget, Reader};
use crate::symbols::demangle;
use addr2line::gimli::{self, SectionId};
use shared_buffer::OwnedBuffer;
use std::sync::{Arc, Mutex, PoisonError};

/// A place in a source. Of inlined calls there are several, innermost first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub file: String,
    pub line: u32,
    pub column: u32,
    pub function: String,
    pub inlined: bool,
}

impl Source {
    /// `file, line u32, column u32, function, inlined u8`
    pub fn encode(&self, out: &mut Encoder) {
        out.str(&self.file);
        out.u32(self.line);
        out.u32(self.column);
        out.str(&self.function);
        out.u8(self.inlined.into());
    }
}

/// The debug sections of a module, and what has been read of them so far.
#[derive(Default)]
pub(crate) struct Dwarf {
    /// Declared before the sections, which it points into.
    state: Mutex<State>,
    sections: Sections,
}

/// The sections as they are in the binary, and where in it the contents of the code section begin.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sections {
    pub code: u32,
    pub all: Vec<(String, OwnedBuffer)>,
}

#[derive(Default)]
enum State {
    #[default]
    Unread,
    Read(Box<addr2line::Context<Reader>>, Budget),
    /// It is broken, or takes more than it may.
    Refused,
}

/// Besides what the size of the sections gives.
const LEAST: u64 = 256 << 10;
const MOST: u64 = 64 << 20;
/// Inlined calls of one instruction, bytes of a file's name.
const MAX_SOURCES: usize = 256;
const MAX_NAME: usize = 4096;

impl Sections {
    /// Whether a section is one that tells lines and inlined calls.
    pub fn is_wanted(name: &str) -> bool {
        matches!(
            name,
            ".debug_abbrev"
                | ".debug_addr"
                | ".debug_aranges"
                | ".debug_info"
                | ".debug_line"
                | ".debug_line_str"
                | ".debug_ranges"
                | ".debug_rnglists"
                | ".debug_str"
                | ".debug_str_offsets"
        )
    }

    fn get(&self, name: &str) -> &[u8] {
        let found = self.all.iter().find(|(other, _)| other == name);
        found.map_or(&[], |(_, contents)| contents)
    }

    /// u32 each: code, count, { name, contents }*, as their lengths and bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        out.u32(self.code);
        out.u32(self.all.len() as u32);
        for (name, contents) in &self.all {
            out.str(name);
            out.bytes(contents);
        }
        out.into_vec()
    }

    /// The sections at the beginning of the bytes, which they go on using, and where the rest begins.
    pub fn decode(bytes: &OwnedBuffer) -> Option<(Self, usize)> {
        fn number(rest: &mut &[u8]) -> Option<u32> {
            let (head, tail) = rest.split_first_chunk()?;
            *rest = tail;
            Some(u32::from_le_bytes(*head))
        }
        fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
            let len = number(rest)?;
            let (head, tail) = rest.split_at_checked(len as usize)?;
            *rest = tail;
            Some(head)
        }
        let mut rest = &bytes[..];
        let (code, count) = (number(&mut rest)?, number(&mut rest)?);
        let mut all = Vec::new();
        for _ in 0..count {
            let name = std::str::from_utf8(take(&mut rest)?).ok()?;
            let len = take(&mut rest)?.len();
            let end = bytes.len() - rest.len();
            all.push((name.to_string(), bytes.slice(end - len..end)));
        }
        Some((Self { code, all }, bytes.len() - rest.len()))
    }

    fn size(&self) -> u64 {
        let sizes = self.all.iter().map(|(_, contents)| contents.len() as u64);
        sizes.sum()
    }
}

impl Dwarf {
    pub fn new(sections: Sections) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            sections,
        })
    }

    pub fn sections(&self) -> &Sections {
        &self.sections
    }

    pub fn is_empty(&self) -> bool {
        self.sections.all.is_empty()
    }

    /// What an instruction, by its offset in the binary, was made from. Empty if that is not known.
    pub fn sources(&self, offset: u32) -> Vec<Source> {
        let Some(address) = offset.checked_sub(self.sections.code) else {
            return Vec::new();
        };
        if self.is_empty() || crate::thread::exhausted() {
            return Vec::new();
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = matches!(*state, State::Unread);
        let (context, budget) = match std::mem::replace(&mut *state, State::Refused) {
            State::Refused => return Vec::new(),
            State::Read(context, budget) => (Some(context), budget),
            State::Unread => {
                let size = self.sections.size().saturating_mul(4);
                let mut budget = Budget(size.saturating_add(LEAST).min(MOST));
                (budget.spend(|| self.context()), budget)
            }
        };
        // A panic leaves it refused.
        let Some(context) = context else {
            return Vec::new();
        };
        let mut budget = budget;
        let found = budget.spend(|| find(&context, address.into()));
        // What is used up by many questions starts anew, so that what is kept is bounded; by one, it is too much.
        *state = match budget.0 {
            0 if fresh => State::Refused,
            0 => State::Unread,
            _ => State::Read(context, budget),
        };
        found.unwrap_or_default()
    }

    fn context(&self) -> Option<Box<addr2line::Context<Reader>>> {
        let load = |id: SectionId| {
            let bytes = self.sections.get(id.name());
            // The context lies in `state`, which is dropped before the sections; nothing changes or moves these.
            let bytes = unsafe { std::slice::from_raw_parts(bytes.as_ptr(), bytes.len()) };
            Ok::<_, gimli::Error>(Reader::new(id, bytes))
        };
        let dwarf = gimli::Dwarf::load(load).ok()?;
        let context = addr2line::Context::from_dwarf(dwarf).ok()?;
        Some(Box::new(context))
    }
}

fn find(context: &addr2line::Context<Reader>, address: u64) -> Option<Vec<Source>> {
    let mut frames = context.find_frames(address).skip_all_loads().ok()?;
    let mut sources = Vec::new();
    while let Ok(Some(frame)) = frames.next() {
        let location = frame.location;
        let Some((file, line)) = location.as_ref().and_then(|at| Some((at.file?, at.line?))) else {
            continue;
        };
        let name = frame.function.as_ref();
        let name = name.and_then(|function| function.name.name(MAX_NAME));
        if sources.len() == MAX_SOURCES {
            break;
        }
        sources.push(Source {
            file: shortened(file, MAX_NAME).to_string(),
            line,
            column: location.and_then(|at| at.column).unwrap_or(0),
            function: demangle(&name.unwrap_or_default()).into_owned(),
            inlined: true,
        });
    }
    if let Some(outermost) = sources.last_mut() {
        outermost.inlined = false;
    }
    Some(sources)
}

fn shortened(text: &str, len: usize) -> &str {
    &text[..text.floor_char_boundary(len)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    /// Entry 1: a unit, 2: a function, both with addresses and children; 3: an inlined call, with children; 4: a unit with
    /// lines.
    const ABBREV: &[u8] = &[
        1, 0x11, 1, 0x11, 0x01, 0x12, 0x06, 0, 0, // low pc, high pc
        2, 0x2e, 1, 0x11, 0x01, 0x12, 0x06, 0, 0, // low pc, high pc
        3, 0x1d, 1, 0, 0, //
        4, 0x11, 0, 0x11, 0x01, 0x12, 0x06, 0x10, 0x17, 0, 0, // low pc, high pc, lines
        0,
    ];
    const ALL: [u8; 8] = [0, 0, 0, 0, 0, 0, 0, 0x10];

    fn unit(entries: &[u8]) -> Vec<u8> {
        let mut unit = vec![4, 0, 0, 0, 0, 0, 4]; // version, abbreviations, size of addresses
        unit.extend_from_slice(entries);
        [&(unit.len() as u32).to_le_bytes(), &unit[..]].concat()
    }

    /// A unit and a function that cover all addresses.
    fn covering() -> Vec<u8> {
        [&[1][..], &ALL, &[2], &ALL].concat()
    }

    fn dwarf(sections: &[(&str, Vec<u8>)]) -> Arc<Dwarf> {
        let all = sections.iter().cloned();
        Dwarf::new(Sections {
            code: 10,
            all: all
                .map(|(name, contents)| (name.to_string(), contents.into()))
                .collect(),
        })
    }

    fn resident() -> usize {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages = statm
            .split(' ')
            .nth(1)
            .map_or(0, |pages| pages.parse().unwrap());
        pages * 4096
    }

    /// Nothing is found, soon, and at the cost of little memory.
    fn hostile(what: &str, dwarf: &Dwarf) {
        let (begin, before) = (Instant::now(), resident());
        for at in [10, 50, 4000, u32::MAX, 9] {
            assert_eq!(dwarf.sources(at), [], "{what}");
        }
        let (took, grown) = (begin.elapsed(), resident().saturating_sub(before));
        assert!(took < Duration::from_secs(5), "{what}: {took:?}");
        assert!(grown < 400 << 20, "{what}: {grown} bytes");
    }

    #[test]
    fn calls_that_are_inlined_endlessly_deep_take_little_stack() {
        let entries = [covering(), vec![3; 3 << 20]].concat();
        let deep = dwarf(&[
            (".debug_abbrev", ABBREV.to_vec()),
            (".debug_info", unit(&entries)),
        ]);
        let small = std::thread::Builder::new().stack_size(512 << 10);
        let run = small.spawn(move || hostile("deep", &deep)).unwrap();
        run.join().unwrap();
    }

    #[test]
    fn units_that_share_a_huge_table_are_refused() {
        let table: Vec<u8> = (5..200_000u32)
            .flat_map(|code| {
                let bytes = [
                    code as u8 & 0x7f | 0x80,
                    (code >> 7) as u8 & 0x7f | 0x80,
                    (code >> 14) as u8,
                ];
                [&bytes[..], &[0x2e, 0, 0, 0]].concat()
            })
            .collect();
        let abbrev = [&ABBREV[..ABBREV.len() - 1], &table, &[0]].concat();
        let units = unit(&covering()).repeat(100_000);
        hostile(
            "table",
            &dwarf(&[(".debug_abbrev", abbrev), (".debug_info", units)]),
        );
    }

    #[test]
    fn units_that_share_a_huge_list_of_lines_are_refused() {
        let rows = vec![0x20; 4 << 20];
        let mut program: Vec<u8> = vec![4, 0]; // version
        program.extend_from_slice(&20u32.to_le_bytes()); // length of the rest of the header
        program.extend_from_slice(&[
            1, 1, 1, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1, 0, 0,
        ]);
        program.extend_from_slice(&rows);
        let lines = [&(program.len() as u32).to_le_bytes(), &program[..]].concat();
        let units = unit(&[&[4][..], &ALL, &[0; 4]].concat()).repeat(50_000);
        let sections = [
            (".debug_abbrev", ABBREV.to_vec()),
            (".debug_info", units),
            (".debug_line", lines),
        ];
        hostile("lines", &dwarf(&sections));
    }

    #[test]
    fn sections_survive_an_artifact() {
        let sections = Sections {
            code: 7,
            all: vec![
                (".debug_info".into(), vec![1, 2, 3].into()),
                (".debug_str".into(), vec![].into()),
            ],
        };
        let mut bytes = sections.encode();
        let len = bytes.len();
        bytes.push(9);
        let bytes = OwnedBuffer::from(bytes);
        for cut in 0..len {
            assert_eq!(Sections::decode(&bytes.slice(..cut)), None);
        }
        assert_eq!(Sections::decode(&bytes), Some((sections, len)));
    }
}
