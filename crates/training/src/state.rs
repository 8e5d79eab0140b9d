use std::io::{self, Read, Write};

use burn::{optim::OptimizerRecord, store::ModuleRecord, tensor::Bytes};

use tandem_model::ModelError;

use crate::{
    SequenceModel, Trainer,
    average::Average,
    lazy_adam::{read_floats, write_floats},
};

impl<M: SequenceModel> Trainer<M> {
    /// Writes everything that later steps depend on: weights, optimiser states, the moving
    /// average and the number of steps. `out` should be buffered.
    ///
    /// # Errors
    /// The I/O error of `out`.
    pub fn save(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&self.steps.to_le_bytes())?;
        // The trained weights, not the average.
        write_module(out, &self.model)?;
        write_block(out, &self.optimizer.into_bytes().map_err(io::Error::other)?)?;
        self.items.save(out)?;
        if let Some(output) = &self.output {
            output.save(out)?;
        }
        if let Some(text) = &self.text {
            text.save(out)?;
        }
        out.write_all(&[u8::from(self.average.is_some())])?;
        if let Some(average) = &self.average {
            write_module(out, &average.model)?;
            write_floats(out, &average.rows)?;
            write_floats(out, average.output.as_deref().unwrap_or_default())?;
        }
        Ok(())
    }

    /// Restores a [saved](Self::save) state. With the same configuration, later steps are the
    /// same as without the interruption.
    ///
    /// # Errors
    /// [`ModelError::Format`] if the bytes are damaged or of another model; the trainer must
    /// not be used afterwards.
    pub fn restore(&mut self, input: &mut impl Read) -> Result<(), ModelError> {
        let damaged = |error: &dyn std::fmt::Display| {
            ModelError::Format(format!("the saved training state is damaged: {error}"))
        };
        let mut steps = [0; 8];
        input.read_exact(&mut steps).map_err(|error| damaged(&error))?;
        self.steps = u64::from_le_bytes(steps);
        // The record contains the parameter ids that the optimiser state refers to.
        self.model = read_module(input, self.model.clone()).map_err(|error| damaged(&error))?;
        let optimizer = read_block(input).map_err(|error| damaged(&error))?;
        let optimizer = OptimizerRecord::from_bytes(Bytes::from_bytes_vec(optimizer))
            .map_err(|error| damaged(&error))?;
        self.optimizer = self.optimizer.clone().load_record(optimizer);
        self.items.restore(input).map_err(|error| damaged(&error))?;
        if let Some(output) = &mut self.output {
            output.restore(input).map_err(|error| damaged(&error))?;
        }
        if let Some(text) = &mut self.text {
            text.restore(input).map_err(|error| damaged(&error))?;
        }
        let mut averaged = [0];
        input.read_exact(&mut averaged).map_err(|error| damaged(&error))?;
        self.average = None;
        if averaged == [1] {
            let average = self.read_average(input).map_err(|error| damaged(&error))?;
            self.average = Some(average);
        }
        Ok(())
    }

    fn read_average(&self, input: &mut impl Read) -> io::Result<Average<M>> {
        let model = read_module(input, self.model.valid())?;
        let mut rows = vec![0.0; self.items.len() * self.dims];
        read_floats(input, &mut rows)?;
        let mut output = self.output.as_ref().map(|_| vec![0.0; rows.len()]);
        read_floats(input, output.as_deref_mut().unwrap_or_default())?;
        Ok(Average { model, rows, output })
    }
}

fn write_module<M: SequenceModel>(out: &mut impl Write, module: &M) -> io::Result<()> {
    write_block(out, &module.clone().into_record().into_bytes().map_err(io::Error::other)?)
}

fn read_module<M: SequenceModel>(input: &mut impl Read, module: M) -> io::Result<M> {
    let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(read_block(input)?))
        .map_err(io::Error::other)?;
    module.try_load_record(record).map_err(io::Error::other)
}

/// A `u64` length, then the bytes.
fn write_block(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(&(bytes.len() as u64).to_le_bytes())?;
    out.write_all(bytes)
}

fn read_block(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 8];
    input.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    let mut bytes = Vec::new();
    // Not a buffer of `length`, which may be damaged and huge.
    let read = input.take(length).read_to_end(&mut bytes)?;
    if read as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use burn::{module::Module, tensor::Device};

    use super::*;
    use tandem_generator::item_tokens::DecoderConfig;

    use crate::{Decoder, Objective, Rates, TrainingConfig};

    fn trainer(untied: bool) -> Trainer<Decoder> {
        let config = DecoderConfig { kv_heads: 1, ..DecoderConfig::usual(8, 1, 2, 4) };
        let objective = Objective::SampledSoftmax { negatives: 3 };
        let training = TrainingConfig { objective, untied, ..TrainingConfig::default() };
        // No dropout: on the CPU it uses one random generator for the whole process.
        let build = |device: &Device| Decoder::new(&config, 0.0, device);
        Trainer::new(build, (12, 8), 4, training, &Device::flex()).unwrap()
    }

    /// Losses of steps over the users, with a moving average from the first step.
    fn train(trainer: &mut Trainer<Decoder>, users: std::ops::Range<u32>) -> Vec<f32> {
        let step = |user: u32| {
            let items = [user % 12, (user + 5) % 12, (user + 7) % 12];
            let loss = trainer.step(&[&items], Rates { network: 0.01, rows: 0.02 }).unwrap();
            trainer.average(0.3).unwrap();
            loss
        };
        users.map(step).collect()
    }

    #[test]
    fn a_restored_training_continues_with_the_same_steps() {
        for untied in [false, true] {
            let mut whole = trainer(untied);
            train(&mut whole, 0..6);
            let mut state = Vec::new();
            whole.save(&mut state).unwrap();
            let expected = train(&mut whole, 6..12);

            let mut resumed = trainer(untied);
            train(&mut resumed, 3..4); // Earlier steps must not matter.
            resumed.restore(&mut state.as_slice()).unwrap();
            assert_eq!(resumed.steps(), 6);
            for (found, expected) in train(&mut resumed, 6..12).iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-5, "{found} {expected}");
            }
            let scores = |trainer: &Trainer<Decoder>| trainer.score(&[&[3, 4]]).unwrap().remove(0);
            for (found, expected) in scores(&resumed).iter().zip(scores(&whole)) {
                assert!((found - expected).abs() < 1e-5, "average: {found} {expected}");
            }
        }
    }

    #[test]
    fn a_truncated_state_or_one_of_another_model_is_refused() {
        let mut state = Vec::new();
        trainer(false).save(&mut state).unwrap();
        for length in [0, 4, 20, state.len() / 2, state.len() - 1] {
            let error = trainer(false).restore(&mut &state[..length]).unwrap_err();
            assert!(matches!(error, ModelError::Format(_)), "{error}");
        }
        let config = DecoderConfig::usual(8, 2, 2, 4);
        let build = |device: &Device| Decoder::new(&config, 0.0, device);
        let size = (12, 8);
        let mut other =
            Trainer::new(build, size, 4, TrainingConfig::default(), &Device::flex()).unwrap();
        assert!(matches!(other.restore(&mut state.as_slice()), Err(ModelError::Format(_))));
    }

    #[test]
    fn an_average_step_moves_towards_the_weights() {
        let mut trainer = trainer(true);
        let start = trainer.rows().to_vec();
        trainer.average(1.0).unwrap();
        trainer.step(&[&[1, 2, 3]], Rates { network: 0.1, rows: 0.1 }).unwrap();
        assert_eq!(trainer.rows(), start, "a step does not change the average");
        let before = tandem_model::parameters(&trainer.model()).unwrap();
        let weights = trainer.items.values();
        trainer.average(0.25).unwrap();
        for ((average, start), weight) in trainer.rows().iter().zip(&start).zip(&weights) {
            assert!((average - (0.75 * start + 0.25 * weight)).abs() < 1e-6);
        }
        let weights = tandem_model::parameters(&trainer.model.valid()).unwrap();
        let averages = tandem_model::parameters(&trainer.model()).unwrap();
        for ((average, before), weight) in averages.iter().zip(&before).zip(&weights) {
            for at in 0..average.values.len() {
                let expected = 0.75 * before.values[at] + 0.25 * weight.values[at];
                assert!((average.values[at] - expected).abs() < 1e-6, "{}", average.name);
            }
        }
    }
}
