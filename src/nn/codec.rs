//! What crosses the border: requests, answers and descriptions, in the encoding of `bytes.rs`.

use super::graph::Graph;
use super::model::Outlet;
use super::{WASMERGO_NN_NAMED, WASMERGO_NN_OPEN, invalid, refused, tensor};
use crate::bytes::{Encoder, wasmergo_bytes};
use crate::error::Error;
use tract_core::internal::*;

/// Which input or output of a graph.
pub(super) enum Which {
    Index(usize),
    Named(String),
}

/// What to run.
pub(super) struct Request {
    pub inputs: Vec<(Which, Tensor)>,
    pub outputs: Vec<Which>,
}

impl Request {
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader(bytes);
        let mut request = Self {
            inputs: Vec::new(),
            outputs: Vec::new(),
        };
        for _ in 0..reader.u32()? {
            let which = reader.which()?;
            let of = tensor::datum_type(reader.u32()?)?;
            let shape: Vec<usize> = (0..reader.u32()?)
                .map(|_| reader.u64().map(|dim| dim as usize))
                .collect::<Result<_, _>>()?;
            let data = reader.bytes()?;
            let tensor = tensor::read(of, &shape, data)?;
            request.inputs.push((which, tensor));
        }
        for _ in 0..reader.u32()? {
            request.outputs.push(reader.which()?);
        }
        Ok(request)
    }

    pub fn tensors(self) -> Vec<Tensor> {
        self.inputs.into_iter().map(|(_, tensor)| tensor).collect()
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn next(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let (next, rest) = self
            .0
            .split_at_checked(len)
            .ok_or_else(|| invalid("the request is cut off"))?;
        self.0 = rest;
        Ok(next)
    }

    fn u32(&mut self) -> Result<u32, Error> {
        let bytes = self.next(4)?;
        Ok(u32::from_le_bytes(bytes.try_into().expect("four bytes")))
    }

    fn u64(&mut self) -> Result<u64, Error> {
        let bytes = self.next(8)?;
        Ok(u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
    }

    fn bytes(&mut self) -> Result<&'a [u8], Error> {
        let len = self.u32()?;
        self.next(len as usize)
    }

    fn which(&mut self) -> Result<Which, Error> {
        let index = self.u32()?;
        let name = self.bytes()?;
        Ok(match index {
            WASMERGO_NN_NAMED => Which::Named(String::from_utf8_lossy(name).into_owned()),
            index => Which::Index(index as usize),
        })
    }
}

/// The outputs as bytes.
pub(super) fn answer(outputs: &[TValue]) -> Result<Vec<u8>, Error> {
    let mut out = Encoder::default();
    for output in outputs {
        let cast;
        let mut tensor: &Tensor = output;
        if tensor.datum_type() == DatumType::TDim {
            cast = tensor.cast_to::<i64>().map_err(refused)?.into_owned();
            tensor = &cast;
        }
        let of = tensor.datum_type();
        let number = tensor::number(of).filter(|_| tensor.is_plain_ram());
        let number = number.ok_or_else(|| invalid(format!("an output is of type {of:?}")))?;
        let bytes = tensor.as_bytes();
        if u32::try_from(bytes.len()).is_err() {
            return Err(invalid("an output has more than 4 GiB"));
        }
        out.u32(number);
        out.u32(tensor.rank() as u32);
        tensor.shape().iter().for_each(|dim| out.u64(*dim as u64));
        out.bytes(bytes);
    }
    Ok(out.into_vec())
}

/// What a graph takes and gives.
pub(super) fn describe(graph: &Graph) -> wasmergo_bytes {
    let mut out = Encoder::default();
    for outlets in [&graph.inputs, &graph.outputs] {
        out.u32(outlets.len() as u32);
        for Outlet {
            name, of, shape, ..
        } in outlets
        {
            out.str(name);
            out.u32(of.and_then(tensor::number).unwrap_or(WASMERGO_NN_OPEN));
            match shape {
                None => out.u32(WASMERGO_NN_OPEN),
                Some(shape) => {
                    out.u32(shape.len() as u32);
                    for dim in shape {
                        out.u64(dim.map_or(u64::MAX, |dim| dim as u64));
                    }
                }
            }
        }
    }
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_are_cut_off_are_errors() {
        let mut whole = Encoder::default();
        whole.u32(1); // inputs
        whole.u32(WASMERGO_NN_NAMED);
        whole.str("x");
        whole.u32(1); // f32
        whole.u32(1);
        whole.u64(2);
        whole.bytes(&[0; 8]);
        whole.u32(1); // outputs
        whole.u32(0);
        whole.str("");
        let whole = whole.into_vec();
        assert!(Request::decode(&whole).is_ok());
        for len in 0..whole.len() {
            assert!(Request::decode(&whole[..len]).is_err());
        }
    }

    #[test]
    fn tensors_have_as_many_bytes_as_their_shape_says() {
        let of = DatumType::F32;
        assert!(tensor::read(of, &[2], &[0; 8]).is_ok());
        assert!(tensor::read(of, &[], &[0; 4]).is_ok());
        assert!(tensor::read(of, &[0, usize::MAX], &[]).is_ok());
        assert!(tensor::read(of, &[2], &[0; 7]).is_err());
        assert!(tensor::read(of, &[usize::MAX, 2], &[0; 8]).is_err());
    }
}
