//! Names of files for what compilers have in between. They are made of the names of functions, which are the guest's choice:
//! two may have the same, and they may be longer than a file's. So functions get others for it, which tell their index.

use std::sync::Arc;
use wasmer_compiler::{FunctionMiddleware, ModuleMiddleware};
use wasmer_types::entity::EntityRef;
use wasmer_types::{FunctionIndex, LocalFunctionIndex, MiddlewareError, ModuleInfo};

/// What a file's name has of a function's.
const LONGEST: usize = 80;

#[derive(Debug)]
pub(crate) struct FileNames;

impl FileNames {
    pub fn middleware() -> Arc<dyn ModuleMiddleware> {
        Arc::new(Self)
    }
}

impl ModuleMiddleware for FileNames {
    fn generate_function_middleware<'a>(
        &self,
        _: LocalFunctionIndex,
    ) -> Box<dyn FunctionMiddleware<'a> + 'a> {
        Box::new(AsItIs)
    }

    fn transform_module_info(&self, module: &mut ModuleInfo) -> Result<(), MiddlewareError> {
        let names = (0..module.functions.len()).map(|index| {
            let index = FunctionIndex::new(index);
            let name = module.function_names.get(&index);
            (index, file_name(index, name.map_or("", String::as_str)))
        });
        module.function_names = names.collect();
        Ok(())
    }
}

fn file_name(index: FunctionIndex, name: &str) -> String {
    let mut out = format!("function_{}", index.as_u32());
    if !name.is_empty() {
        out.push('_');
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    out.extend(name.chars().take(LONGEST).map(plain));
    out
}

#[derive(Debug)]
struct AsItIs;

impl<'a> FunctionMiddleware<'a> for AsItIs {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_plain_short_and_unique() {
        for (name, file) in [
            ("", "function_7"),
            ("add", "function_7_add"),
            ("../../etc/passwd", "function_7_______etc_passwd"),
            ("a\0b\u{e9}", "function_7_a_b_"),
        ] {
            assert_eq!(file_name(FunctionIndex::new(7), name), file);
        }
        assert!(file_name(FunctionIndex::new(9), &"\u{1f600}x".repeat(1000)).len() < 100);
    }
}
