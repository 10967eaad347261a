//! How compiled functions pass values, which differs between the compilers. Singlepass passes all arguments as integers and
//! returns floats as integers, except to imports, to which it passes arguments as the system does; several results lie in
//! other places than those of the other compilers. LLVM passes vectors as integers, Cranelift does not. Where caller and callee
//! would not agree, a guest would read what is not its own: imports go through an adapter then, and references are refused.

use crate::engine::wasmergo_compiler;
use crate::error::{Error, wasmergo_error_kind};
use crate::host::{self, wasmergo_import};
use crate::module::Compiled;
use crate::stack;
use std::any::Any;
use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::fmt;
use wasmer_types::{ExternType, FunctionType, ModuleInfo, RawValue, Type};
use wasmer_vm::{
    MaybeInstanceOwned, VMCallerCheckedAnyfunc, VMDynamicFunctionContext, VMFunction,
    VMFunctionBody, VMFunctionContext, VMFunctionKind,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Abi {
    /// As the system does.
    System,
    Singlepass,
    /// As the system does, but for vectors, which are passed as integers.
    Llvm,
}

impl From<wasmergo_compiler> for Abi {
    fn from(compiler: wasmergo_compiler) -> Self {
        match compiler {
            wasmergo_compiler::None | wasmergo_compiler::Cranelift => Self::System,
            wasmergo_compiler::Singlepass => Self::Singlepass,
            wasmergo_compiler::Llvm => Self::Llvm,
        }
    }
}

impl fmt::Display for Abi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "cranelift",
            Self::Singlepass => "singlepass",
            Self::Llvm => "llvm",
        })
    }
}

fn float(ty: &Type) -> bool {
    matches!(ty, Type::F32 | Type::F64 | Type::V128)
}

/// Whether functions of the type are called in different ways, by any two of the compilers.
pub(crate) fn differs(ty: &FunctionType) -> bool {
    ty.params().iter().any(float) || ty.results().iter().any(float) || ty.results().len() > 1
}

impl Abi {
    /// Whether functions of the type are called in another way by code of the other kind.
    pub fn differs(self, other: Self, ty: &FunctionType) -> bool {
        let vector = |ty: &Type| *ty == Type::V128;
        match (self, other) {
            _ if self == other => false,
            (Self::Singlepass, _) | (_, Self::Singlepass) => differs(ty),
            _ => ty.params().iter().any(vector) || ty.results().iter().any(vector),
        }
    }

    /// Whether code of this kind can call such a function as an import.
    /// Code of Singlepass imports no functions with several results; see `results.rs`.
    pub fn can_import(self, callee: Self, ty: &FunctionType) -> bool {
        match (self, callee) {
            (Self::Singlepass, Self::Singlepass) => !ty.params().iter().any(float),
            (Self::Singlepass, _) => !ty.results().iter().any(float),
            _ => !self.differs(callee, ty),
        }
    }
}

/// What kinds of code a store has. An exception must not pass through frames of Singlepass: what it tells of the registers
/// that it saves is wrong, and code that catches the exception would go on with a guest's values in place of its own.
#[derive(Clone, Copy, Default)]
pub(crate) struct Kinds {
    singlepass: bool,
    exceptions: bool,
}

impl Kinds {
    /// Those of a module's code with these imports. Only code that has a tag can throw, and its exceptions meet only code that
    /// calls that of other instances, which those that share no references do by their imports.
    pub fn of(module: &Compiled, imports: &[wasmergo_import]) -> Self {
        let guest = |import: &wasmergo_import| match unsafe { import.item.as_ref() } {
            Some(item) => item.callee().is_ok_and(|callee| !host::is_host(&callee)),
            None => false,
        };
        Self {
            singlepass: module.abi == Abi::Singlepass
                && (module.shares_references || imports.iter().any(guest)),
            exceptions: !module.info().tags.is_empty(),
        }
    }

    pub fn check(self, added: Self) -> Result<(), Error> {
        let all = self.with(added);
        match all.singlepass && all.exceptions {
            false => Ok(()),
            true => Err(Error::new(
                wasmergo_error_kind::Unsupported,
                "exceptions in a store with code that the compiler singlepass made: use another compiler for all modules of \
                 the store",
            )),
        }
    }

    pub fn with(self, added: Self) -> Self {
        Self {
            singlepass: self.singlepass || added.singlepass,
            exceptions: self.exceptions || added.exceptions,
        }
    }
}

/// Whether references to functions can come to the module from outside, or get out.
pub(crate) fn shares_references(module: &ModuleInfo) -> bool {
    let references = |types: &[Type]| types.contains(&Type::FuncRef);
    let imports = module.imports().map(|import| import.ty().clone());
    let exports = module.exports().map(|export| export.ty().clone());
    imports.chain(exports).any(|ty| match ty {
        ExternType::Function(ty) => references(ty.params()) || references(ty.results()),
        ExternType::Table(ty) => ty.ty == Type::FuncRef,
        ExternType::Global(ty) => ty.ty == Type::FuncRef,
        ExternType::Memory(_) => false,
        ExternType::Tag(ty) => references(&ty.params),
    })
}

/// The error for a reference to a function that is called in two ways.
pub(crate) fn refuse(ty: &FunctionType, one: Abi, other: Abi) -> Error {
    Error::new(
        wasmergo_error_kind::Unsupported,
        format!(
            "references to functions of type {ty} cannot be shared between code that {one} and {other} made, which call \
             them differently: use one compiler for all modules of the store"
        ),
    )
}

type Adapter = VMDynamicFunctionContext<VMCallerCheckedAnyfunc>;

/// A function that calls another one by way of slots: compiled code lays the arguments out, and the callee's own trampoline
/// takes them up.
pub(crate) fn adapter(callee: VMCallerCheckedAnyfunc, ty: FunctionType) -> VMFunction {
    let context = Box::new(Adapter {
        address: forward as *const VMFunctionBody,
        ctx: callee,
    });
    in_place_of(callee, ty, context)
}

/// A function with a context of its own, whose record is otherwise that of the callee.
pub(crate) fn in_place_of<T: 'static>(
    callee: VMCallerCheckedAnyfunc,
    ty: FunctionType,
    context: Box<VMDynamicFunctionContext<T>>,
) -> VMFunction {
    let host_env = std::ptr::from_ref(&*context).cast_mut().cast::<c_void>();
    let anyfunc = VMCallerCheckedAnyfunc {
        func_ptr: std::ptr::null(),
        vmctx: VMFunctionContext { host_env },
        ..callee
    };
    dynamic(anyfunc, ty, context)
}

/// A compiled function under a record of its own.
pub(crate) fn compiled(callee: VMCallerCheckedAnyfunc, signature: FunctionType) -> VMFunction {
    VMFunction {
        anyfunc: MaybeInstanceOwned::Host(Box::new(UnsafeCell::new(callee))),
        kind: VMFunctionKind::Static,
        signature,
        host_data: Box::new(()),
    }
}

/// A function that compiled code reaches through a trampoline of the importing module, which lays the arguments out in
/// slots.
pub(crate) fn dynamic(
    anyfunc: VMCallerCheckedAnyfunc,
    signature: FunctionType,
    host_data: Box<dyn Any>,
) -> VMFunction {
    VMFunction {
        anyfunc: MaybeInstanceOwned::Host(Box::new(UnsafeCell::new(anyfunc))),
        kind: VMFunctionKind::Dynamic,
        signature,
        host_data,
    }
}

/// Runs on the guest's stack; nothing here has a destructor.
unsafe extern "C-unwind" fn forward(adapter: &Adapter, values: *mut RawValue) {
    stack::check();
    let callee = &adapter.ctx;
    unsafe { (callee.call_trampoline)(callee.vmctx.vmctx, callee.func_ptr, values) }
}
