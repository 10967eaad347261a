//! What code is made for: a triple, and what the CPU has.

use crate::compiler::unsupported;
use crate::error::Error;
use std::str::FromStr;
use wasmer::sys::{CpuFeature, Target, Triple};
use wasmer_types::target::{Architecture, OperatingSystem};

/// The target with this triple and CPU, which are those of this machine if they are empty. The CPU of another architecture
/// is a generic one.
pub(crate) fn target(triple: &str, cpu: &str) -> Result<Target, Error> {
    let host = Triple::host();
    let triple = match triple {
        "" => host.clone(),
        _ => Triple::from_str(triple).map_err(|error| {
            unsupported(format!(
                "EngineConfig.Target: there is no triple {triple:?}: {error}"
            ))
        })?,
    };
    if !matches!(
        triple.operating_system,
        OperatingSystem::Linux | OperatingSystem::Darwin(_) | OperatingSystem::MacOSX(_)
    ) {
        return Err(unsupported(format!(
            "EngineConfig.Target: {triple} is neither Linux nor macOS, where alone code of this library runs"
        )));
    }
    let own = triple.architecture == host.architecture;
    let mut features = CpuFeature::set();
    match cpu {
        "" | "native" if own => features = CpuFeature::for_host(),
        "native" => {
            return Err(unsupported(format!(
                "EngineConfig.Target: the CPU native is {}, not {}",
                host.architecture, triple.architecture
            )));
        }
        "" | "generic" => features.extend(generic(&triple)),
        _ => {
            for name in cpu.split(',').map(str::trim) {
                let feature = CpuFeature::from_str(name).map_err(|_| {
                    let all = CpuFeature::all();
                    let known: Vec<_> = all.iter().map(|feature| feature.to_string()).collect();
                    unsupported(format!(
                        "EngineConfig.Target: there is no CPU feature {name:?}; there are native, generic, or {}",
                        known.join(",")
                    ))
                })?;
                features.insert(feature);
            }
            // There is none without.
            features.extend(match triple.architecture {
                Architecture::X86_64 => Some(CpuFeature::SSE2),
                Architecture::Aarch64(_) => Some(CpuFeature::NEON),
                _ => None,
            });
        }
    }
    Ok(Target::new(triple, features))
}

/// What each CPU of the architecture has; of x86-64 since 2009.
fn generic(triple: &Triple) -> &'static [CpuFeature] {
    match triple.architecture {
        Architecture::X86_64 => &[
            CpuFeature::SSE2,
            CpuFeature::SSE3,
            CpuFeature::SSSE3,
            CpuFeature::SSE41,
            CpuFeature::SSE42,
            CpuFeature::POPCNT,
        ],
        Architecture::Aarch64(_) => &[CpuFeature::NEON],
        _ => &[],
    }
}
