//! Debug information (DWARF) in custom sections: often most of a binary, and of no use to a compiler, which would hash it,
//! copy it, and keep the copy with the module.

use std::borrow::Cow;
use wasmer::wasmparser::{Parser, Payload};

/// The binary without its debug sections, as far as they come after the code: offsets of instructions stay what they are.
pub(crate) fn strip(binary: &[u8]) -> Cow<'_, [u8]> {
    let (mut kept, mut position, mut after_code) = (Vec::new(), 8, false);
    for payload in Parser::new(0).parse_all(binary) {
        let Ok(payload) = payload else {
            return binary.into();
        };
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
    let size: usize = 8 + kept.iter().map(|range| range.len()).sum::<usize>();
    if size == binary.len() {
        return binary.into();
    }
    let mut out = Vec::with_capacity(size);
    out.extend_from_slice(&binary[..8]);
    kept.into_iter()
        .for_each(|range| out.extend_from_slice(&binary[range]));
    out.into()
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
        let stripped = strip(&binary);
        let has = |bytes: &[u8], name: &str| {
            bytes
                .windows(name.len())
                .any(|window| window == name.as_bytes())
        };
        assert!(has(&binary, ".debug_info") && !has(&stripped, ".debug_info"));
        assert!(has(&stripped, ".debug_early") && has(&stripped, "other"));
        assert_eq!(strip(&stripped), stripped);
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
}
