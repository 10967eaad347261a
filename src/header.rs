//! What an artifact says of itself: what made it, of what, and for which machine. It can be read without an engine, and an
//! engine tells by it whether it can use the code, and if not, why.

use crate::bytes::Encoder;
use crate::compiler::wasmergo_opt_level;
use crate::digest::DIGEST;
use crate::engine::{wasmergo_compiler, wasmergo_engine};
use crate::error::{Error, wasmergo_error_kind};
use crate::feature;
use wasmer_types::target::CpuFeature;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Header {
    /// Of this library.
    pub version: String,
    /// Builds with one id agree on the layout of what follows.
    pub build: String,
    pub compiler: String,
    pub target: String,
    /// What the code may use of the CPU.
    pub cpu: Vec<String>,
    /// How the compiler was to make the code: a `wasmergo_opt_level`, and whether NaNs are canonical.
    pub level: u32,
    pub canonical: bool,
    /// What modules were allowed to use.
    pub features: u64,
    pub bounded: bool,
    /// How the code counts; empty if it does not.
    pub metering: String,
    /// Whose it is, besides the engine's: an entry of a cache has its key here.
    pub label: String,
    /// The digest of the module in binary format.
    pub module: [u8; DIGEST],
}

impl Header {
    /// The compiler that has made the code.
    pub fn compiler(&self) -> Result<wasmergo_compiler, Error> {
        wasmergo_compiler::named(&self.compiler)
            .ok_or_else(|| incompatible(format!("compiled by {}", self.compiler)))
    }

    /// Of the code that an engine makes of a module.
    pub fn new(engine: &wasmergo_engine, module: [u8; DIGEST]) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            build: env!("WASMERGO_BUILD_ID").into(),
            compiler: engine.compiler.to_string(),
            target: engine.options.target.triple().to_string(),
            cpu: Vec::new(), // what the compiler says that it uses
            level: engine.options.level as u32,
            canonical: engine.options.canonicalize_nans,
            features: engine.features,
            bounded: engine.limits.bounded_memories,
            metering: engine
                .metering
                .as_ref()
                .map_or_else(String::new, |metering| metering.fingerprint().into()),
            label: String::new(),
            module,
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        for text in [
            &self.version,
            &self.build,
            &self.compiler,
            &self.target,
            &self.metering,
            &self.label,
        ] {
            out.str(text);
        }
        out.u32(self.cpu.len() as u32);
        self.cpu.iter().for_each(|feature| out.str(feature));
        out.u64(self.features);
        out.u32(self.level);
        out.u8(self.canonical.into());
        out.u8(self.bounded.into());
        let mut out = out.into_vec();
        out.extend_from_slice(&self.module);
        out
    }

    /// What `encode` made, and nothing else.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
            let (head, tail) = bytes.split_first_chunk()?;
            *bytes = tail;
            Some(*head)
        }
        fn text(bytes: &mut &[u8]) -> Option<String> {
            let len = u32::from_le_bytes(take(bytes)?) as usize;
            let (head, tail) = bytes.split_at_checked(len)?;
            *bytes = tail;
            String::from_utf8(head.to_vec()).ok()
        }
        let bytes = &mut bytes;
        let mut out = Self {
            version: text(bytes)?,
            build: text(bytes)?,
            compiler: text(bytes)?,
            target: text(bytes)?,
            metering: text(bytes)?,
            label: text(bytes)?,
            ..Self::default()
        };
        for _ in 0..u32::from_le_bytes(take(bytes)?) {
            out.cpu.push(text(bytes)?);
        }
        out.features = u64::from_le_bytes(take(bytes)?);
        out.level = u32::from_le_bytes(take(bytes)?);
        for flag in [&mut out.canonical, &mut out.bounded] {
            *flag = match take(bytes)? {
                [0] => false,
                [1] => true,
                _ => return None,
            };
        }
        out.module = take(bytes)?;
        bytes.is_empty().then_some(out)
    }

    fn level_name(&self) -> String {
        let all = wasmergo_opt_level::ALL;
        all.get(self.level as usize)
            .map_or_else(|| self.level.to_string(), |level| level.to_string())
    }

    /// Whether the engine can use the code.
    pub fn check(&self, engine: &wasmergo_engine) -> Result<(), Error> {
        let want = Self::new(engine, self.module);
        let refuse = |why: String| Err(incompatible(why));
        if self.version != want.version {
            return refuse(format!(
                "made by wasmer-go {}, this is {}",
                self.version, want.version
            ));
        }
        if self.build != want.build {
            return refuse(format!(
                "made by another build of wasmer-go {}: {}, this is {}",
                self.version, self.build, want.build
            ));
        }
        if self.target != want.target {
            return refuse(format!(
                "compiled for {}, this engine is for {}",
                self.target, want.target
            ));
        }
        // Code for another machine is not run here.
        let has = match engine.options.target.is_native() {
            true => names(CpuFeature::for_host()),
            false => names(*engine.options.target.cpu_features()),
        };
        let lacks: Vec<_> = self.cpu.iter().filter(|need| !has.contains(need)).collect();
        if !lacks.is_empty() {
            let lacks: Vec<_> = lacks.into_iter().map(String::as_str).collect();
            return refuse(format!(
                "needs {}, which this CPU lacks",
                lacks.join(" and ")
            ));
        }
        // Without compilers, code of any is as good.
        if engine.compiler != wasmergo_compiler::None {
            if self.compiler != want.compiler {
                return refuse(format!(
                    "compiled by {}, this engine uses {}",
                    self.compiler, want.compiler
                ));
            }
            if self.level != want.level {
                return refuse(format!(
                    "compiled at the level {}, this engine compiles at {} (EngineConfig.OptLevel)",
                    self.level_name(),
                    want.level_name()
                ));
            }
            if self.canonical != want.canonical {
                return refuse(
                    match self.canonical {
                        true => "its NaNs are canonical, not so those of this engine (EngineConfig.CanonicalizeNaNs)",
                        false => "its NaNs are not canonical, as those of this engine are (EngineConfig.CanonicalizeNaNs)",
                    }
                    .into(),
                );
            }
        }
        if let Some(more) = feature::others(want.features).find(|bit| self.features >> bit & 1 == 1)
        {
            return refuse(format!(
                "made for modules that may use the feature {}, which EngineConfig.Features of this engine lacks",
                feature::name(more)
            ));
        }
        let kind = |bounded| match bounded {
            true => "bounded",
            false => "reserved",
        };
        if self.bounded != want.bounded {
            return refuse(format!(
                "compiled for {} memories, this engine has {} ones (EngineConfig.Memories)",
                kind(self.bounded),
                kind(want.bounded)
            ));
        }
        if self.metering != want.metering {
            return refuse(
                match (self.metering.is_empty(), want.metering.is_empty()) {
                    (true, _) => "its code does not count, as EngineConfig.Metering of this engine demands",
                    (_, true) => "its code counts, and EngineConfig.Metering of this engine does not",
                    _ => "its code counts otherwise than EngineConfig.Metering of this engine demands",
                }
                .into(),
            );
        }
        Ok(())
    }
}

/// The names of CPU features.
pub(crate) fn names(features: impl IntoIterator<Item = CpuFeature>) -> Vec<String> {
    features
        .into_iter()
        .map(|feature| feature.to_string())
        .collect()
}

pub(crate) fn incompatible(why: impl Into<String>) -> Error {
    Error::new(wasmergo_error_kind::Incompatible, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmergo_compiler::{Cranelift, Singlepass};

    fn why(change: impl FnOnce(&mut Header)) -> String {
        let engine = wasmergo_engine::for_test(Cranelift);
        let mut header = Header::new(&engine, [7; DIGEST]);
        header.check(&engine).unwrap();
        change(&mut header);
        header.check(&engine).unwrap_err().message
    }

    #[test]
    fn what_is_encoded_is_decoded_and_nothing_else() {
        let mut header = Header::new(&wasmergo_engine::for_test(Singlepass), [7; DIGEST]);
        header.cpu = vec!["avx".into(), "sse4.2".into()];
        let mut bytes = header.encode();
        assert_eq!(Header::decode(&bytes), Some(header));
        for len in 0..bytes.len() {
            assert_eq!(Header::decode(&bytes[..len]), None, "{len}");
        }
        bytes.push(0);
        assert_eq!(Header::decode(&bytes), None);
    }

    #[test]
    fn an_engine_tells_why_it_refuses() {
        assert_eq!(
            why(|header| header.version = "0.0.9".into()),
            format!(
                "made by wasmer-go 0.0.9, this is {}",
                env!("CARGO_PKG_VERSION")
            )
        );
        assert!(why(|header| header.build = "other".into()).starts_with("made by another build"));
        assert_eq!(
            why(|header| header.compiler = "llvm".into()),
            "compiled by llvm, this engine uses cranelift"
        );
        assert!(why(|header| header.target = "riscv64".into()).starts_with("compiled for riscv64"));
        assert!(
            why(|header| header.level = 1)
                .contains("at the level none, this engine compiles at default")
        );
        assert!(why(|header| header.level = 99).contains("at the level 99"));
        assert!(why(|header| header.canonical = true).contains("NaNs are canonical"));
        assert!(why(|header| header.features |= 1 << 12).contains("tail-call"));
        assert!(why(|header| header.bounded = true).contains("bounded memories"));
        assert!(why(|header| header.metering = "exact".into()).contains("its code counts"));
        assert_eq!(
            why(|header| header.cpu = vec!["avx9".into(), "avx10".into()]),
            "needs avx9 and avx10, which this CPU lacks"
        );
    }

    #[test]
    fn code_that_uses_less_than_the_cpu_has_is_good() {
        let engine = wasmergo_engine::for_test(Cranelift);
        let mut header = Header::new(&engine, [7; DIGEST]);
        header.cpu = names(CpuFeature::for_host());
        while header.cpu.pop().is_some() {
            header.check(&engine).unwrap();
        }
        header.features = 0;
        header.check(&engine).unwrap();
    }
}
