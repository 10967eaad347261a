//! What a cache needs: keys, entries that carry theirs, and a look at entries without an engine.
//!
//! An entry is an artifact whose label is the key that it was made for: under another's name it is refused.

use crate::artifact;
use crate::bytes::{Encoder, borrow, wasmergo_bytes};
use crate::digest;
use crate::engine::wasmergo_engine;
use crate::guard::fallible;
use crate::header::{self, Header, incompatible};
use crate::load::{contents, copy, descriptor, map, write};
use crate::module::wasmergo_module;
use crate::prepare::Notes;
use shared_buffer::OwnedBuffer;
use std::sync::Arc;
use wasmer::wasmparser::{BinaryReader, Name, NameSectionReader};

/// The bytes of a key.
const KEY: usize = blake3::OUT_LEN;

/// What precedes the key in a label.
const LABEL: &str = "cache ";

fn label(key: &[u8; KEY]) -> String {
    let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{LABEL}{digits}")
}

impl wasmergo_engine {
    /// The same for all inputs and engines that give the same code, with the same to go with it; else another one.
    fn key(&self, input: &[u8]) -> [u8; KEY] {
        let mut digest = blake3::Hasher::new_derive_key("wasmer-go: key of a cached module, 2");
        let cpu = header::names(self.options.target.cpu_features().iter());
        let mut part = |bytes: &[u8]| {
            digest.update(&(bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        };
        part(&Header::new(self, [0; _]).encode());
        part(cpu.join(",").as_bytes());
        part(&[self.drop_debug_info.into()]);
        match &self.artifact_key {
            Some(key) => part(&key.sign(&[0; _])),
            None => part(&[]),
        }
        part(&digest::digest(input));
        digest.finalize().into()
    }
}

/// Writes the key of a module in binary or text format, 32 bytes.
///
/// # Safety
/// `bytes` holds `len` bytes, `out` takes 32.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_engine_key(
    engine: &wasmergo_engine,
    bytes: *const u8,
    len: usize,
    out: *mut u8,
) -> wasmergo_bytes {
    fallible(|| {
        let key = engine.key(unsafe { borrow(bytes, len) });
        unsafe { out.cast::<[u8; KEY]>().write(key) };
        Ok(())
    })
}

/// The module as the entry of a key.
///
/// # Safety
/// `key` holds 32 bytes, `out` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_module_to_cache(
    module: &wasmergo_module,
    key: *const u8,
    out: *mut wasmergo_bytes,
) -> wasmergo_bytes {
    fallible(|| {
        let key = unsafe { &*key.cast::<[u8; KEY]>() };
        unsafe { out.write(module.artifact(&label(key))?.concat().into()) };
        Ok(())
    })
}

/// Writes the module as the entry of a key. The caller closes the descriptor.
///
/// # Safety
/// `key` holds 32 bytes, `file` is an open file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_module_to_cache_file(
    module: &wasmergo_module,
    key: *const u8,
    file: i32,
) -> wasmergo_bytes {
    fallible(|| {
        let key = unsafe { &*key.cast::<[u8; KEY]>() };
        let file = unsafe { descriptor(file) };
        write(&file, module, &label(key))
    })
}

/// Loads the entry of a key. What is not whole, not this engine's, or another key's is refused before wasmer sees it.
///
/// # Safety
/// `bytes` holds `len` bytes, `key` 32, `out` is valid. As for `wasmergo_module_deserialize`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_module_from_cache(
    engine: &wasmergo_engine,
    key: *const u8,
    bytes: *const u8,
    len: usize,
    out: *mut *mut wasmergo_module,
) -> wasmergo_bytes {
    fallible(|| {
        let (key, bytes) = unsafe { (&*key.cast::<[u8; KEY]>(), borrow(bytes, len)) };
        let module = unsafe { wasmergo_module::load(engine, &copy(bytes), &label(key), true)? };
        unsafe { out.write(Box::into_raw(module)) };
        Ok(())
    })
}

/// As `wasmergo_module_from_cache`, from a file, which is mapped as by `wasmergo_module_deserialize_file`.
///
/// # Safety
/// `key` holds 32 bytes, `file` is an open file, `out` is valid. What is mapped does not change.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_module_from_cache_file(
    engine: &wasmergo_engine,
    key: *const u8,
    file: i32,
    out: *mut *mut wasmergo_module,
) -> wasmergo_bytes {
    fallible(|| {
        let (key, file) = unsafe { (&*key.cast::<[u8; KEY]>(), descriptor(file)) };
        let bytes = contents(&file, engine)?;
        let module = unsafe { wasmergo_module::load(engine, &bytes, &label(key), true)? };
        unsafe { out.write(Box::into_raw(module)) };
        Ok(())
    })
}

/// Another handle of the same code; owned by the caller.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_module_share(module: &wasmergo_module) -> Box<wasmergo_module> {
    Box::new(wasmergo_module {
        compiled: Arc::clone(&module.compiled),
        header: module.header.clone(),
        artifact_key: module.artifact_key.clone(),
    })
}

/// What an entry in a file is of, encoded: compiler, key in hexadecimal digits, module name. Fails if it is damaged, or no
/// entry; but for the header, damage is looked for if it is to be verified only. The caller closes the descriptor.
///
/// # Safety
/// `file` is an open file, `out` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_cache_inspect(
    file: i32,
    verify: bool,
    out: *mut wasmergo_bytes,
) -> wasmergo_bytes {
    fallible(|| {
        let file = unsafe { descriptor(file) };
        let bytes = map(&file)?;
        let envelope = artifact::read(&bytes)?;
        let key = envelope.header.label.strip_prefix(LABEL);
        let key = key.ok_or_else(|| incompatible("an artifact, but of no cache"))?;
        if verify {
            envelope.verify(&bytes)?;
        }
        let mut encoder = Encoder::default();
        encoder.str(&envelope.header.compiler);
        encoder.str(key);
        encoder.str(&name(&bytes.slice(envelope.payload.clone())).unwrap_or_default());
        unsafe { out.write(encoder.finish()) };
        Ok(())
    })
}

/// The name that the name section gives the module.
fn name(payload: &OwnedBuffer) -> Option<String> {
    let front = 8..payload.len();
    let (notes, _) = Notes::decode(&payload.slice(front.start.min(front.end)..front.end))?;
    let (_, contents) = notes.sections.iter().find(|(name, _)| name == "name")?;
    NameSectionReader::new(BinaryReader::new(contents, 0)).find_map(|name| match name {
        Ok(Name::Module { name, .. }) => Some(name.to_string()),
        _ => None,
    })
}
