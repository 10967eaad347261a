//! Tensors of tract from and to bytes.

use super::wasmergo_nn_type as Type;
use super::{invalid, refused};
use crate::error::Error;
use tract_core::internal::*;

/// A number of the border as a type.
pub(super) fn datum_type(number: u32) -> Result<DatumType, Error> {
    const F16: u32 = Type::F16 as u32;
    const F32: u32 = Type::F32 as u32;
    const F64: u32 = Type::F64 as u32;
    const U8: u32 = Type::U8 as u32;
    const I32: u32 = Type::I32 as u32;
    const I64: u32 = Type::I64 as u32;
    const I8: u32 = Type::I8 as u32;
    const I16: u32 = Type::I16 as u32;
    const U16: u32 = Type::U16 as u32;
    const U32: u32 = Type::U32 as u32;
    const U64: u32 = Type::U64 as u32;
    const BOOL: u32 = Type::Bool as u32;
    Ok(match number {
        F16 => DatumType::F16,
        F32 => DatumType::F32,
        F64 => DatumType::F64,
        U8 => DatumType::U8,
        I32 => DatumType::I32,
        I64 => DatumType::I64,
        I8 => DatumType::I8,
        I16 => DatumType::I16,
        U16 => DatumType::U16,
        U32 => DatumType::U32,
        U64 => DatumType::U64,
        BOOL => DatumType::Bool,
        _ => return Err(invalid(format!("type {number} of a tensor is not known"))),
    })
}

/// A type as a number; none for what has no bytes of a fixed size.
pub(super) fn number(of: DatumType) -> Option<u32> {
    let number = match of.unquantized() {
        DatumType::F16 => Type::F16,
        DatumType::F32 => Type::F32,
        DatumType::F64 => Type::F64,
        DatumType::U8 => Type::U8,
        DatumType::I32 => Type::I32,
        DatumType::I64 => Type::I64,
        DatumType::I8 => Type::I8,
        DatumType::I16 => Type::I16,
        DatumType::U16 => Type::U16,
        DatumType::U32 => Type::U32,
        DatumType::U64 => Type::U64,
        DatumType::Bool => Type::Bool,
        _ => return None,
    };
    Some(number as u32)
}

/// The bytes of a tensor of this shape; none if that is no number.
pub(super) fn size(of: DatumType, shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(of.size_of(), |size, dim| size.checked_mul(*dim))
}

/// A tensor of bytes. Truth values are 0 or 1 in it, whatever they are in the bytes.
pub(super) fn read(of: DatumType, shape: &[usize], bytes: &[u8]) -> Result<Tensor, Error> {
    if size(of, shape) != Some(bytes.len()) {
        return Err(invalid(format!(
            "a tensor of type {of:?} and shape {shape:?} does not have {} bytes",
            bytes.len()
        )));
    }
    let mut tensor = Tensor::zero_dt(of, shape).map_err(refused)?;
    let data = tensor.as_bytes_mut();
    match of {
        DatumType::Bool => data
            .iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = u8::from(*from != 0)),
        _ => data.copy_from_slice(bytes),
    }
    Ok(tensor)
}
