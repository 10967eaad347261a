//! What the standard library asks of the system: `sleep MILLISECONDS`, `write PATH TEXT`, `read PATH`, `env NAME`,
//! `panic`.

use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("system: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[&str]) -> io::Result<()> {
    match args {
        ["sleep", milliseconds] => sleep(milliseconds.parse().map_err(io::Error::other)?),
        ["write", path, text] => fs::write(path, text)?,
        ["read", path] => print!("{}", fs::read_to_string(path)?),
        ["env", name] => println!("{}", env::var(name).map_err(io::Error::other)?),
        ["panic"] => panic!("as asked"),
        _ => return Err(io::Error::other("unknown command")),
    }
    Ok(())
}

fn sleep(milliseconds: u64) {
    let start = Instant::now();
    thread::sleep(Duration::from_millis(milliseconds));
    println!("{}", start.elapsed().as_millis());
}
