//! Inference, with the crate tract: only in builds with the feature `nn`.
//!
//! A graph is a parsed model. It may be used by all threads at once. A request names outlets of the graph by `index`, among
//! its inputs or outputs, or by name where the index is `WASMERGO_NN_NAMED`; TensorFlow's `name:slot` is understood.

mod budget;
mod codec;
mod graph;
mod model;
mod tensor;

use crate::bytes::{borrow, wasmergo_bytes};
use crate::error::{Error, wasmergo_error_kind};
use crate::guard::{fallible, guard, infallible, silence_panics};
use graph::Graph;
use std::sync::atomic::AtomicU32;
use std::thread;
use tract_core::prelude::TractError;

/// The format of a model, by wasi-nn's number.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types)]
pub enum wasmergo_nn_encoding {
    Onnx = 1,
    Tensorflow = 2,
    TensorflowLite = 4,
}

/// What a tensor is made of: up to `I64` the numbers of wasi-nn.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types)]
pub enum wasmergo_nn_type {
    F16 = 0,
    F32 = 1,
    F64 = 2,
    U8 = 3,
    I32 = 4,
    I64 = 5,
    I8 = 6,
    I16 = 7,
    U16 = 8,
    U32 = 9,
    U64 = 10,
    Bool = 11,
}

/// The index of an outlet that is named.
pub const WASMERGO_NN_NAMED: u32 = u32::MAX;

/// A type, number of dimensions or dimension that a model leaves open.
pub const WASMERGO_NN_OPEN: u32 = u32::MAX;

/// Parses and optimises on a stack of this size: both recurse as deep as a model has them do. Only what is used is taken.
const STACK: usize = 256 << 20;

/// A parsed model.
#[allow(non_camel_case_types)]
pub struct wasmergo_nn_graph(Graph);

/// Parses a model of a `wasmergo_nn_encoding`. `limit` bounds the bytes of all tensors that are alive at once, here and in each run.
///
/// # Safety
/// See the ABI manual.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_nn_graph_new(
    encoding: u32,
    model: *const u8,
    len: usize,
    limit: usize,
    out: &mut *mut wasmergo_nn_graph,
) -> wasmergo_bytes {
    silence_panics();
    fallible(|| {
        let model = unsafe { borrow(model, len) };
        let graph =
            on_own_stack(|| budget::within(limit, || Graph::parse(encoding, model, limit)))?;
        *out = Box::into_raw(Box::new(wasmergo_nn_graph(graph)));
        Ok(())
    })
}

/// Frees a graph. Null is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_nn_graph_delete(graph: Option<Box<wasmergo_nn_graph>>) {
    infallible(|| drop(graph))
}

/// Inputs, then outputs: `count u32`, and for each `name, type u32, rank u32, dims u64...`, `WASMERGO_NN_OPEN` for what is open
/// (a dimension: `UINT64_MAX`).
#[unsafe(no_mangle)]
pub extern "C" fn wasmergo_nn_graph_describe(graph: &wasmergo_nn_graph) -> wasmergo_bytes {
    infallible(|| codec::describe(&graph.0))
}

/// Runs the graph. The request is `count u32` of inputs, for each `index u32, name, type u32, rank u32, dims u64..., bytes`,
/// and `count u32` of outputs, for each `index u32, name`. The answer has for each output `type u32, rank u32, dims u64...,
/// bytes`. It ends with the error `Interrupted` between two operations once `*stop`, which another thread may write, is not 0.
///
/// # Safety
/// See the ABI manual. `stop` may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_nn_graph_run(
    graph: &wasmergo_nn_graph,
    request: *const u8,
    len: usize,
    stop: *const u32,
    out: &mut wasmergo_bytes,
) -> wasmergo_bytes {
    silence_panics();
    fallible(|| {
        let request = unsafe { borrow(request, len) };
        let stop = (!stop.is_null()).then(|| unsafe { AtomicU32::from_ptr(stop.cast_mut()) });
        let limit = graph.0.limit;
        let request = budget::within(limit, || codec::Request::decode(request))?;
        let ready = match graph.0.ready(&request) {
            Some(ready) => ready,
            None => on_own_stack(|| budget::within(limit, || graph.0.prepare(&request, stop)))?,
        };
        let outputs = budget::within(limit, || ready.run(request.tensors(), stop))?;
        *out = codec::answer(&outputs)?;
        Ok(())
    })
}

/// Runs a function on a thread with a big stack; its panic is an error here.
fn on_own_stack<T: Send>(body: impl FnOnce() -> Result<T, Error> + Send) -> Result<T, Error> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("wasmer-go-nn".into())
            .stack_size(STACK)
            .spawn_scoped(scope, || guard(body))
            .map_err(|error| {
                Error::new(
                    wasmergo_error_kind::Resource,
                    format!("cannot start a thread for a model: {error}"),
                )
            })?;
        thread.join().expect("the guard catches panics")
    })
}

/// A model, or a request, that is not right.
pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error::new(wasmergo_error_kind::Invalid, message)
}

/// What tract says, with all its causes.
pub(crate) fn refused(error: TractError) -> Error {
    invalid(format!("{error:#}"))
}
