use std::vec;

use burn::{
    Tensor,
    module::{ModuleMapper, Param},
    tensor::TensorData,
};

use super::Encoder;
use crate::{ModelError, Parameter, parameters};

/// A moving average of a training's weights: it often ranks better than any of them
/// (Polyak & Juditsky 1992; Izmailov et al. 2018).
pub(super) struct Average<E> {
    pub(super) encoder: E,
    pub(super) rows: Vec<f32>,
    pub(super) output: Option<Vec<f32>>,
}

impl<E: Encoder> Average<E> {
    /// Goes `share` of the way towards these weights.
    pub(super) fn step(
        &mut self,
        encoder: &E,
        rows: &[f32],
        output: Option<&[f32]>,
        share: f32,
    ) -> Result<(), ModelError> {
        let targets = parameters(encoder)?.into_iter();
        self.encoder = self.encoder.clone().map(&mut Towards { targets, share });
        blend(&mut self.rows, rows, share);
        if let (Some(average), Some(output)) = (&mut self.output, output) {
            blend(average, output, share);
        }
        Ok(())
    }
}

fn blend(average: &mut [f32], towards: &[f32], share: f32) {
    for (average, towards) in average.iter_mut().zip(towards) {
        *average += share * (towards - *average);
    }
}

/// Moves each parameter towards its target; modules are walked in one order always.
struct Towards {
    targets: vec::IntoIter<Parameter>,
    share: f32,
}

impl ModuleMapper for Towards {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(Parameter { shape, values, .. }) = self.targets.next() else { return param };
        let share = self.share;
        param.map(|average| {
            let towards = Tensor::from_data(TensorData::new(values, shape), &average.device());
            average.clone() + (towards - average) * share
        })
    }
}
