//! What a binary says about itself, read without validation or compilation.

use crate::bytes::{Encoder, borrow, wasmergo_bytes};
use crate::error::{Error, wasmergo_error_kind};
use crate::guard::fallible;
use crate::{types, validate};
use wasmer::wasmparser::{
    BinaryReaderError, CompositeInnerType, ExternalKind, FuncType, KnownCustom, MemoryType, Name,
    Parser, Payload, RefType, TableType, TypeRef, ValType,
};

/// The index spaces, as far as they have been read.
#[derive(Default)]
struct Spaces {
    types: Vec<Option<FuncType>>,
    functions: Vec<u32>,
    tables: Vec<TableType>,
    memories: Vec<MemoryType>,
    globals: Vec<wasmer::wasmparser::GlobalType>,
    tags: Vec<u32>,
}

/// Describes a module in binary or text format: as `wasmergo_module_describe`, then the custom sections as count and
/// `{ name, bytes }*`. The types of what has no place in that encoding are given as the nearest one that has.
///
/// # Safety
/// `bytes` holds `len` bytes, `out` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_module_inspect(
    bytes: *const u8,
    len: usize,
    out: *mut wasmergo_bytes,
) -> wasmergo_bytes {
    fallible(|| {
        let binary = validate::binary(unsafe { borrow(bytes, len) })?;
        let description = describe(&binary)
            .map_err(|error| Error::invalid(error.message(), error.offset() as usize, None))??;
        unsafe { out.write(description.finish()) };
        Ok(())
    })
}

fn describe(binary: &[u8]) -> Result<Result<Encoder, Error>, BinaryReaderError> {
    let mut spaces = Spaces::default();
    let mut name = String::new();
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut sections: Vec<(&str, &[u8])> = Vec::new();
    for payload in Parser::new(0).parse_all(binary) {
        match payload? {
            Payload::TypeSection(groups) => {
                for group in groups {
                    for ty in group?.into_types() {
                        spaces.types.push(match ty.composite_type.inner {
                            CompositeInnerType::Func(ty) => Some(ty),
                            _ => None,
                        });
                    }
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    match import.ty {
                        TypeRef::Func(ty) | TypeRef::FuncExact(ty) => spaces.functions.push(ty),
                        TypeRef::Table(ty) => spaces.tables.push(ty),
                        TypeRef::Memory(ty) => spaces.memories.push(ty),
                        TypeRef::Global(ty) => spaces.globals.push(ty),
                        TypeRef::Tag(ty) => spaces.tags.push(ty.func_type_idx),
                    }
                    imports.push(import);
                }
            }
            Payload::FunctionSection(functions) => {
                for ty in functions {
                    spaces.functions.push(ty?);
                }
            }
            Payload::TableSection(tables) => {
                for table in tables {
                    spaces.tables.push(table?.ty);
                }
            }
            Payload::MemorySection(memories) => {
                for ty in memories {
                    spaces.memories.push(ty?);
                }
            }
            Payload::GlobalSection(globals) => {
                for global in globals {
                    spaces.globals.push(global?.ty);
                }
            }
            Payload::TagSection(tags) => {
                for tag in tags {
                    spaces.tags.push(tag?.func_type_idx);
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    exports.push(export?);
                }
            }
            Payload::CustomSection(section) => {
                if let KnownCustom::Name(names) = section.as_known() {
                    for entry in names.into_iter().flatten() {
                        if let Name::Module { name: module, .. } = entry {
                            name = module.to_string();
                        }
                    }
                }
                sections.push((section.name(), section.data()));
            }
            Payload::UnknownSection { id, range, .. } => {
                let message = format!("malformed section id: {id}");
                return Ok(Err(Error::invalid(message, range.start as usize, None)));
            }
            _ => {}
        }
    }
    let mut out = Encoder::default();
    out.str(&name);
    out.u32(imports.len() as u32);
    for import in imports {
        out.str(import.module);
        out.str(import.name);
        let encoded = match import.ty {
            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => spaces.function(&mut out, 0, ty),
            TypeRef::Table(ty) => table(&mut out, &ty),
            TypeRef::Memory(ty) => memory(&mut out, &ty),
            TypeRef::Global(ty) => global(&mut out, &ty),
            TypeRef::Tag(ty) => spaces.function(&mut out, 4, ty.func_type_idx),
        };
        if let Err(error) = encoded {
            return Ok(Err(error));
        }
    }
    out.u32(exports.len() as u32);
    for export in exports {
        out.str(export.name);
        let index = export.index as usize;
        let encoded = match export.kind {
            ExternalKind::Func | ExternalKind::FuncExact => match spaces.functions.get(index) {
                Some(ty) => spaces.function(&mut out, 0, *ty),
                None => Err(missing(export.name)),
            },
            ExternalKind::Table => match spaces.tables.get(index) {
                Some(ty) => table(&mut out, ty),
                None => Err(missing(export.name)),
            },
            ExternalKind::Memory => match spaces.memories.get(index) {
                Some(ty) => memory(&mut out, ty),
                None => Err(missing(export.name)),
            },
            ExternalKind::Global => match spaces.globals.get(index) {
                Some(ty) => global(&mut out, ty),
                None => Err(missing(export.name)),
            },
            ExternalKind::Tag => match spaces.tags.get(index) {
                Some(ty) => spaces.function(&mut out, 4, *ty),
                None => Err(missing(export.name)),
            },
        };
        if let Err(error) = encoded {
            return Ok(Err(error));
        }
    }
    out.u32(sections.len() as u32);
    for (name, data) in sections {
        out.str(name);
        out.bytes(data);
    }
    Ok(Ok(out))
}

impl Spaces {
    fn function(&self, out: &mut Encoder, kind: u8, ty: u32) -> Result<(), Error> {
        let ty = self.types.get(ty as usize).ok_or_else(|| {
            Error::new(
                wasmergo_error_kind::Invalid,
                format!("there is no type {ty}"),
            )
        })?;
        out.u8(kind);
        let (params, results) = ty
            .as_ref()
            .map_or((&[][..], &[][..]), |ty| (ty.params(), ty.results()));
        for list in [params, results] {
            out.u32(list.len() as u32);
            list.iter().for_each(|ty| out.u8(value(*ty)));
        }
        Ok(())
    }
}

fn missing(export: &str) -> Error {
    let message = format!("the export {export:?} has no such item");
    Error::new(wasmergo_error_kind::Invalid, message)
}

fn table(out: &mut Encoder, ty: &TableType) -> Result<(), Error> {
    out.u8(1);
    out.u8(value(ValType::Ref(ty.element_type)));
    types::encode_limits(out, ty.initial, ty.maximum, ty.shared);
    Ok(())
}

fn memory(out: &mut Encoder, ty: &MemoryType) -> Result<(), Error> {
    out.u8(2);
    types::encode_limits(out, ty.initial, ty.maximum, ty.shared);
    Ok(())
}

fn global(out: &mut Encoder, ty: &wasmer::wasmparser::GlobalType) -> Result<(), Error> {
    out.u8(3);
    out.u8(value(ty.content_type));
    out.u8(ty.mutable.into());
    Ok(())
}

/// The value type's byte in the binary format; of references that the engine does not know, that of the nearest type.
fn value(ty: ValType) -> u8 {
    match ty {
        ValType::I32 => 0x7f,
        ValType::I64 => 0x7e,
        ValType::F32 => 0x7d,
        ValType::F64 => 0x7c,
        ValType::V128 => 0x7b,
        ValType::Ref(RefType::FUNCREF) => 0x70,
        ValType::Ref(RefType::EXTERNREF) => 0x6f,
        ValType::Ref(RefType::EXNREF) => 0x69,
        ValType::Ref(ty) if ty.is_extern_ref() => 0x6f,
        ValType::Ref(RefType::ANYREF | RefType::EQREF | RefType::STRUCTREF | RefType::ARRAYREF) => {
            0x6e
        }
        ValType::Ref(_) => 0x64,
    }
}
