//! The name of the instruction at an offset, as the text format has it: for error messages.

use wasmer::wasmparser::{Operator, Parser, Payload};

/// The name of the instruction of a function's body that is at the offset, or around it.
pub(crate) fn at(binary: &[u8], offset: usize) -> Option<String> {
    for payload in Parser::new(0).parse_all(binary) {
        let Payload::CodeSectionEntry(body) = payload.ok()? else {
            continue;
        };
        let range = body.range();
        if !(range.start as usize..range.end as usize).contains(&offset) {
            continue;
        }
        let mut found = None;
        let operators = body.get_operators_reader().ok()?;
        for operator in operators.into_iter_with_offsets() {
            let (operator, start) = operator.ok()?;
            if start as usize > offset {
                break;
            }
            found = Some(operator);
        }
        return found.map(|operator| name(&operator));
    }
    None
}

macro_rules! visitors {
    ($(@$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
        fn visitor(operator: &Operator) -> &'static str {
            match operator {
                $(Operator::$op { .. } => stringify!($visit),)*
                _ => "",
            }
        }
    };
}
wasmer::wasmparser::for_each_operator!(visitors);

/// The validator's names have underscores where the text format has dots.
pub(crate) fn name(operator: &Operator) -> String {
    let name = visitor(operator).trim_start_matches("visit_");
    if let Some((before, after)) = name.split_once("_atomic_") {
        let after = match after
            .strip_prefix("rmw")
            .and_then(|rest| rest.split_once('_'))
        {
            Some((width, operation)) => format!("rmw{width}.{operation}"),
            None => after.to_string(),
        };
        return format!("{before}.atomic.{after}");
    }
    const SPACES: [&str; 22] = [
        "i32", "i64", "f32", "f64", "v128", "i8x16", "i16x8", "i32x4", "i64x2", "f32x4", "f64x2",
        "memory", "table", "elem", "data", "ref", "local", "global", "struct", "array", "any",
        "extern",
    ];
    match name.split_once('_') {
        Some((space, rest)) if SPACES.contains(&space) => {
            format!("{space}.{}", rest.trim_start_matches('_'))
        }
        _ => name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_have_the_names_of_the_text_format() {
        let text = r#"(module (memory 1 1 shared) (table 1 funcref) (type $t (func))
            (func (param i32) (drop (i32.extend8_s (local.get 0)))
                (drop (i32.atomic.rmw8.add_u (i32.const 0) (i32.const 0)))
                (drop (i64.atomic.load32_u (i32.const 0)))
                (call_indirect (type $t) (i32.const 0))
                (v128.store (i32.const 0) (i8x16.splat (i32.const 0)))
                (block (br_if 0 (i32.const 0)))))"#;
        let binary = wasmer::wat2wasm(text.as_bytes()).unwrap();
        let mut names = Vec::new();
        for offset in 0..binary.len() {
            let name = at(&binary, offset).unwrap_or_default();
            if names.last() != Some(&name) {
                names.push(name);
            }
        }
        for want in [
            "i32.extend8_s",
            "local.get",
            "drop",
            "i32.atomic.rmw8.add_u",
            "i64.atomic.load32_u",
            "call_indirect",
            "v128.store",
            "i8x16.splat",
            "br_if",
            "end",
        ] {
            assert!(names.iter().any(|name| name == want), "{want}: {names:?}");
        }
    }
}
