//! Writes the C header that the Go side includes, and the build id that artifacts carry.

use sha2::{Digest, Sha256};
use std::{env, fs, path::Path, process::Command};

const HEADER: &str = "wasmer/internal/ffi/wasmer_go.h";

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    for input in ["src", "cbindgen.toml", "build.rs", "Cargo.lock", HEADER] {
        println!("cargo:rerun-if-changed={input}");
    }
    write_header(Path::new(&root));
    println!(
        "cargo:rustc-env=WASMERGO_BUILD_ID={}",
        build_id(Path::new(&root))
    );
    println!(
        "cargo:rustc-env=WASMERGO_TARGET={}",
        env::var("TARGET").expect("cargo sets TARGET")
    );
}

/// Only a header that differs is written: a touched file would rebuild the Go side each time.
fn write_header(root: &Path) {
    let path = root.join(HEADER);
    let config = cbindgen::Config::from_root_or_default(root);
    let mut header = Vec::new();
    cbindgen::Builder::new()
        .with_crate(root)
        .with_config(config)
        .generate()
        .expect("cbindgen reads src/")
        .write(&mut header);
    if fs::read(&path).ok().as_deref() != Some(&header) {
        fs::write(&path, &header).expect("the header's folder can be written");
    }
}

/// Two builds that share this id make the same code and agree on its layout: same wasmer, same compiler crates, same rustc,
/// same sources of this crate, which takes part in compilation.
fn build_id(root: &Path) -> String {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = Command::new(rustc)
        .arg("-vV")
        .output()
        .map(|o| o.stdout)
        .unwrap_or_default();
    let mut hash = Sha256::new();
    hash.update(fs::read(root.join("Cargo.lock")).unwrap_or_default());
    hash.update(version);
    hash_sources(&root.join("src"), &mut hash);
    hash.update(env::var("TARGET").unwrap_or_default());
    hash.finalize()
        .iter()
        .take(8)
        .map(|b| format!("{b:02x}"))
        .collect()
}

fn hash_sources(folder: &Path, hash: &mut Sha256) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        match path.is_dir() {
            true => hash_sources(&path, hash),
            false => hash.update(fs::read(path).unwrap_or_default()),
        }
    }
}
