//! Function types by their hash. wasmer's `call_indirect` compares only a CRC32 of the type, and two types with one
//! CRC32 are easily made: a guest could then call a function with a forged type, so pass an integer as a reference.
//! Each module and each store therefore holds at most one type for each hash.

use crate::abi::{self, Abi};
use crate::error::{Error, wasmergo_error_kind};
use std::collections::HashMap;
use wasmer_types::FunctionType;
use wasmer_vm::VMSignatureHash;

#[derive(Default)]
pub(crate) struct SignatureTable {
    types: HashMap<u32, FunctionType>,
    /// How functions are called that references lead to, for types where that differs.
    claims: HashMap<u32, Abi>,
    /// What was added, in that order.
    log: Vec<Added>,
}

enum Added {
    Type(u32),
    Claim(u32),
}

impl SignatureTable {
    /// Notes that references to functions of the types lead to code of this kind; none of them if that contradicts what was
    /// noted before.
    pub fn claim<'a>(
        &mut self,
        types: impl Iterator<Item = &'a FunctionType>,
        abi: Abi,
    ) -> Result<(), Error> {
        let before = self.mark();
        for ty in types.filter(|ty| abi::differs(ty)) {
            let hash = ty.signature_hash();
            match self.claims.get(&hash) {
                Some(other) if !other.differs(abi, ty) => {}
                Some(other) => {
                    let error = abi::refuse(ty, *other, abi);
                    self.restore(before);
                    return Err(error);
                }
                None => {
                    self.claims.insert(hash, abi);
                    self.log.push(Added::Claim(hash));
                }
            }
        }
        Ok(())
    }

    /// How much was added so far.
    pub fn mark(&self) -> usize {
        self.log.len()
    }

    /// Takes out what was added since the mark.
    pub fn restore(&mut self, mark: usize) {
        for added in self.log.drain(mark.min(self.log.len())..) {
            match added {
                Added::Type(hash) => drop(self.types.remove(&hash)),
                Added::Claim(hash) => drop(self.claims.remove(&hash)),
            }
        }
    }

    /// The type with this hash.
    pub fn get(&self, hash: VMSignatureHash) -> Option<&FunctionType> {
        // A number in a structure that does not give it away.
        const _: () = assert!(size_of::<VMSignatureHash>() == size_of::<u32>());
        let hash = unsafe { std::mem::transmute::<VMSignatureHash, u32>(hash) };
        self.types.get(&hash)
    }

    /// Adds the types, or none of them if one collides with a type in the table or among themselves.
    pub fn insert_all<'a>(
        &mut self,
        types: impl Iterator<Item = &'a FunctionType>,
    ) -> Result<(), Error> {
        let before = self.mark();
        for ty in types {
            let hash = ty.signature_hash();
            match self.types.get(&hash) {
                Some(known) if known == ty => {}
                Some(known) => {
                    let error = collision(known, ty);
                    self.restore(before);
                    return Err(error);
                }
                None => {
                    self.types.insert(hash, ty.clone());
                    self.log.push(Added::Type(hash));
                }
            }
        }
        Ok(())
    }
}

fn collision(known: &FunctionType, ty: &FunctionType) -> Error {
    Error::new(
        wasmergo_error_kind::SignatureCollision,
        format!(
            "the function types {known} and {ty} differ, but have the same signature hash {:#010x}: \
             call_indirect could not tell them apart",
            ty.signature_hash()
        ),
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use wasmer_types::Type;

    /// CRC32 is linear, so enough types of one length over {i32, i64} must collide; a birthday search finds a pair.
    pub(crate) fn colliding_pair() -> (FunctionType, FunctionType) {
        let mut seen: HashMap<u32, u64> = HashMap::new();
        let of = |bits: u64| {
            let params: Vec<_> = (0..40)
                .map(|i| {
                    if bits >> i & 1 == 1 {
                        Type::I64
                    } else {
                        Type::I32
                    }
                })
                .collect();
            FunctionType::new(params, [])
        };
        let mut state = 1u64;
        loop {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let bits = state >> 24;
            if let Some(other) = seen.insert(of(bits).signature_hash(), bits)
                && other != bits
            {
                return (of(other), of(bits));
            }
        }
    }

    #[test]
    fn a_second_type_with_the_same_hash_is_refused_and_leaves_no_trace() {
        let (a, b) = colliding_pair();
        assert_ne!(a, b);
        let mut table = SignatureTable::default();
        let other = FunctionType::new([Type::F32], []);
        table.insert_all([&a].into_iter()).unwrap();
        let error = table.insert_all([&other, &b].into_iter()).unwrap_err();
        assert_eq!(error.kind, wasmergo_error_kind::SignatureCollision);
        assert_eq!(table.types.len(), 1);
        table.insert_all([&a, &other].into_iter()).unwrap();
    }
}
