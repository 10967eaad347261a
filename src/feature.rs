//! Features: the proposals to the specification that a module may use, and which of them the compilers support.

use crate::engine::wasmergo_compiler;
use wasmer::wasmparser::WasmFeatures;

/// A set of features: bit n stands for the n-th of `FEATURES`, which the Go side names in the same order.
pub(crate) type FeatureSet = u64;

/// A set of features that is not given: the compiler's.
pub const WASMERGO_FEATURES_DEFAULT: u64 = u64::MAX;

/// No feature, where one may be named.
pub const WASMERGO_FEATURE_NONE: u32 = u32::MAX;

const FEATURES: [(&str, WasmFeatures); 20] = [
    ("mutable-global", WasmFeatures::MUTABLE_GLOBAL),
    (
        "nontrapping-float-to-int-conversions",
        WasmFeatures::SATURATING_FLOAT_TO_INT,
    ),
    ("sign-extension-ops", WasmFeatures::SIGN_EXTENSION),
    ("multi-value", WasmFeatures::MULTI_VALUE),
    ("bulk-memory-operations", WasmFeatures::BULK_MEMORY),
    ("reference-types", WasmFeatures::REFERENCE_TYPES),
    ("simd", WasmFeatures::SIMD),
    ("relaxed-simd", WasmFeatures::RELAXED_SIMD),
    ("extended-const", WasmFeatures::EXTENDED_CONST),
    ("multi-memory", WasmFeatures::MULTI_MEMORY),
    ("threads", WasmFeatures::THREADS),
    ("exception-handling", WasmFeatures::EXCEPTIONS),
    ("tail-call", WasmFeatures::TAIL_CALL),
    ("wide-arithmetic", WasmFeatures::WIDE_ARITHMETIC),
    ("memory64", WasmFeatures::MEMORY64),
    ("function-references", WasmFeatures::FUNCTION_REFERENCES),
    ("gc", WasmFeatures::GC),
    ("custom-page-sizes", WasmFeatures::CUSTOM_PAGE_SIZES),
    ("stack-switching", WasmFeatures::STACK_SWITCHING),
    ("custom-descriptors", WasmFeatures::CUSTOM_DESCRIPTORS),
];

/// What needs no proposal: the first version of the specification, and reference types that no host could do without.
const BASE: WasmFeatures = WasmFeatures::FLOATS.union(WasmFeatures::GC_TYPES);

pub(crate) fn name(feature: u32) -> &'static str {
    FEATURES.get(feature as usize).map_or("", |(name, _)| name)
}

/// The features as the validator takes them.
pub(crate) fn wasm_features(set: FeatureSet) -> WasmFeatures {
    let chosen = FEATURES
        .iter()
        .enumerate()
        .filter(|(bit, _)| set >> bit & 1 == 1);
    chosen.fold(BASE, |features, (_, (_, flag))| features | *flag)
}

/// The first feature that is a part of `missing`.
pub(crate) fn of(missing: WasmFeatures) -> Option<u32> {
    let found = FEATURES
        .iter()
        .position(|(_, flag)| flag.intersects(missing));
    found.map(|bit| bit as u32)
}

/// All features that are known but not in the set.
pub(crate) fn others(set: FeatureSet) -> impl Iterator<Item = u32> {
    (0..FEATURES.len() as u32).filter(move |bit| set >> bit & 1 == 0)
}

/// What the compiler can do. What its own list claims beyond that it answers with a panic.
pub(crate) fn supported(compiler: wasmergo_compiler) -> FeatureSet {
    let lacks: &[&str] = match compiler {
        wasmergo_compiler::Cranelift => &["tail-call"],
        wasmergo_compiler::Singlepass => &[
            "simd",
            "relaxed-simd",
            "exception-handling",
            "tail-call",
            "wide-arithmetic",
        ],
        // What a module uses was known to its compiler.
        wasmergo_compiler::Llvm | wasmergo_compiler::None => &[],
    };
    let nobody = [
        "memory64",
        "function-references",
        "gc",
        "custom-page-sizes",
        "stack-switching",
        "custom-descriptors",
    ];
    let has = |name: &&str| !lacks.contains(name) && !nobody.contains(name);
    let bits = FEATURES
        .iter()
        .enumerate()
        .filter(|(_, (name, _))| has(name))
        .map(|(bit, _)| 1 << bit);
    bits.sum()
}

/// The features that the compiler supports; 0 if there is no such compiler.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_features_supported(compiler: u32) -> u64 {
    crate::guard::infallible(|| crate::engine::compiler(compiler).map_or(0, supported))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_is_found_by_its_flag() {
        for (bit, (feature, flag)) in FEATURES.iter().enumerate() {
            assert_eq!(of(*flag), Some(bit as u32), "{feature}");
            assert_eq!(name(bit as u32), *feature);
            assert!(wasm_features(1 << bit).contains(*flag));
            assert!(!wasm_features(0).contains(*flag));
        }
    }
}
