//! Inference, with the crate tract: only in builds with the feature `nn`.
//!
//! A graph is a parsed model. It may be used by all threads at once. A request names outlets of the graph by `index`, among
//! its inputs or outputs, or by name where the index is `WASMERGO_NN_NAMED`; TensorFlow's `name:slot` is understood.

mod budget;
mod codec;
mod contained;
mod graph;
mod model;
mod tensor;

use crate::bytes::{borrow, wasmergo_bytes};
use crate::error::{Error, wasmergo_error_kind};
use crate::guard::{fallible, infallible, silence_panics};
use contained::contained;
use graph::Graph;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
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

/// A parsed model.
#[allow(non_camel_case_types)]
pub struct wasmergo_nn_graph(Arc<Graph>);

/// Parses a model of a `wasmergo_nn_encoding`. `limit` bounds the bytes that this takes, and each run. It ends with the
/// error `Interrupted` once `*stop`, which another thread may write, is not 0.
///
/// # Safety
/// See the ABI manual. `stop` may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmergo_nn_graph_new(
    encoding: u32,
    model: *const u8,
    len: usize,
    limit: usize,
    stop: *const u32,
    out: &mut *mut wasmergo_nn_graph,
) -> wasmergo_bytes {
    silence_panics();
    fallible(|| {
        let model = unsafe { borrow(model, len) }.to_vec();
        let stop = unsafe { number(stop) };
        let graph = contained(limit, stop, move |_| Graph::parse(encoding, &model, limit))?;
        *out = Box::into_raw(Box::new(wasmergo_nn_graph(Arc::new(graph))));
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
        let stop = unsafe { number(stop) };
        let limit = graph.0.limit;
        let request = budget::within(limit, || codec::Request::decode(request))?;
        let ready = match graph.0.ready(&request) {
            Some(ready) => ready,
            None => {
                let (shared, shape) = (graph.0.clone(), graph.0.shape(&request)?);
                let ready = contained(limit, stop, move |stop| shared.prepare(shape, stop))?;
                graph.0.keep(&ready);
                ready
            }
        };
        let inputs = request.tensors();
        // What is known to be small enough can stay on this thread.
        let answer = match ready.fixed {
            true => budget::within(limit, || ready.run(inputs, stop))?,
            false => contained(limit, stop, move |stop| ready.run(inputs, Some(stop)))?,
        };
        *out = answer.into();
        Ok(())
    })
}

/// The number that tells to stop, if there is one.
unsafe fn number<'a>(stop: *const u32) -> Option<&'a AtomicU32> {
    (!stop.is_null()).then(|| unsafe { AtomicU32::from_ptr(stop.cast_mut()) })
}

/// An error once the caller has asked for the end.
fn continues(stop: Option<&AtomicU32>) -> Result<(), Error> {
    match stop {
        Some(stop) if stop.load(Ordering::Relaxed) != 0 => Err(Error::new(
            wasmergo_error_kind::Interrupted,
            "stopped while a model was at work",
        )),
        _ => Ok(()),
    }
}

/// A model, or a request, that is not right.
pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error::new(wasmergo_error_kind::Invalid, message)
}

/// What tract says, with all its causes.
pub(crate) fn refused(error: TractError) -> Error {
    invalid(format!("{error:#}"))
}
