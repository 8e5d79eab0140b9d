//! `tandem evaluate --protocol standard`: the protocol of published figures.

use std::{convert::Infallible, error::Error, path::Path};

use anyhow::Result;
use tandem_dataset::{
    Dataset, ItemIndex,
    counts::{CoOccurrence, Popularity},
};
use tandem_evaluation::{History, Part, ResultRow, StandardProtocol};

#[cfg(feature = "llama")]
use super::strata::Strata;
use super::{
    Evaluate,
    rows::{Origin, publish},
};
use crate::{
    calibration::Calibration,
    failure::BadInput,
    small_model::{SmallModel, bar},
};

pub(super) fn run(args: &Evaluate) -> Result<()> {
    let part = args.part.into();
    let dataset = Dataset::load(&args.data)?;
    let users = StandardProtocol { part, history: History::Kept }.targets(&dataset).len();
    if users == 0 {
        let text = format!(
            "{}: expected a user with the 3 items that a held-out target needs, found none; import more data",
            args.data.display()
        );
        return Err(BadInput(text).into());
    }
    let origin = Origin::new(args, part, &dataset);
    let mut measurement = Measurement { dataset: &dataset, origin, users, rows: Vec::new() };
    measurement.baselines()?;
    if let Some(path) = &args.srm {
        let model = SmallModel::read(path, &dataset, &Calibration::default())?;
        let from = measurement.rows.len();
        measurement.measure(&model.row_name(), false, |histories| model.score_all(histories))?;
        for row in &mut measurement.rows[from..] {
            row.small_model = Some(model.kind().to_owned());
            row.variant.clone_from(&args.srm_variant);
        }
    }
    if let Some(path) = &args.gguf {
        measurement.language_model(path, args.signals.as_deref(), &args.variant)?;
    }
    publish(args, &measurement.rows)
}

/// The dataset and the rows measured so far.
struct Measurement<'a> {
    dataset: &'a Dataset,
    origin: Origin<'a>,
    users: usize,
    rows: Vec<ResultRow>,
}

impl Measurement<'_> {
    /// Measures popularity and co-occurrence, counted on the training part and, for the test,
    /// once more with the validation targets. As in published figures, co-occurrence is always
    /// relative to the popularity of the training part.
    fn baselines(&mut self) -> Result<()> {
        let (dataset, items) = (self.dataset, self.dataset.catalogue.len());
        let refits: &[bool] = match self.origin.part {
            Part::Validation => &[false],
            Part::Test => &[false, true],
        };
        let train = Popularity::fit(items, dataset.sequences.iter().map(|s| s.split().train));
        for &refit in refits {
            let log = || {
                dataset.sequences.iter().map(|sequence| {
                    let split = sequence.split();
                    split.test.filter(|_| refit).map_or(split.train, |test| test.history)
                })
            };
            let popularity = Popularity::fit(items, log()).scores();
            self.measure("popularity", refit, |histories: &[&[ItemIndex]]| {
                Ok::<_, Infallible>(vec![popularity.clone(); histories.len()])
            })?;
            let pairs = CoOccurrence::fit(log(), &train);
            self.measure("co-occurrence", refit, |histories: &[&[ItemIndex]]| {
                Ok::<_, Infallible>(histories.iter().map(|items| pairs.scores(items)).collect())
            })?;
        }
        // Counting has no seed.
        for row in &mut self.rows {
            row.seed = None;
        }
        Ok(())
    }

    /// Measures one model, with the history removed from the ranking and with it kept.
    fn measure<E: Into<Box<dyn Error + Send + Sync>>>(
        &mut self,
        name: &str,
        refit: bool,
        score: impl Fn(&[&[ItemIndex]]) -> Result<Vec<Vec<f32>>, E> + Sync,
    ) -> Result<()> {
        for history in [History::Removed, History::Kept] {
            let bar = bar(self.users, name);
            let protocol = StandardProtocol { part: self.origin.part, history };
            let report = protocol.run(self.dataset, |users| bar.inc(users as u64), &score)?;
            bar.finish_and_clear();
            if report.non_finite > 0 {
                crate::terminal::note(format_args!(
                    "{name}: {} scores were not finite and ranked last",
                    report.non_finite
                ));
            }
            let row = self.origin.of_metrics(name, report.metrics)?;
            self.rows.push(ResultRow { refit, history, ..row });
        }
        Ok(())
    }

    /// Measures a language model as the cloud hosts it, with one list for each user. It removes
    /// the history before it ranks, unless items are repeated, so there is one row only.
    #[cfg(feature = "llama")]
    fn language_model(&mut self, path: &Path, signals: Option<&Path>, variant: &str) -> Result<()> {
        use tandem_evaluation::CUTOFFS;
        use tandem_generator::{
            LoadOptions, Model, Query,
            ranking_signals::{RankingSignals, SignalsInfo},
        };

        let refit = self.was_refit(path)?;
        let catalogue = std::sync::Arc::new(self.dataset.catalogue.clone());
        let repeats = self.dataset.repeats;
        let mut model =
            Model::load(path, catalogue, &LoadOptions { repeats, ..Default::default() })?;
        let mut refit = refit;
        if let Some(folder) = signals {
            let counted = SignalsInfo::read(folder)?.hold_out;
            refit |= self.refit_by(folder, counted)?;
            let signals = RankingSignals::read(folder, &self.dataset.catalogue)?;
            model = model.with_signals(std::sync::Arc::new(signals))?;
        }
        let mut generator = model.generator()?;
        let history = History::of(self.dataset);
        let protocol = StandardProtocol { part: self.origin.part, history };
        let targets = protocol.targets(self.dataset);
        let bar = bar(targets.len(), &model.info().name);
        // Ranks beyond the last cut-off are misses.
        let k = CUTOFFS.into_iter().max().unwrap_or(0);
        let mut ranks = Vec::with_capacity(targets.len());
        for held in targets {
            let items = crate::candidate_lists::distinct(held.history);
            let list = generator.generate(&Query {
                history: &items,
                exclude: &[],
                only: None,
                added: None,
                k,
            })?;
            ranks.push(list.candidates.iter().position(|ranked| ranked.item == held.target));
            bar.inc(1);
        }
        bar.finish_and_clear();
        let row = self.origin.row(&format!("llm-{variant}"), &ranks)?;
        let whole = ResultRow { refit, history, ..row };
        self.rows.extend(self.strata().rows(&self.origin, whole, &ranks)?);
        Ok(())
    }

    /// The parts of the users, with targets in the order of the users.
    #[cfg(feature = "llama")]
    fn strata(&self) -> Strata {
        let users = self.dataset.sequences.iter().enumerate();
        let targets: Vec<(usize, usize)> = users
            .filter_map(|(user, sequence)| {
                let split = sequence.split();
                let held = match self.origin.part {
                    Part::Validation => split.validation,
                    Part::Test => split.test,
                };
                Some((user, held?.history.len()))
            })
            .collect();
        Strata::of(self.dataset, &targets)
    }

    /// Whether a model of item tokens was trained on the validation targets as well, according
    /// to its file. A text model has not seen the log.
    ///
    /// # Errors
    /// [`BadInput`] if the model was trained on the targets that it is measured on.
    #[cfg(feature = "llama")]
    fn was_refit(&self, path: &Path) -> Result<bool> {
        let left_out = crate::language_model::left_out(path)?;
        left_out.map_or(Ok(false), |left_out| self.refit_by(path, left_out))
    }

    /// Whether a file that left out the newest `left_out` items of each user knows the validation
    /// targets.
    ///
    /// # Errors
    /// [`BadInput`] if it knows the targets that are measured.
    #[cfg(feature = "llama")]
    fn refit_by(&self, path: &Path, left_out: usize) -> Result<bool> {
        let wanted = match self.origin.part {
            Part::Validation => 2,
            Part::Test => 1,
        };
        if left_out < wanted {
            let text = format!(
                "{}: expected a file made without the newest {wanted} items of each user, found one that left out {left_out}; make it again with --hold-out {wanted}",
                path.display()
            );
            return Err(BadInput(text).into());
        }
        Ok(left_out < 2)
    }

    #[cfg(not(feature = "llama"))]
    fn language_model(
        &mut self,
        path: &Path,
        _signals: Option<&Path>,
        _variant: &str,
    ) -> Result<()> {
        let text = format!(
            "{}: this build has no language model: build with --features llama",
            path.display()
        );
        Err(BadInput(text).into())
    }
}
