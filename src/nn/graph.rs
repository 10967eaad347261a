//! A model that runs: made ready once for each combination of types, shapes and outputs that it is asked for.

use super::codec::{Request, Which};
use super::model::{Model, Outlet};
use super::{budget, codec, continues, invalid, refused, tensor};
use crate::error::Error;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};
use tract_core::internal::*;
use tract_core::plan;
use tract_onnx::tract_hir::infer::Factoid;
use tract_onnx::tract_hir::internal::{InferenceFact, InferenceModel, InferenceModelExt};

/// How many combinations are kept.
const KEPT: usize = 4;

pub(super) struct Graph {
    model: Model,
    pub inputs: Vec<Outlet>,
    pub outputs: Vec<Outlet>,
    pub limit: usize,
    /// The latest last.
    kept: Mutex<Vec<Arc<Ready>>>,
}

/// What is asked for, but for the values.
#[derive(PartialEq)]
pub(super) struct Shape {
    inputs: Vec<(OutletId, DatumType, TVec<usize>)>,
    outputs: Vec<OutletId>,
}

/// A plan for one shape.
pub(super) struct Ready {
    shape: Shape,
    plan: Arc<TypedSimplePlan>,
    /// The shapes of all tensors are known, and not too large.
    pub fixed: bool,
}

impl Graph {
    pub fn parse(encoding: u32, model: &[u8], limit: usize) -> Result<Self, Error> {
        let (model, inputs, outputs) = Model::parse(encoding, model, limit)?;
        Ok(Self {
            model,
            inputs,
            outputs,
            limit,
            kept: Mutex::default(),
        })
    }

    pub fn shape(&self, request: &Request) -> Result<Shape, Error> {
        let mut shape = Shape {
            inputs: Vec::new(),
            outputs: Vec::new(),
        };
        for (which, tensor) in &request.inputs {
            let outlet = match which {
                Which::Index(index) => self.inputs.get(*index),
                Which::Named(name) => {
                    let name = name.strip_suffix(":0").unwrap_or(name);
                    self.inputs.iter().find(|input| input.name == name)
                }
            };
            let outlet = outlet.ok_or_else(|| no_such("input", which))?;
            if shape.inputs.iter().any(|(id, ..)| *id == outlet.id) {
                return Err(invalid(format!("input {:?} is set twice", outlet.name)));
            }
            let of = match outlet.of {
                // The bytes of quantized numbers are those of the numbers that stand for them.
                Some(of) if of.unquantized() == tensor.datum_type() => of,
                _ => tensor.datum_type(),
            };
            shape.inputs.push((outlet.id, of, tensor.shape().into()));
        }
        for which in &request.outputs {
            let id = match which {
                Which::Index(index) => self.outputs.get(*index).map(|output| output.id),
                Which::Named(name) => {
                    let output = self.outputs.iter().find(|output| output.name == *name);
                    output
                        .map(|output| output.id)
                        .or_else(|| self.model.named(name))
                }
            };
            shape
                .outputs
                .push(id.ok_or_else(|| no_such("output", which))?);
        }
        Ok(shape)
    }

    /// What was prepared for such a request, if it was lately.
    pub fn ready(&self, request: &Request) -> Option<Arc<Ready>> {
        let shape = self.shape(request).ok()?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|ready| ready.shape == shape)?;
        let ready = kept.remove(at);
        kept.push(ready.clone());
        Some(ready)
    }

    /// Makes a plan, which is not kept yet.
    pub fn prepare(&self, shape: Shape, stop: &AtomicU32) -> Result<Arc<Ready>, Error> {
        let stop = Some(stop);
        let typed = match &self.model {
            Model::Typed(model) => {
                check_inputs(model, &shape)?;
                let mut model = model.clone();
                model
                    .select_output_outlets(&shape.outputs)
                    .map_err(refused)?;
                let inputs: Vec<_> = shape.inputs.iter().map(|(id, ..)| *id).collect();
                model.set_input_outlets(&inputs).map_err(refused)?;
                model
            }
            Model::Open(model) => {
                let mut model = model.clone();
                let inputs: Vec<_> = shape.inputs.iter().map(|(id, ..)| *id).collect();
                model.set_input_outlets(&inputs).map_err(refused)?;
                model
                    .select_output_outlets(&shape.outputs)
                    .map_err(refused)?;
                model
                    .set_symbols(&symbols(&model, &shape)?)
                    .map_err(refused)?;
                for (id, of, dims) in &shape.inputs {
                    let fact = InferenceFact::dt_shape(*of, dims);
                    let unified = model.outlet_fact(*id).and_then(|old| old.unify(&fact));
                    let fact = unified.map_err(|_| does_not_fit(*of, dims))?;
                    model.set_outlet_fact(*id, fact).map_err(refused)?;
                }
                model.into_typed().map_err(refused)?
            }
        };
        continues(stop)?;
        let typed = typed.into_decluttered().map_err(refused)?;
        continues(stop)?;
        let typed = typed.into_optimized().map_err(refused)?;
        let fixed = check_sizes(&typed, self.limit)?;
        let plan = TypedSimplePlan::new(typed).map_err(refused)?;
        Ok(Arc::new(Ready { shape, plan, fixed }))
    }

    /// Not to be called where a thread may be lost: it would hold the lock.
    pub fn keep(&self, ready: &Arc<Ready>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push(ready.clone());
    }
}

impl Ready {
    /// The answer.
    pub fn run(&self, inputs: Vec<Tensor>, stop: Option<&AtomicU32>) -> Result<Vec<u8>, Error> {
        let inputs = inputs
            .into_iter()
            .zip(&self.shape.inputs)
            .map(|(mut tensor, (_, of, _))| {
                // Checked by `shape`: as many bytes.
                unsafe { tensor.set_datum_type(*of) };
                tensor.into_tvalue()
            })
            .collect();
        let mut state = self.plan.spawn().map_err(refused)?;
        let outputs = state.run_plan_with_eval(inputs, |context, state, node, inputs| {
            if continues(stop).is_err() {
                bail!("stopped");
            }
            plan::eval(context, state, node, inputs)
        });
        match outputs {
            Ok(outputs) => codec::answer(&outputs),
            Err(error) => continues(stop).and(Err(refused(error))),
        }
    }
}

fn no_such(what: &str, which: &Which) -> Error {
    match which {
        Which::Index(index) => invalid(format!("the model has no {what} {index}")),
        Which::Named(name) => invalid(format!("the model has no {what} {name:?}")),
    }
}

fn does_not_fit(of: DatumType, dims: &[usize]) -> Error {
    invalid(format!(
        "a tensor of type {of:?} and shape {dims:?} does not fit the model's input"
    ))
}

/// The values of the dimensions that the model names.
fn symbols(model: &InferenceModel, shape: &Shape) -> Result<HashMap<Symbol, TDim>, Error> {
    let mut symbols = HashMap::new();
    for (id, of, dims) in &shape.inputs {
        let fact = model.outlet_fact(*id).map_err(refused)?;
        for (named, dim) in fact.shape.dims().zip(dims) {
            if let Some(TDim::Sym(symbol)) = named.concretize() {
                let value = dim.to_dim();
                if *symbols.entry(symbol).or_insert(value.clone()) != value {
                    return Err(does_not_fit(*of, dims));
                }
            }
        }
    }
    Ok(symbols)
}

fn check_inputs(model: &TypedModel, shape: &Shape) -> Result<(), Error> {
    for (id, of, dims) in &shape.inputs {
        let fact = model.outlet_fact(*id).map_err(refused)?;
        let fits = fact.shape.as_concrete() == Some(&**dims) && fact.datum_type == *of;
        fits.then_some(()).ok_or_else(|| does_not_fit(*of, dims))?;
    }
    Ok(())
}

/// Operations with a graph of their own.
const NESTED: [&str; 2] = ["Scan", "IfThenElse"];

/// Not every operation asks for its output as a tensor. Tells whether all sizes are known.
fn check_sizes(model: &TypedModel, limit: usize) -> Result<bool, Error> {
    let mut known = true;
    for node in model.nodes() {
        known &= !NESTED.contains(&&*node.op.name());
        for output in &node.outputs {
            let fact = &output.fact;
            let Some(shape) = fact.shape.as_concrete() else {
                known = false;
                continue;
            };
            let size = tensor::size(fact.datum_type, shape);
            if size.is_none_or(|size| size > limit) {
                return Err(budget::exceeds(limit));
            }
        }
    }
    Ok(known)
}
