//! The types of the specification, as the bytes of its binary format.

use crate::bytes::Encoder;
use crate::error::{Error, wasmergo_error_kind};
use wasmer_types::{ExternType, FunctionType, GlobalType, MemoryType, Mutability, TableType, Type};

/// The value type's byte in the binary format.
pub(crate) fn code(ty: Type) -> u8 {
    match ty {
        Type::I32 => 0x7f,
        Type::I64 => 0x7e,
        Type::F32 => 0x7d,
        Type::F64 => 0x7c,
        Type::V128 => 0x7b,
        Type::FuncRef => 0x70,
        Type::ExternRef => 0x6f,
        Type::ExceptionRef => 0x69,
    }
}

/// The value type's name in the text format.
pub(crate) fn name(ty: Type) -> &'static str {
    match ty {
        Type::I32 => "i32",
        Type::I64 => "i64",
        Type::F32 => "f32",
        Type::F64 => "f64",
        Type::V128 => "v128",
        Type::FuncRef => "funcref",
        Type::ExternRef => "externref",
        Type::ExceptionRef => "exnref",
    }
}

/// The value type of a byte of the binary format.
pub(crate) fn value(code: u8) -> Result<Type, Error> {
    Ok(match code {
        0x7f => Type::I32,
        0x7e => Type::I64,
        0x7d => Type::F32,
        0x7c => Type::F64,
        0x7b => Type::V128,
        0x70 => Type::FuncRef,
        0x6f => Type::ExternRef,
        0x69 => Type::ExceptionRef,
        _ => {
            let message = format!("{code:#x} is no value type");
            return Err(Error::new(wasmergo_error_kind::Unsupported, message));
        }
    })
}

fn encode_values(out: &mut Encoder, types: &[Type]) {
    out.u32(types.len() as u32);
    types.iter().for_each(|ty| out.u8(code(*ty)));
}

pub(crate) fn encode_function(out: &mut Encoder, ty: &FunctionType) {
    encode_values(out, ty.params());
    encode_values(out, ty.results());
}

pub(crate) fn encode_limits(out: &mut Encoder, min: u64, max: Option<u64>, shared: bool) {
    out.u64(min);
    out.u8(max.is_some().into());
    out.u64(max.unwrap_or(0));
    out.u8(shared.into());
}

/// The kind's byte as in the import section, then the type's fields.
pub(crate) fn encode(out: &mut Encoder, ty: &ExternType) {
    match ty {
        ExternType::Function(ty) => {
            out.u8(0);
            encode_function(out, ty);
        }
        ExternType::Table(TableType {
            ty,
            minimum,
            maximum,
            ..
        }) => {
            out.u8(1);
            out.u8(code(*ty));
            encode_limits(out, u64::from(*minimum), maximum.map(u64::from), false);
        }
        ExternType::Memory(MemoryType {
            minimum,
            maximum,
            shared,
        }) => {
            out.u8(2);
            encode_limits(
                out,
                u64::from(minimum.0),
                maximum.map(|pages| u64::from(pages.0)),
                *shared,
            );
        }
        ExternType::Global(GlobalType { ty, mutability }) => {
            out.u8(3);
            out.u8(code(*ty));
            out.u8((*mutability == Mutability::Var).into());
        }
        ExternType::Tag(tag) => {
            out.u8(4);
            encode_values(out, &tag.params);
            encode_values(out, &[]);
        }
    }
}
