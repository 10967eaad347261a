//! Functions by their index in the module: what is left of a reference outside of its store.

use crate::instance::wasmergo_instance;
use crate::module::Compiled;
use std::collections::HashMap;
use wasmer_types::FunctionIndex;
use wasmer_vm::VMCallerCheckedAnyfunc;

/// The functions of an instance by what references to them lead to.
pub(crate) struct Names<'a> {
    instance: &'a wasmergo_instance,
    indices: Option<HashMap<(usize, usize), u32>>,
}

fn key(callee: &VMCallerCheckedAnyfunc) -> (usize, usize) {
    let context = unsafe { callee.vmctx.host_env } as usize;
    (callee.func_ptr as usize, context)
}

impl<'a> Names<'a> {
    pub fn new(instance: &'a wasmergo_instance) -> Self {
        Self {
            instance,
            indices: None,
        }
    }

    /// The index of the function that a reference of the store leads to, if the instance's code may refer to it.
    pub fn find(&mut self, reference: usize) -> Option<u32> {
        let instance = self.instance;
        let indices = self.indices.get_or_insert_with(|| {
            let functions = 0..instance.module.info().functions.len() as u32;
            let named = |index: &u32| can_refer(&instance.module, *index);
            let all = functions.filter(named).rev().map(|index| {
                let callee = instance.callee(FunctionIndex::from_u32(index));
                (key(&callee), index)
            });
            all.collect()
        });
        let callee = unsafe { &*(reference as *const VMCallerCheckedAnyfunc) };
        let found = indices.get(&key(callee)).copied();
        // It may be one that stands for another.
        found.or_else(|| {
            let known = instance.store().known_function(callee)?;
            let callee = unsafe { &*known }.callee().ok()?;
            indices.get(&key(&callee)).copied()
        })
    }
}

/// Whether references to the function can be made: to an imported one only if the module was compiled for that.
pub(crate) fn can_refer(module: &Compiled, function: u32) -> bool {
    let info = module.info();
    let imported = (function as usize) < info.num_imported_functions;
    (function as usize) < info.functions.len()
        && (!imported || module.notes.references.binary_search(&function).is_ok())
}
