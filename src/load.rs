//! Modules as artifacts and back.
//!
//! The payload of an artifact: where wasmer's part begins u64, notes, debug sections, length of locations u64, locations, zeros up
//! to a multiple of 64, what wasmer makes of compiled code. All but the code itself is used in place, so that a file need not be
//! read, but is mapped.

use crate::artifact::{self, ALIGNMENT};
use crate::bytes::{Encoder, borrow, wasmergo_bytes};
use crate::dwarf::Sections;
use crate::engine::wasmergo_engine;
use crate::error::{Error, wasmergo_error_kind};
use crate::guard::{fallible, guard};
use crate::header::incompatible;
use crate::locations::{self, Locations};
use crate::module::{Compiled, Parts, wasmergo_module};
use crate::prepare::Notes;
use crate::resource;
use crate::signature::SignatureTable;
use crate::tier;
use shared_buffer::OwnedBuffer;
use std::fs::File;
use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::os::fd::{FromRawFd, RawFd};
use std::os::unix::fs::FileExt;
use wasmer_compiler::{ArtifactCreate, EngineBuilder};

impl wasmergo_module {
    /// The module as an artifact with this label, in two parts.
    pub(crate) fn artifact(&self, label: &str) -> Result<[Vec<u8>; 2], Error> {
        let code = self.compiled.artifact.serialize();
        let mut code =
            code.map_err(|error| Error::new(wasmergo_error_kind::Unsupported, error.to_string()))?;
        let taken;
        let locations = match &self.compiled.locations {
            Some(locations) => locations.bytes(), // the code was loaded without them
            None => {
                let (rest, locations) = locations::take(code)?;
                (code, taken) = (rest, locations);
                &taken
            }
        };
        let mut front = vec![0; 8];
        front.extend(self.compiled.notes.encode());
        front.extend(self.compiled.dwarf.sections().encode());
        front.extend((locations.len() as u64).to_le_bytes());
        front.extend(locations);
        front.resize(front.len().next_multiple_of(ALIGNMENT), 0);
        let start = (front.len() as u64).to_le_bytes();
        front[..8].copy_from_slice(&start);
        let mut header = self.header.clone();
        header.label = label.into();
        let mut out = artifact::seal(&header, &[&front, &code], self.artifact_key.as_ref());
        out.append(&mut front);
        Ok([out, code])
    }

    /// Loads an artifact with this label. What is not for this engine is refused before wasmer sees it, and unless the caller
    /// knows, what is not whole, or has not the key.
    ///
    /// # Safety
    /// The bytes do not change as long as the module lives. An artifact is machine code: a digest finds damage, not forgery.
    pub(crate) unsafe fn load(
        engine: &wasmergo_engine,
        bytes: &OwnedBuffer,
        label: &str,
        verify: bool,
    ) -> Result<Box<Self>, Error> {
        let envelope = artifact::read(bytes)?;
        envelope.header.check(engine)?;
        if envelope.header.label != label {
            return Err(incompatible(format!(
                "made as {:?}, not as {label:?}",
                envelope.header.label
            )));
        }
        if verify {
            envelope.verify_key(engine.artifact_key.as_ref())?;
            envelope.verify(bytes)?;
        }
        let payload = bytes.slice(envelope.payload.clone());
        resource::room_to_load(payload.len())?;
        let damaged = || incompatible("damaged: its parts do not fit together");
        // wasmer's panics over what it cannot read leave nothing behind: its engine is dropped.
        let compiled = guard(|| {
            let start = payload.first_chunk().ok_or_else(damaged)?;
            let start = usize::try_from(u64::from_le_bytes(*start)).unwrap_or(usize::MAX);
            if start < 8 || start > payload.len() {
                return Err(damaged());
            }
            let front = payload.slice(8..start);
            let (notes, len) = Notes::decode(&front).ok_or_else(damaged)?;
            let front = front.slice(len..);
            let (mut debug, len) = Sections::decode(&front).ok_or_else(damaged)?;
            let front = front.slice(len..);
            let len = u64::from_le_bytes(*front.first_chunk().ok_or_else(damaged)?) as usize;
            let locations = front.get(8..).and_then(|rest| rest.get(..len));
            let locations = locations.ok_or_else(damaged)?.len();
            let locations = front.slice(8..8 + locations);
            if engine.drop_debug_info {
                debug = Sections::default();
            }
            let wasmer_engine = match engine.options.target.is_native() {
                true => {
                    let mut headless = EngineBuilder::headless().engine();
                    headless.set_tunables(engine.tunables(Vec::new()));
                    headless
                }
                false => engine.wasmer_engine(&Notes::default(), None)?, // it knows that it is not to map the code
            };
            let code = payload.slice(start..);
            let artifact = unsafe { wasmer_engine.deserialize_unchecked(code)? };
            SignatureTable::default().insert_all(artifact.module_info().signatures.values())?;
            let locations = Locations::new(locations, artifact.module_info().local_func_count())?;
            let parts = Parts {
                artifact,
                notes,
                debug,
                locations,
                wasmer_engine,
                abi: envelope.header.compiler()?.into(),
                metered: engine.metering.is_some(),
            };
            let compiled = Compiled::with(parts, engine);
            if engine.linker.is_some() && compiled.shares_references {
                return Err(incompatible(tier::unsupported(engine.compiler).message));
            }
            Ok(compiled)
        })?;
        let mut header = envelope.header;
        header.label.clear(); // the artifact's, not the module's: see `embed.rs`
        Ok(Self::new(compiled, header, engine))
    }
}

/// Bytes that are kept: a copy.
pub(crate) fn copy(bytes: &[u8]) -> OwnedBuffer {
    bytes.to_vec().into()
}

/// Loads what `wasmergo_module_serialize` of the same build made. Anything else is refused before wasmer sees it, if that is
/// to be verified: else only what the header says.
///
/// # Safety
/// `bytes` holds `len` bytes, `out` is valid. The digest finds damage, not forgery: an artifact is machine code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_module_deserialize(
    engine: &wasmergo_engine,
    bytes: *const u8,
    len: usize,
    verify: bool,
    out: *mut *mut wasmergo_module,
) -> wasmergo_bytes {
    fallible(|| {
        let bytes = unsafe { borrow(bytes, len) };
        artifact::read(bytes)?.header.check(engine)?; // before it is copied
        let module = unsafe { wasmergo_module::load(engine, &copy(bytes), "", verify)? };
        unsafe { out.write(Box::into_raw(module)) };
        Ok(())
    })
}

/// As `wasmergo_module_deserialize`, from a file, which is mapped; one that must have a key is read, for whoever can change a
/// mapped file can do so after it was verified. The caller closes the descriptor.
///
/// # Safety
/// `file` is an open file, `out` is valid. What is mapped does not change as long as the module, or what it has made, lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_module_deserialize_file(
    engine: &wasmergo_engine,
    file: i32,
    verify: bool,
    out: *mut *mut wasmergo_module,
) -> wasmergo_bytes {
    fallible(|| {
        let file = unsafe { descriptor(file) };
        let bytes = contents(&file, engine)?;
        let module = unsafe { wasmergo_module::load(engine, &bytes, "", verify)? };
        unsafe { out.write(Box::into_raw(module)) };
        Ok(())
    })
}

/// A file that somebody else closes.
pub(crate) unsafe fn descriptor(file: RawFd) -> ManuallyDrop<File> {
    ManuallyDrop::new(unsafe { File::from_raw_fd(file) })
}

/// What a file has, as the engine takes it: mapped, but if there must be a key, read. Whoever cannot make the key could still
/// change a mapped file after it was verified, or cut it off while it is copied, which ends the process.
pub(crate) fn contents(file: &File, engine: &wasmergo_engine) -> Result<OwnedBuffer, Error> {
    if engine.artifact_key.is_none() {
        return map(file);
    }
    let len = size(file)?;
    resource::room_to_load(len)?;
    let mut bytes = vec![0; len];
    match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => Ok(bytes.into()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(incompatible("damaged: cut off while it was read"))
        }
        Err(error) => Err(failed("read", error)),
    }
}

pub(crate) fn map(file: &File) -> Result<OwnedBuffer, Error> {
    size(file)?;
    OwnedBuffer::from_file(file).map_err(|error| failed("map", io::Error::other(error)))
}

/// The size of a file that can be an artifact.
fn size(file: &File) -> Result<usize, Error> {
    let about = file.metadata().map_err(|error| failed("look at", error))?;
    if !about.is_file() {
        return Err(incompatible("not a regular file"));
    }
    match about.len() {
        0 => Err(incompatible("not an artifact of wasmer-go: empty")),
        len => Ok(len as usize),
    }
}

fn failed(what: &str, error: io::Error) -> Error {
    Error::new(
        wasmergo_error_kind::Resource,
        format!("cannot {what} the artifact: {error}"),
    )
}

/// The module as an artifact of this build.
///
/// # Safety
/// `out` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_module_serialize(
    module: &wasmergo_module,
    out: *mut wasmergo_bytes,
) -> wasmergo_bytes {
    fallible(|| {
        unsafe { out.write(module.artifact("")?.concat().into()) };
        Ok(())
    })
}

/// Writes the module as an artifact of this build. The caller closes the descriptor.
///
/// # Safety
/// `file` is an open file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_module_write(
    module: &wasmergo_module,
    file: i32,
) -> wasmergo_bytes {
    fallible(|| {
        let file = unsafe { descriptor(file) };
        write(&file, module, "")
    })
}

pub(crate) fn write(mut file: &File, module: &wasmergo_module, label: &str) -> Result<(), Error> {
    for part in module.artifact(label)? {
        file.write_all(&part)
            .map_err(|error| failed("write", error))?;
    }
    Ok(())
}

/// What an artifact says of itself, encoded: version, build, compiler, target, CPU features, level u32,
/// canonical u8, features u64, bounded u8,
/// metering, digest of the module, keyed u8, size of the payload u64. Of the artifact its header alone is verified.
///
/// # Safety
/// `bytes` holds `len` bytes, `out` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_artifact_inspect(
    bytes: *const u8,
    len: usize,
    out: *mut wasmergo_bytes,
) -> wasmergo_bytes {
    fallible(|| {
        let envelope = artifact::read(unsafe { borrow(bytes, len) })?;
        let header = &envelope.header;
        let mut encoder = Encoder::default();
        encoder.str(&header.version);
        encoder.str(&header.build);
        encoder.str(&header.compiler);
        encoder.str(&header.target);
        encoder.u32(header.cpu.len() as u32);
        header.cpu.iter().for_each(|feature| encoder.str(feature));
        encoder.u32(header.level);
        encoder.u8(header.canonical.into());
        encoder.u64(header.features);
        encoder.u8(header.bounded.into());
        encoder.str(&header.metering);
        encoder.bytes(&header.module);
        encoder.u8(envelope.keyed().into());
        encoder.u64(envelope.payload.len() as u64);
        unsafe { out.write(encoder.finish()) };
        Ok(())
    })
}
