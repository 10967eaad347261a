//! The envelope around wasmer's serialized code: magic, fingerprint of the build and its options, digest.

use crate::error::{Error, wasmergo_error_kind};
use sha2::{Digest, Sha256};

const MAGIC: &[u8; 8] = b"WASMERGO";
const VERSION: u32 = 2;
const DIGEST: usize = 32;

/// Layout: magic, version u32, fingerprint length u32, fingerprint, SHA-256 of all that precedes and the payload, payload.
pub(crate) fn seal(payload: &[u8], fingerprint: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(MAGIC.len() + 8 + fingerprint.len() + DIGEST + payload.len());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&(fingerprint.len() as u32).to_le_bytes());
    out.extend_from_slice(fingerprint.as_bytes());
    let digest = digest(&out, payload);
    out.extend_from_slice(&digest);
    out.extend_from_slice(payload);
    out
}

/// The payload, if the envelope is whole and was sealed with the same fingerprint.
pub(crate) fn open<'a>(bytes: &'a [u8], fingerprint: &str) -> Result<&'a [u8], Error> {
    let refuse = |why: &str| Error::new(wasmergo_error_kind::Incompatible, why);
    let rest = bytes
        .strip_prefix(MAGIC)
        .ok_or_else(|| refuse("not an artifact of this library"))?;
    let (version, rest) = number(rest).ok_or_else(|| refuse("truncated artifact"))?;
    if version != VERSION {
        return Err(refuse(&format!(
            "artifact format {version}, this build reads {VERSION}"
        )));
    }
    let (length, rest) = number(rest).ok_or_else(|| refuse("truncated artifact"))?;
    let (found, rest) = rest
        .split_at_checked(length as usize)
        .ok_or_else(|| refuse("truncated artifact"))?;
    let header = &bytes[..bytes.len() - rest.len()];
    let (sum, payload) = rest
        .split_at_checked(DIGEST)
        .ok_or_else(|| refuse("truncated artifact"))?;
    if digest(header, payload) != sum {
        return Err(refuse("damaged artifact: its digest does not match"));
    }
    if found != fingerprint.as_bytes() {
        let found = String::from_utf8_lossy(found);
        return Err(refuse(&format!(
            "made by another build, compiler or for another CPU: {found}, want {fingerprint}"
        )));
    }
    Ok(payload)
}

fn digest(header: &[u8], payload: &[u8]) -> [u8; DIGEST] {
    Sha256::new()
        .chain_update(header)
        .chain_update(payload)
        .finalize()
        .into()
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (head, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*head), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_untouched_envelope_opens() {
        let sealed = seal(b"payload", "build");
        assert_eq!(open(&sealed, "build").unwrap(), b"payload");
        assert!(open(&sealed, "other").is_err());
        for len in 0..sealed.len() {
            assert!(open(&sealed[..len], "build").is_err(), "truncated to {len}");
        }
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(open(&damaged, "build").is_err(), "bit flipped at {at}");
        }
    }
}
