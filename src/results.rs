//! Imported functions with several results, for Singlepass: its trampolines to host functions return one at most. Its code is
//! made to import a function without results, and to read them from globals that are added to the module.

use crate::error::{Error, wasmergo_error_kind};
use crate::stack;
use wasmer::wasmparser::{
    BinaryReaderError, CompositeInnerType, Operator, Parser, Payload, TypeRef,
};
use wasmer_compiler::{FunctionMiddleware, MiddlewareReaderState, ModuleMiddleware};
use wasmer_types::entity::EntityRef;
use wasmer_types::{
    ExportIndex, FunctionIndex, FunctionType, GlobalIndex, GlobalInit, GlobalType,
    LocalFunctionIndex, MiddlewareError, ModuleInfo, Mutability, RawValue, SignatureHash,
    SignatureIndex, Type,
};
use wasmer_vm::{
    StoreObjects, VMCallerCheckedAnyfunc, VMDynamicFunctionContext, VMExtern, VMFunction,
    VMFunctionBody, VMInstance,
};

/// An imported function with several results.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ImportWithResults {
    pub function: u32,
    /// Its type in the module.
    pub ty: u32,
    /// How many results it has, and the first of the globals that they are read from.
    pub results: u32,
    pub global: u32,
}

impl ImportWithResults {
    /// Those of a valid module.
    pub fn all(binary: &[u8]) -> Result<Vec<Self>, BinaryReaderError> {
        let (mut results, mut found, mut functions, mut globals) = (Vec::new(), Vec::new(), 0, 0);
        for payload in Parser::new(0).parse_all(binary) {
            match payload? {
                Payload::TypeSection(section) => {
                    for group in section {
                        for ty in group?.types() {
                            results.push(match &ty.composite_type.inner {
                                CompositeInnerType::Func(ty) => ty.results().len() as u32,
                                _ => 0,
                            });
                        }
                    }
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        match import?.ty {
                            TypeRef::Func(ty) => {
                                let results = results.get(ty as usize).copied().unwrap_or(0);
                                if results > 1 {
                                    found.push(Self {
                                        function: functions,
                                        ty,
                                        results,
                                        global: 0,
                                    });
                                }
                                functions += 1;
                            }
                            TypeRef::Global(_) => globals += 1,
                            _ => {}
                        }
                    }
                }
                Payload::GlobalSection(section) => globals += section.count(),
                Payload::CodeSectionStart { .. } => break,
                _ => {}
            }
        }
        for import in &mut found {
            import.global = globals;
            globals += import.results;
        }
        Ok(found)
    }

    pub fn signature<'a>(&self, module: &'a ModuleInfo) -> &'a FunctionType {
        &module.signatures[SignatureIndex::new(self.ty as usize)]
    }
}

/// Changes a module that has such imports.
#[derive(Debug)]
pub(crate) struct ResultsInGlobals(pub Vec<ImportWithResults>);

#[derive(Debug)]
struct Calls(Vec<ImportWithResults>);

impl ModuleMiddleware for ResultsInGlobals {
    fn generate_function_middleware<'a>(
        &self,
        _: LocalFunctionIndex,
    ) -> Box<dyn FunctionMiddleware<'a> + 'a> {
        Box::new(Calls(self.0.clone()))
    }

    fn transform_module_info(&self, module: &mut ModuleInfo) -> Result<(), MiddlewareError> {
        for import in &self.0 {
            let ty = import.signature(module).clone();
            for result in ty.results() {
                module
                    .globals
                    .push(GlobalType::new(*result, Mutability::Var));
                module.global_initializers.push(match result {
                    Type::I32 => GlobalInit::I32Const(0),
                    Type::I64 => GlobalInit::I64Const(0),
                    Type::F32 => GlobalInit::F32Const(0.0),
                    Type::F64 => GlobalInit::F64Const(0.0),
                    Type::V128 => GlobalInit::V128Const([0; 16].into()),
                    _ => GlobalInit::RefNullConst,
                });
            }
            let without = FunctionType::new(ty.params(), []);
            let hash = SignatureHash(without.signature_hash());
            module.signature_hashes.push(hash);
            module.functions[FunctionIndex::from_u32(import.function)] =
                module.signatures.push(without);
        }
        Ok(())
    }
}

impl<'a> FunctionMiddleware<'a> for Calls {
    fn feed(
        &mut self,
        operator: Operator<'a>,
        state: &mut MiddlewareReaderState<'a>,
    ) -> Result<(), MiddlewareError> {
        let called = match &operator {
            Operator::Call { function_index } => {
                let mut imports = self.0.iter();
                imports.find(|import| import.function == *function_index)
            }
            _ => None,
        };
        state.push_operator(operator);
        if let Some(import) = called {
            for global_index in import.global..import.global + import.results {
                state.push_operator(Operator::GlobalGet { global_index });
            }
        }
        Ok(())
    }
}

type Context = VMDynamicFunctionContext<Adapter>;

struct Adapter {
    callee: VMCallerCheckedAnyfunc,
    params: usize,
    /// Arguments and results. Nested calls may share it: arguments are taken out before the callee runs, and results put
    /// in after it has run.
    values: Box<[RawValue]>,
    /// The globals of the results.
    results: Vec<*mut RawValue>,
}

/// A function without results that calls the one given, and leaves its results in globals; see `connect`.
pub(crate) fn adapter(callee: VMCallerCheckedAnyfunc, ty: &FunctionType) -> VMFunction {
    let space = ty.params().len().max(ty.results().len());
    let context = Box::new(Context {
        address: enter as *const VMFunctionBody,
        ctx: Adapter {
            callee,
            params: ty.params().len(),
            values: vec![RawValue::default(); space].into_boxed_slice(),
            results: Vec::new(),
        },
    });
    crate::abi::in_place_of(callee, FunctionType::new(ty.params(), []), context)
}

/// Tells an adapter, by its record, the globals of the instance that imports it.
///
/// # Safety
/// The record is as `adapter` made it; the caller holds the store.
pub(crate) unsafe fn connect(
    record: &VMCallerCheckedAnyfunc,
    import: &ImportWithResults,
    instance: &mut VMInstance,
    objects: &StoreObjects,
) -> Result<(), Error> {
    let context = unsafe { &mut *record.vmctx.host_env.cast::<Context>() };
    for index in import.global..import.global + import.results {
        let global = ExportIndex::Global(GlobalIndex::from_u32(index));
        let VMExtern::Global(global) = instance.lookup_by_declaration(global) else {
            return Err(Error::new(wasmergo_error_kind::Internal, "not a global"));
        };
        let cell = global.get(objects).vmglobal().as_ptr();
        context.ctx.results.push(unsafe { &raw mut (*cell).val });
    }
    Ok(())
}

/// Runs on the guest's stack; nothing here has a destructor.
unsafe extern "C-unwind" fn enter(context: *mut Context, arguments: *const RawValue) {
    stack::check();
    unsafe {
        let adapter = &raw mut (*context).ctx;
        let values = (*adapter).values.as_mut_ptr();
        std::ptr::copy_nonoverlapping(arguments, values, (*adapter).params);
        let callee = (*adapter).callee;
        (callee.call_trampoline)(callee.vmctx.vmctx, callee.func_ptr, values);
        for (index, cell) in (*adapter).results.iter().enumerate() {
            cell.write(*values.add(index));
        }
    }
}
