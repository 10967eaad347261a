//! The C ABI under the Go package `wasmer`: one file a noun, one prefix `wasmergo_<noun>_`.
//!
//! # Ownership
//! Rust signatures state it: `Option<Box<T>>` takes ownership (null allowed), `&T` borrows, an out-parameter of type
//! `*mut *mut T` receives an owned handle that its `*_delete` frees. Engines, modules and stores are owned by the
//! caller. Externs and instances belong to their store and end with it. Strings and bytes go in borrowed as (pointer,
//! length), for the call only, and come out as `wasmergo_bytes`, which the caller frees. C keeps no Go pointer: host
//! functions are numbers, which the Go side looks up.
//!
//! # Errors
//! A fallible function returns the error as owned bytes, null for success (`error.rs` has the encoding). Calls of guest
//! code return a status, and `wasmergo_store_error` the error of a failed one.
//!
//! # Panics
//! Every entry runs in a guard (`guard.rs`): a panic becomes an error of kind `Internal`.
//!
//! # Threads
//! Engines and modules may be used by all threads at once. A store with all that belongs to it is used by one call
//! chain at a time, on any thread; wasmer's own thread-locals are empty between outer calls. Host functions run on
//! the thread of the call, on its own stack.

mod abi;
mod account;
mod arch;
mod arena;
mod artifact;
mod batch;
mod bounds;
mod budget;
mod builtin;
mod bulk;
mod bytes;
mod cache;
mod charge;
mod code;
mod compilation;
mod compiler;
mod count;
mod digest;
mod dump;
mod dwarf;
mod element;
mod embed;
mod engine;
mod error;
mod r#extern;
mod externref;
mod feature;
mod first_memory;
mod foreign;
mod frame;
mod function;
mod global;
mod guard;
mod header;
mod host;
mod image;
mod initial;
mod inspect;
mod instance;
mod instruction;
mod interrupt;
#[cfg(all(test, target_os = "linux", target_arch = "x86_64"))]
mod interrupt_step;
mod kept;
mod kept_stack;
mod keyvalue;
mod latch;
mod level;
mod linear;
mod link;
mod live;
#[cfg(feature = "llvm")]
mod llvm;
mod load;
mod locations;
mod logring;
mod memory;
mod memory_stats;
mod meter;
mod metering;
mod module;
mod names;
mod nan;
mod native;
#[cfg(feature = "nn")]
mod nn;
mod opcode;
mod outside;
mod perfmap;
mod plugin;
mod prepare;
mod profile;
mod program;
mod queue;
mod ready;
mod region;
#[cfg(feature = "llvm")]
mod renumber;
mod reset;
mod resource;
mod results;
mod run;
mod sample;
#[cfg(target_os = "linux")]
mod sealed;
mod section_reader;
mod signal;
mod signature;
mod snapshot;
mod snapshot_format;
mod stack;
mod state;
mod statistics;
mod store;
mod symbols;
mod table;
mod target;
mod thread;
mod tier;
mod timer;
mod trace;
mod tunables;
mod types;
mod validate;
mod version;
