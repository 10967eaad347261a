//! Names of functions as a guest's programmer knows them: those of Rust and C++ are mangled for the linker.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// A name can stand for a text that is exponentially longer.
const LONGEST: usize = 16 << 10;
/// More than compilers make for people, less than what takes long.
const MANGLED: usize = 8 << 10;

/// The name without the mangling of Rust (legacy and v0) or C++ (Itanium); any other as it is.
pub(crate) fn demangle(name: &str) -> Cow<'_, str> {
    if name.len() > MANGLED {
        return name.into();
    }
    let text = rust(name).or_else(|| cpp(name));
    text.map_or(name.into(), Cow::Owned)
}

fn rust(name: &str) -> Option<String> {
    let symbol = rustc_demangle::try_demangle(name).ok()?;
    // Without the hash.
    limited(|out| write!(out, "{symbol:#}"))
}

fn cpp(name: &str) -> Option<String> {
    if !name.starts_with("_Z") && !name.starts_with("__Z") {
        return None;
    }
    let parsing = cpp_demangle::ParseOptions::default().recursion_limit(64);
    let symbol = cpp_demangle::Symbol::new_with_options(name.as_bytes(), &parsing).ok()?;
    let options = cpp_demangle::DemangleOptions::new()
        .no_return_type()
        .recursion_limit(128);
    limited(|out| symbol.structured_demangle(&mut Parts(out), &options))
}

fn limited(write: impl FnOnce(&mut Limited) -> fmt::Result) -> Option<String> {
    let mut out = Limited(String::new());
    write(&mut out).ok()?;
    Some(out.0)
}

struct Limited(String);

impl Write for Limited {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        if self.0.len() + s.len() > LONGEST {
            return Err(fmt::Error);
        }
        self.0.push_str(s);
        Ok(())
    }
}

struct Parts<'a>(&'a mut Limited);

impl cpp_demangle::DemangleWrite for Parts<'_> {
    fn write_string(&mut self, s: &str) -> fmt::Result {
        self.0.write_str(s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_in_the_source() {
        for (mangled, name) in [
            ("plain", "plain"),
            ("main.(*T).Run", "main.(*T).Run"),
            ("", ""),
            ("_Z", "_Z"),
            (
                "_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE",
                "core::fmt::Write::write_fmt",
            ),
            (
                "_RNvCskwGfYPst2Cb_3foo16example_function",
                "foo::example_function",
            ),
            ("_ZN5shape6Circle4areaEv", "shape::Circle::area()"),
            (
                "_ZNSt3__26vectorIiNS_9allocatorIiEEE9push_backERKi",
                "std::__2::vector<int, std::__2::allocator<int>>::push_back(int const&)",
            ),
        ] {
            let demangled = demangle(mangled);
            assert_eq!(demangled.replace("> >", ">>"), name);
        }
    }

    #[test]
    fn names_that_explode_stay_as_they_are() {
        // Each pair doubles what is written.
        let mut name = String::from("_Z1fI1XE");
        for turn in 0..60 {
            name = format!("_Z1fI1YI{}S{}_EE", "1A", turn % 10);
        }
        assert!(demangle(&name).len() <= LONGEST.max(name.len()));
        let bomb = format!("_Z1f{}", "P".repeat(7000) + "i");
        assert!(demangle(&bomb).len() <= LONGEST.max(bomb.len()));
        let long = "_ZN".repeat(1 << 20);
        assert_eq!(demangle(&long), long);
        let types: String = (0..200)
            .map(|i| format!("S{}_S{}_", i % 36, i % 36))
            .collect();
        let nested = format!("_Z1fSt4pairI{types}E");
        assert!(demangle(&nested).len() <= LONGEST.max(nested.len()));
    }
}
