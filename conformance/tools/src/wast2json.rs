//! Converts scripts (`*.wast`) to what the Go runner reads: for each a folder of modules and `script.json`, a list of
//! commands in the form that wabt's tool of this name introduced.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use json_from_wast::{Opts, Wast};
use serde_json::{Value, json};
use wast::lexer::{Lexer, TokenKind};
use wast::parser::{self, ParseBuffer};

/// The files of one script.
#[derive(Default)]
struct Output {
    commands: Vec<Value>,
    modules: Vec<(String, Vec<u8>)>,
}

pub fn run(dir: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    let mut scripts = Vec::new();
    find(dir, &mut scripts)?;
    scripts.sort();
    for script in &scripts {
        let name = script.strip_prefix(dir)?.with_extension("");
        let folder = out.join(&name);
        fs::create_dir_all(&folder)?;
        let converted = match fs::read_to_string(script) {
            Ok(text) => convert(&text),
            Err(error) => Output {
                commands: vec![not_converted(1, &error)],
                ..Output::default()
            },
        };
        for (file, content) in &converted.modules {
            fs::write(folder.join(file), content)?;
        }
        let document = json!({ "commands": converted.commands });
        fs::write(folder.join("script.json"), serde_json::to_vec(&document)?)?;
    }
    Ok(())
}

fn find(dir: &Path, scripts: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, scripts)?;
        } else if path.extension().is_some_and(|e| e == "wast") {
            scripts.push(path);
        }
    }
    Ok(())
}

/// Converts the script as a whole, else form by form, so that one form that the parser does not know costs no other.
fn convert(text: &str) -> Output {
    let mut output = Output::default();
    let whole = convert_part(text, 0, "m", &mut output);
    let Err(whole) = whole else {
        return output;
    };
    let forms = match forms(text) {
        Ok(forms) => forms,
        Err(_) => {
            output.commands = vec![not_converted(1, whole.as_ref())];
            return output;
        }
    };
    for (n, (start, end)) in forms.into_iter().enumerate() {
        let lines_before = text[..start].lines().count().max(1) - 1;
        let stem = format!("m{n}");
        if let Err(error) = convert_part(&text[start..end], lines_before, &stem, &mut output) {
            output
                .commands
                .push(not_converted(lines_before + 1, error.as_ref()));
        }
    }
    output
}

fn convert_part(
    text: &str,
    lines_before: usize,
    stem: &str,
    output: &mut Output,
) -> Result<(), Box<dyn Error>> {
    let buffer = ParseBuffer::new_with_lexer(lexer(text))?;
    let script = parser::parse::<wast::Wast>(&buffer)?;
    let mut converted: Wast = Opts::default()
        .module_filename(stem)
        .convert("script", text, script)?;
    output.modules.append(&mut converted.wasms);
    for command in &converted.commands {
        let mut command = serde_json::to_value(command)?;
        shift_lines(&mut command, lines_before);
        output.commands.push(command);
    }
    Ok(())
}

fn shift_lines(command: &mut Value, lines_before: usize) {
    if let Some(line) = command["line"].as_u64() {
        command["line"] = json!(line + lines_before as u64);
    }
    if let Some(commands) = command.get_mut("commands").and_then(Value::as_array_mut) {
        for command in commands {
            shift_lines(command, lines_before);
        }
    }
}

/// The suite's names contain every kind of Unicode on purpose.
fn lexer(text: &str) -> Lexer<'_> {
    let mut lexer = Lexer::new(text);
    lexer.allow_confusing_unicode(true);
    lexer
}

/// The ranges of the outermost parenthesised forms.
fn forms(text: &str) -> Result<Vec<(usize, usize)>, wast::Error> {
    let mut forms = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for token in lexer(text).iter(0) {
        let token = token?;
        match token.kind {
            TokenKind::LParen => {
                if depth == 0 {
                    start = token.offset;
                }
                depth += 1;
            }
            TokenKind::RParen => {
                depth -= 1;
                if depth == 0 {
                    forms.push((start, token.offset + 1));
                }
            }
            _ => {}
        }
    }
    Ok(forms)
}

/// Stands in the list for what could not be converted, so that the runner counts it.
fn not_converted(line: usize, error: &dyn Error) -> Value {
    json!({ "type": "not_converted", "line": line, "text": error.to_string() })
}
