use std::vec;

use burn::{
    Tensor,
    module::{ModuleMapper, Param},
    tensor::TensorData,
};
use tandem_model::{ModelError, Parameter, parameters};

use crate::SequenceModel;

/// A moving average of the weights during training; it often ranks better than the weights
/// themselves (Polyak & Juditsky 1992; Izmailov et al. 2018).
pub(crate) struct Average<M> {
    pub(crate) model: M,
    pub(crate) rows: Vec<f32>,
    pub(crate) output: Option<Vec<f32>>,
}

impl<M: SequenceModel> Average<M> {
    /// `average ← average + share·(weights − average)`.
    pub(crate) fn step(
        &mut self,
        model: &M,
        rows: &[f32],
        output: Option<&[f32]>,
        share: f32,
    ) -> Result<(), ModelError> {
        let targets = parameters(model)?.into_iter();
        self.model = self.model.clone().map(&mut Towards { targets, share });
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

/// Moves each parameter towards its target. Burn visits the modules in a fixed order.
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
