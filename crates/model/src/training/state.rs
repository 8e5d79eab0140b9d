use std::io::{self, Read, Write};

use burn::{optim::OptimizerRecord, store::ModuleRecord, tensor::Bytes};

use super::{
    Encoder, Trainer,
    average::Average,
    rows::{read_floats, write_floats},
};
use crate::ModelError;

impl<E: Encoder> Trainer<E> {
    /// Writes all that coming steps depend on: weights, the optimisers' states, the average,
    /// the number of steps. `out` should be buffered.
    ///
    /// # Errors
    /// What `out` fails with.
    pub fn save(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&self.steps.to_le_bytes())?;
        // Its own weights, not the average.
        write_module(out, &self.encoder)?;
        write_block(out, &self.optimizer.into_bytes().map_err(io::Error::other)?)?;
        self.items.save(out)?;
        if let Some(output) = &self.output {
            output.save(out)?;
        }
        out.write_all(&[u8::from(self.average.is_some())])?;
        if let Some(average) = &self.average {
            write_module(out, &average.encoder)?;
            write_floats(out, &average.rows)?;
            write_floats(out, average.output.as_deref().unwrap_or_default())?;
        }
        Ok(())
    }

    /// Goes on from where the trainer that was [saved](Self::save) stood: with the same
    /// configuration, the steps from here are those that it would have taken.
    ///
    /// # Errors
    /// [`ModelError::Format`] if the bytes are damaged or of another model; this one must
    /// then no longer be used.
    pub fn restore(&mut self, input: &mut impl Read) -> Result<(), ModelError> {
        let damaged = |error: &dyn std::fmt::Display| {
            ModelError::Format(format!("the state of a training is damaged: {error}"))
        };
        let mut steps = [0; 8];
        input.read_exact(&mut steps).map_err(|error| damaged(&error))?;
        self.steps = u64::from_le_bytes(steps);
        // The parameters' ids come along, by which the optimiser finds its state.
        self.encoder = read_module(input, self.encoder.clone()).map_err(|error| damaged(&error))?;
        let optimizer = read_block(input).map_err(|error| damaged(&error))?;
        let optimizer = OptimizerRecord::from_bytes(Bytes::from_bytes_vec(optimizer))
            .map_err(|error| damaged(&error))?;
        self.optimizer = self.optimizer.clone().load_record(optimizer);
        self.items.restore(input).map_err(|error| damaged(&error))?;
        if let Some(output) = &mut self.output {
            output.restore(input).map_err(|error| damaged(&error))?;
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

    fn read_average(&self, input: &mut impl Read) -> io::Result<Average<E>> {
        let encoder = read_module(input, self.encoder.valid())?;
        let mut rows = vec![0.0; self.items.len() * self.dims];
        read_floats(input, &mut rows)?;
        let mut output = self.output.as_ref().map(|_| vec![0.0; rows.len()]);
        read_floats(input, output.as_deref_mut().unwrap_or_default())?;
        Ok(Average { encoder, rows, output })
    }
}

fn write_module<E: Encoder>(out: &mut impl Write, module: &E) -> io::Result<()> {
    write_block(out, &module.clone().into_record().into_bytes().map_err(io::Error::other)?)
}

fn read_module<E: Encoder>(input: &mut impl Read, module: E) -> io::Result<E> {
    let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(read_block(input)?))
        .map_err(io::Error::other)?;
    module.try_load_record(record).map_err(io::Error::other)
}

/// A length and so many bytes.
fn write_block(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(&(bytes.len() as u64).to_le_bytes())?;
    out.write_all(bytes)
}

fn read_block(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 8];
    input.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    let mut bytes = Vec::new();
    // `take` rather than a buffer of a length that may be damaged.
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
    use crate::{
        Decoder, DecoderConfig,
        training::{Objective, Rates, TrainingConfig},
    };

    fn trainer(untied: bool) -> Trainer<Decoder> {
        let config = DecoderConfig { kv_heads: 1, ..DecoderConfig::usual(8, 1, 2, 4) };
        let objective = Objective::SampledSoftmax { negatives: 3 };
        let training = TrainingConfig { objective, untied, ..TrainingConfig::default() };
        // Without dropout: on the CPU it draws from one source for all tests of the process.
        let build = |device: &Device| Decoder::new(&config, 0.0, device);
        Trainer::new(build, (12, 8), 4, training, &Device::flex()).unwrap()
    }

    /// Losses of steps over the users' items, with an average from the first one on.
    fn train(trainer: &mut Trainer<Decoder>, users: std::ops::Range<u32>) -> Vec<f32> {
        let step = |user: u32| {
            let items = [user % 12, (user + 5) % 12, (user + 7) % 12];
            let loss = trainer.step(&[&items], Rates { encoder: 0.01, rows: 0.02 }).unwrap();
            trainer.average(0.3).unwrap();
            loss
        };
        users.map(step).collect()
    }

    #[test]
    fn a_restored_training_goes_on_as_if_it_had_not_stopped() {
        for untied in [false, true] {
            let mut whole = trainer(untied);
            train(&mut whole, 0..6);
            let mut state = Vec::new();
            whole.save(&mut state).unwrap();
            let expected = train(&mut whole, 6..12);

            let mut resumed = trainer(untied);
            train(&mut resumed, 3..4); // What it did before must not matter.
            resumed.restore(&mut state.as_slice()).unwrap();
            assert_eq!(resumed.steps(), 6);
            for (found, expected) in train(&mut resumed, 6..12).iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-5, "{found} {expected}");
            }
            let scores = |trainer: &Trainer<Decoder>| trainer.score(&[&[3, 4]]).unwrap().remove(0);
            for (found, expected) in scores(&resumed).iter().zip(scores(&whole)) {
                assert!((found - expected).abs() < 1e-5, "of the average: {found} {expected}");
            }
        }
    }

    #[test]
    fn a_state_that_is_cut_short_or_of_another_model_is_refused() {
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
    fn an_average_is_between_where_it_was_and_the_weights() {
        let mut trainer = trainer(true);
        let start = trainer.rows().to_vec();
        trainer.average(1.0).unwrap();
        trainer.step(&[&[1, 2, 3]], Rates { encoder: 0.1, rows: 0.1 }).unwrap();
        assert_eq!(trainer.rows(), start, "it moves when it is told to");
        let before = crate::parameters(&trainer.encoder()).unwrap();
        let weights = trainer.items.values();
        trainer.average(0.25).unwrap();
        for ((average, start), weight) in trainer.rows().iter().zip(&start).zip(&weights) {
            assert!((average - (0.75 * start + 0.25 * weight)).abs() < 1e-6);
        }
        let weights = crate::parameters(&trainer.encoder.valid()).unwrap();
        let averages = crate::parameters(&trainer.encoder()).unwrap();
        for ((average, before), weight) in averages.iter().zip(&before).zip(&weights) {
            for at in 0..average.values.len() {
                let expected = 0.75 * before.values[at] + 0.25 * weight.values[at];
                assert!((average.values[at] - expected).abs() < 1e-6, "{}", average.name);
            }
        }
    }
}
