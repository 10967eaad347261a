//! The conformance tests' tools: `wast2json DIR OUT` and `smith <SEEDS >MODULES`.

mod smith;
mod wast2json;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args[..] {
        ["wast2json", dir, out] => wast2json::run(dir.as_ref(), out.as_ref()),
        ["smith"] => smith::run(),
        _ => Err("usage: wast2json DIR OUT | smith <SEEDS >MODULES".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
