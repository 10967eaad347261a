//! Models as files: parsed by tract, after a look at what tract would trust.

use super::wasmergo_nn_encoding as Encoding;
use super::{budget, invalid, refused};
use crate::error::Error;
use tract_core::internal::*;
use tract_onnx::pb;
use tract_onnx::tract_hir::infer::Factoid;
use tract_onnx::tract_hir::prelude::InferenceModel;
use tract_tensorflow::tfpb::tensorflow::{GraphDef, TensorProto, attr_value};
use tract_tflite::internal::TfliteProtoModel;
use tract_tflite::tflite::SubGraph;

/// tract reads a dimension's expression by recursion: nobody writes such a long one.
const LONGEST_DIMENSION: usize = 256;

/// The widest type, which says how large a tensor gets at most.
const WIDEST: usize = 24;

/// A parsed model. The types of ONNX and TensorFlow depend on those of the inputs.
pub(super) enum Model {
    Open(InferenceModel),
    Typed(TypedModel),
}

/// An input or output, with what the model says of it.
pub(super) struct Outlet {
    pub name: String,
    pub id: OutletId,
    pub of: Option<DatumType>,
    pub shape: Option<Vec<Option<usize>>>,
}

impl Model {
    /// The model, its inputs and its outputs.
    pub fn parse(
        encoding: u32,
        bytes: &[u8],
        limit: usize,
    ) -> Result<(Self, Vec<Outlet>, Vec<Outlet>), Error> {
        const ONNX: u32 = Encoding::Onnx as u32;
        const TENSORFLOW: u32 = Encoding::Tensorflow as u32;
        const TENSORFLOW_LITE: u32 = Encoding::TensorflowLite as u32;
        match encoding {
            ONNX => onnx(bytes),
            TENSORFLOW => tensorflow(bytes, limit),
            TENSORFLOW_LITE => tensorflow_lite(bytes),
            _ => Err(invalid(format!(
                "encoding {encoding} of a model is not known"
            ))),
        }
    }

    /// The outlet with this name, `name:slot` or just that of a node. Only an open model keeps the names of its nodes.
    pub fn named(&self, name: &str) -> Option<OutletId> {
        let Self::Open(model) = self else { return None };
        let (node, slot) = match name.rsplit_once(':') {
            Some((node, slot)) => (node, slot.parse().ok()?),
            None => (name, 0),
        };
        let node = model.node_by_name(node).ok()?;
        (slot < node.outputs.len()).then(|| OutletId::new(node.id, slot))
    }
}

fn onnx(bytes: &[u8]) -> Result<(Model, Vec<Outlet>, Vec<Outlet>), Error> {
    let onnx = tract_onnx::onnx();
    let proto = onnx.proto_model_for_read(&mut &*bytes).map_err(refused)?;
    let graph = proto
        .graph
        .as_ref()
        .ok_or_else(|| invalid("the model has no graph"))?;
    check_dimensions(graph)?;
    let names = graph.output.iter().map(|output| output.name.clone());
    let names: Vec<String> = names.collect();
    let model = onnx.model_for_proto_model(&proto).map_err(refused)?;
    let inputs = open_inputs(&model)?;
    let outputs = model.output_outlets().map_err(refused)?;
    let outputs = names
        .into_iter()
        .zip(outputs)
        .map(|(name, id)| open(&model, name, *id))
        .collect::<Result<_, _>>()?;
    Ok((Model::Open(model), inputs, outputs))
}

/// Also of the graphs within the graph, which the parser has not let go deep.
fn check_dimensions(graph: &pb::GraphProto) -> Result<(), Error> {
    use pb::{tensor_shape_proto::dimension::Value, type_proto};
    let values = graph.input.iter().chain(&graph.output);
    for value in values.chain(&graph.value_info) {
        let of = value.r#type.as_ref().and_then(|of| of.value.as_ref());
        let Some(type_proto::Value::TensorType(of)) = of else {
            continue;
        };
        for dim in of.shape.iter().flat_map(|shape| &shape.dim) {
            if matches!(&dim.value, Some(Value::DimParam(name)) if name.len() > LONGEST_DIMENSION) {
                return Err(invalid(format!(
                    "a dimension of {:?} has a name of more than {LONGEST_DIMENSION} bytes",
                    value.name
                )));
            }
        }
    }
    for attribute in graph.node.iter().flat_map(|node| &node.attribute) {
        attribute
            .g
            .iter()
            .chain(&attribute.graphs)
            .try_for_each(check_dimensions)?;
    }
    Ok(())
}

fn tensorflow(bytes: &[u8], limit: usize) -> Result<(Model, Vec<Outlet>, Vec<Outlet>), Error> {
    let tensorflow = tract_tensorflow::tensorflow();
    let proto = tensorflow
        .proto_model_for_read(&mut &*bytes)
        .map_err(refused)?;
    if proto.node.is_empty() {
        return Err(invalid("the model has no graph"));
    }
    check_constants(&proto, limit)?;
    let model = tensorflow.model_for_proto_model(&proto).map_err(refused)?;
    let inputs = open_inputs(&model)?;
    let outputs = model.output_outlets().map_err(refused)?;
    let outputs = outputs
        .iter()
        .map(|id| {
            let node = &model.node(id.node).name;
            let name = match id.slot {
                0 => node.clone(),
                slot => format!("{node}:{slot}"),
            };
            open(&model, name, *id)
        })
        .collect::<Result<_, _>>()?;
    Ok((Model::Open(model), inputs, outputs))
}

/// A constant can be one value and a shape, which tract fills without asking for a tensor.
fn check_constants(graph: &GraphDef, limit: usize) -> Result<(), Error> {
    let functions = graph.library.iter().flat_map(|library| &library.function);
    let nodes = graph
        .node
        .iter()
        .chain(functions.flat_map(|function| &function.node_def));
    for attribute in nodes.flat_map(|node| node.attr.values()) {
        let tensors: &[TensorProto] = match &attribute.value {
            Some(attr_value::Value::Tensor(tensor)) => std::slice::from_ref(tensor),
            Some(attr_value::Value::List(list)) => &list.tensor,
            _ => &[],
        };
        for shape in tensors.iter().flat_map(|tensor| &tensor.tensor_shape) {
            let size = shape.dim.iter().try_fold(WIDEST, |size, dim| {
                size.checked_mul(dim.size.max(0) as usize)
            });
            if size.is_none_or(|size| size / WIDEST > limit / 4) {
                return Err(budget::exceeds(limit));
            }
        }
    }
    Ok(())
}

fn tensorflow_lite(bytes: &[u8]) -> Result<(Model, Vec<Outlet>, Vec<Outlet>), Error> {
    let lite = tract_tflite::tflite();
    let proto: TfliteProtoModel = lite.proto_model_for_read(&mut &*bytes).map_err(refused)?;
    let model = lite.model_for_proto_model(&proto).map_err(refused)?;
    let root = proto.root();
    let graph = root.subgraphs().map(|graphs| graphs.get(0));
    let graph = graph.ok_or_else(|| invalid("the model has no graph"))?;
    let outlets = |names: Vec<String>, ids: &[OutletId]| -> Result<Vec<Outlet>, Error> {
        if names.len() != ids.len() {
            return Err(invalid(
                "inputs that are quantized by axis are not supported",
            ));
        }
        names
            .into_iter()
            .zip(ids)
            .map(|(name, id)| {
                let fact = model.outlet_fact(*id).map_err(refused)?;
                let shape = fact.shape.iter().map(|dim| dim.to_usize().ok());
                Ok(Outlet {
                    name,
                    id: *id,
                    of: Some(fact.datum_type),
                    shape: Some(shape.collect()),
                })
            })
            .collect()
    };
    let inputs = outlets(
        names(&graph, graph.inputs().into_iter().flatten()),
        model.input_outlets().map_err(refused)?,
    )?;
    let outputs = outlets(
        names(&graph, graph.outputs().into_iter().flatten()),
        model.output_outlets().map_err(refused)?,
    )?;
    Ok((Model::Typed(model), inputs, outputs))
}

fn names(graph: &SubGraph<'_>, of: impl Iterator<Item = i32>) -> Vec<String> {
    let name = |index: i32| graph.tensors()?.get(index as usize).name();
    of.map(|index| name(index).unwrap_or_default().to_owned())
        .collect()
}

fn open_inputs(model: &InferenceModel) -> Result<Vec<Outlet>, Error> {
    let inputs = model.input_outlets().map_err(refused)?;
    inputs
        .iter()
        .map(|id| open(model, model.node(id.node).name.clone(), *id))
        .collect()
}

fn open(model: &InferenceModel, name: String, id: OutletId) -> Result<Outlet, Error> {
    let fact = model.outlet_fact(id).map_err(refused)?;
    let shape = fact.shape.rank().concretize().map(|_| {
        let dims = fact.shape.dims();
        dims.map(|dim| dim.concretize()?.to_usize().ok()).collect()
    });
    Ok(Outlet {
        name,
        id,
        of: fact.datum_type.concretize(),
        shape,
    })
}
