//! The envelope around compiled code. It is checked before anything else sees a byte of what is in it: first what it says of
//! itself (`header.rs`), by a digest of its own, then its key, then the digest of the rest.
//!
//! A digest stops damage. Whoever makes a damaged artifact on purpose makes the digest that fits, so what stops an attacker
//! is the key alone.
//!
//! Layout, numbers in little-endian: magic, version u32, length of the header u32, header, length of the payload u64,
//! BLAKE3 of the payload, BLAKE3 of all before (the seal), 1 and HMAC-SHA256 of the seal or 33 zeros, zeros up to a multiple of
//! 64, payload.

use crate::digest::{DIGEST, digest};
use crate::error::Error;
use crate::header::{Header, incompatible};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::ops::Range;

const MAGIC: &[u8; 8] = b"WASMERGO";
const VERSION: u32 = 3;
const MAC: usize = 32;

/// Where the payload may begin: code is read in place, which takes alignment.
pub(crate) const ALIGNMENT: usize = 64;

/// The secret of `EngineConfig.ArtifactKey`.
#[derive(Clone)]
pub(crate) struct Key(Hmac<Sha256>);

impl Key {
    pub fn new(secret: &[u8]) -> Option<Self> {
        match secret.is_empty() {
            true => None,
            false => Hmac::new_from_slice(secret).ok().map(Self),
        }
    }

    pub fn sign(&self, seal: &[u8; DIGEST]) -> [u8; MAC] {
        self.0
            .clone()
            .chain_update(seal)
            .finalize()
            .into_bytes()
            .into()
    }

    /// Takes the same time whatever differs.
    fn verifies(&self, seal: &[u8; DIGEST], mac: &[u8; MAC]) -> bool {
        let sum = self.0.clone().chain_update(seal);
        sum.verify_slice(mac).is_ok()
    }
}

/// What precedes a payload, which is given in parts.
pub(crate) fn seal(header: &Header, payload: &[&[u8]], key: Option<&Key>) -> Vec<u8> {
    let header = header.encode();
    let mut out = Vec::with_capacity(1024 + header.len());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&(header.len() as u32).to_le_bytes());
    out.extend_from_slice(&header);
    let len: usize = payload.iter().map(|part| part.len()).sum();
    out.extend_from_slice(&(len as u64).to_le_bytes());
    let mut digest = blake3::Hasher::new();
    payload.iter().for_each(|part| {
        digest.update(part);
    });
    out.extend_from_slice(digest.finalize().as_bytes());
    let seal: [u8; DIGEST] = blake3::hash(&out).into();
    out.extend_from_slice(&seal);
    match key {
        Some(key) => {
            out.push(1);
            out.extend_from_slice(&key.sign(&seal));
        }
        None => out.extend_from_slice(&[0; 1 + MAC]),
    }
    out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
    out
}

/// An artifact whose header is whole.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub header: Header,
    pub payload: Range<usize>,
    digest: [u8; DIGEST],
    seal: [u8; DIGEST],
    mac: Option<[u8; MAC]>,
}

/// Reads an envelope, and checks what it says of itself, which is little.
pub(crate) fn read(bytes: &[u8]) -> Result<Envelope, Error> {
    let mut rest = bytes
        .strip_prefix(MAGIC)
        .ok_or_else(|| incompatible("not an artifact of wasmer-go"))?;
    let truncated = || incompatible("damaged: truncated in its header");
    fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
        let (head, tail) = rest.split_first_chunk()?;
        *rest = tail;
        Some(*head)
    }
    let rest = &mut rest;
    let version = u32::from_le_bytes(take(rest).ok_or_else(truncated)?);
    if version != VERSION {
        let other = if version < VERSION {
            "an older"
        } else {
            "a newer"
        };
        return Err(incompatible(format!(
            "artifact format {version}, of {other} version of wasmer-go, or damaged: this is format {VERSION}"
        )));
    }
    let len = u32::from_le_bytes(take(rest).ok_or_else(truncated)?) as usize;
    let (header, tail) = rest.split_at_checked(len).ok_or_else(truncated)?;
    *rest = tail;
    let len = u64::from_le_bytes(take(rest).ok_or_else(truncated)?);
    let digest = take(rest).ok_or_else(truncated)?;
    let sealed = &bytes[..bytes.len() - rest.len()];
    let seal = take(rest).ok_or_else(truncated)?;
    let damaged = || incompatible("damaged: its header has changed");
    if blake3::hash(sealed) != seal {
        return Err(damaged());
    }
    let header = Header::decode(header).ok_or_else(damaged)?;
    let [keyed] = take(rest).ok_or_else(truncated)?;
    let mac: [u8; MAC] = take(rest).ok_or_else(truncated)?;
    let mac = match (keyed, mac) {
        (0, mac) if mac == [0; MAC] => None,
        (1, mac) => Some(mac),
        _ => return Err(damaged()),
    };
    let end = bytes.len() - rest.len();
    let start = end.next_multiple_of(ALIGNMENT);
    let padding = bytes.get(end..start).ok_or_else(truncated)?;
    if padding.iter().any(|byte| *byte != 0) {
        return Err(damaged());
    }
    let has = (bytes.len() - start) as u64;
    if has != len {
        return Err(incompatible(format!(
            "damaged: it should have {} bytes, and has {}",
            len.saturating_add(start as u64),
            bytes.len()
        )));
    }
    Ok(Envelope {
        header,
        payload: start..bytes.len(),
        digest,
        seal,
        mac,
    })
}

impl Envelope {
    pub fn keyed(&self) -> bool {
        self.mac.is_some()
    }

    /// Whether it is of somebody who has the key; no key takes none.
    pub fn verify_key(&self, key: Option<&Key>) -> Result<(), Error> {
        match (key, &self.mac) {
            (None, None) => Ok(()),
            (Some(key), Some(mac)) if key.verifies(&self.seal, mac) => Ok(()),
            (Some(_), Some(_)) => Err(incompatible(
                "forged, or made with another key than EngineConfig.ArtifactKey",
            )),
            (Some(_), None) => Err(incompatible(
                "made without a key, and this engine has EngineConfig.ArtifactKey",
            )),
            (None, Some(_)) => Err(incompatible(
                "made with a key, and this engine has no EngineConfig.ArtifactKey",
            )),
        }
    }

    /// Whether the payload is what was put in.
    pub fn verify(&self, bytes: &[u8]) -> Result<(), Error> {
        match digest(&bytes[self.payload.clone()]) == self.digest {
            true => Ok(()),
            false => Err(incompatible("damaged: its digest does not match")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(key: Option<&Key>) -> Vec<u8> {
        let header = Header {
            version: "1".into(),
            cpu: vec!["avx".into()],
            ..Header::default()
        };
        let mut out = seal(&header, &[b"pay", b"load"], key);
        out.extend_from_slice(b"payload");
        out
    }

    fn open(bytes: &[u8], key: Option<&Key>) -> Result<Vec<u8>, Error> {
        let envelope = read(bytes)?;
        envelope.verify_key(key)?;
        envelope.verify(bytes)?;
        Ok(bytes[envelope.payload].to_vec())
    }

    #[test]
    fn only_the_untouched_envelope_opens() {
        let key = Key::new(b"a secret");
        for key in [None, key.as_ref()] {
            let sealed = sealed(key);
            assert_eq!(open(&sealed, key).unwrap(), b"payload");
            assert_eq!(read(&sealed).unwrap().payload.start % ALIGNMENT, 0);
            for len in 0..sealed.len() {
                assert!(open(&sealed[..len], key).is_err(), "truncated to {len}");
            }
            for at in 0..sealed.len() {
                for bit in 0..8 {
                    let mut damaged = sealed.clone();
                    damaged[at] ^= 1 << bit;
                    assert!(open(&damaged, key).is_err(), "bit {bit} flipped at {at}");
                }
            }
            let more = [&sealed[..], &[0]].concat();
            let error = open(&more, key).unwrap_err();
            assert!(error.message.starts_with("damaged: it should have"));
        }
    }

    #[test]
    fn only_the_right_key_opens() {
        let (key, other) = (Key::new(b"a secret"), Key::new(b"another"));
        let (with, without) = (sealed(key.as_ref()), sealed(None));
        let why = |bytes: &[u8], key: &Option<Key>| open(bytes, key.as_ref()).unwrap_err().message;
        assert!(why(&with, &other).starts_with("forged"));
        assert!(why(&with, &None).starts_with("made with a key"));
        assert!(why(&without, &key).starts_with("made without a key"));
        assert!(Key::new(b"").is_none());
    }

    #[test]
    fn other_formats_are_named() {
        let mut sealed = sealed(None);
        for (version, word) in [(2, "older"), (4, "newer")] {
            sealed[8] = version;
            let message = read(&sealed).unwrap_err().message;
            assert!(message.contains(word), "{message}");
        }
    }
}
