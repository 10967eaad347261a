//! Makes random modules that every compiler must agree on.

use std::error::Error;
use std::io::{self, BufRead, BufWriter, Write};

use arbitrary::Unstructured;
use wasm_smith::{Config, Module};

/// Bounds loops and recursion together: little enough that no engine's stack overflows, whose depth is its own affair.
const FUEL: u32 = 1000;

const PAGE: u64 = 65536;

/// Reads a seed per line and answers each with a module: its length in 4 bytes, little-endian, then its bytes.
pub fn run() -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let line = line?;
        let seed = line.trim().parse().map_err(|e| format!("{line:?}: {e}"))?;
        let module = module(seed)?;
        out.write_all(&u32::try_from(module.len())?.to_le_bytes())?;
        out.write_all(&module)?;
        out.flush()?;
    }
    Ok(())
}

fn module(seed: u64) -> Result<Vec<u8>, Box<dyn Error>> {
    let bytes = random_bytes(seed);
    let mut module = Module::new(config(seed), &mut Unstructured::new(&bytes))?;
    module.ensure_termination(FUEL)?;
    Ok(module.to_bytes())
}

/// SplitMix64: the same bytes for a seed on every machine and with every version of every crate.
fn random_bytes(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let size = 2048 + next() % 16384; // small and large modules
    (0..size.div_ceil(8))
        .flat_map(|_| next().to_le_bytes())
        .collect()
}

/// What Singlepass and wazero support both, and nothing whose outcome the specification leaves open.
fn config(seed: u64) -> Config {
    Config {
        // Random addresses and divisors trap soon. Every other module is made to go on.
        disallow_traps: seed.is_multiple_of(2),
        // A start function that traps leaves nothing to look at.
        allow_start_export: seed.is_multiple_of(8),
        // No imports: nothing outside of the module can make a difference.
        max_imports: 0,
        canonicalize_nans: true,
        export_everything: true,
        min_funcs: 5,
        max_funcs: 20,
        max_instructions: 400,
        min_globals: 2,
        max_globals: 12,
        max_exports: 64,
        max_data_segments: 8,
        max_element_segments: 8,
        min_types: 3,
        max_types: 16,
        min_memories: 1,
        max_memories: 1,
        max_memory32_bytes: 16 * PAGE,
        memory_max_size_required: true,
        max_tables: 2,
        max_table_elements: 100,
        table_max_size_required: true,
        acquire_release_atomics_enabled: false,
        compact_imports_enabled: false,
        custom_descriptors_enabled: false,
        custom_page_sizes_enabled: false,
        exceptions_enabled: false,
        extended_const_enabled: false,
        gc_enabled: false,
        memory64_enabled: false,
        multibyte_array_access_enabled: false,
        relaxed_simd_enabled: false,
        shared_everything_threads_enabled: false,
        simd_enabled: false,
        tail_call_enabled: false,
        threads_enabled: false,
        wide_arithmetic_enabled: false,
        bulk_memory_enabled: true,
        multi_value_enabled: true,
        reference_types_enabled: true,
        saturating_float_to_int_enabled: true,
        sign_extension_ops_enabled: true,
        ..Config::default()
    }
}
