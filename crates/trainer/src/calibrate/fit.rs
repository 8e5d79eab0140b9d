//! Fusion, learning and decision, each fitted on validation sessions.

use std::fmt::Write as _;

use anyhow::Result;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tandem_collaboration::{
    CollaborationError, Fusion, FusionFit, JudgedList, LanguageModelScore, Normalisation, Policy,
    Trigger, UpliftModel, UpliftSample, fit_alpha, fit_threshold,
};
use tandem_model::LearningConfig;
use tandem_session::Settings;

use crate::sessions::{Observed, SessionReplay, Sessions, expects, simulate};

/// A rule is judged on a fifth of the sessions that it was not fitted on.
const FOLDS: usize = 5;
/// Thresholds that are tried: no call gains or loses more than an NDCG.
const GAINS: (f32, f32) = (-1.0, 1.0);
/// Draws of the random baseline, of which the mean is reported.
const DRAWS: u64 = 20;

/// The best weight of the language model over every list at every click, and the number of
/// lists.
pub(crate) fn fusion(
    bench: &SessionReplay<'_>,
    sessions: &Sessions,
    settings: &Settings,
) -> Result<(FusionFit, usize)> {
    let (language_model, small_model) = match settings.fusion {
        Fusion::Weighted { language_model, small_model, .. } => (language_model, small_model),
        Fusion::Paper { .. } => (LanguageModelScore::LogProb, Normalisation::ZScore),
    };
    let settings = Settings { policy: Policy::bare(Trigger::Never), ..settings.clone() };
    let observed = bench.study(sessions, &settings, "fusion")?;
    let lists: Vec<JudgedList<'_>> = observed
        .iter()
        .flat_map(|session| &session.shown)
        .map(|shown| JudgedList {
            logprobs: &shown.logprobs,
            small_model: &shown.small_model,
            chosen: shown.chosen,
        })
        .collect();
    Ok((fit_alpha(&lists, language_model, small_model)?, lists.len()))
}

/// Ways of learning that are tried, the settings' own among them, each with NDCG@10 without a
/// call and with one after every click. The first learns nothing.
pub(crate) fn learning(
    bench: &SessionReplay<'_>,
    sessions: &Sessions,
    settings: &Settings,
) -> Result<Vec<(LearningConfig, [f64; 2])>> {
    let usual = &settings.learning;
    let behind = LearningConfig { row_rate: 0.0, adapter_rate: 0.0, ..usual.clone() };
    let nothing = LearningConfig { preference_rate: 0.0, ..behind.clone() };
    let twice = LearningConfig { preference_rate: 2.0 * usual.preference_rate, ..usual.clone() };
    let tried = [nothing, usual.clone(), behind, twice];
    let sessions = sessions.learning(true);
    let mut found = Vec::with_capacity(tried.len());
    for learning in tried {
        let mut ndcg = [0.0; 2];
        for (ndcg, trigger) in ndcg.iter_mut().zip([Trigger::Never, Trigger::Always]) {
            let policy = Policy::bare(trigger);
            let settings = Settings { learning: learning.clone(), policy, ..settings.clone() };
            *ndcg = bench.run(&sessions, &settings, "learning")?.ndcg10;
        }
        found.push((learning, ndcg));
    }
    Ok(found)
}

/// The best way of learning of those tried; of equals the first.
pub(crate) fn best(tried: &[(LearningConfig, [f64; 2])]) -> Option<&LearningConfig> {
    let value = |ndcg: &[f64; 2]| ndcg[0] + ndcg[1];
    let better = |best: &(LearningConfig, [f64; 2]), other: &(LearningConfig, [f64; 2])| {
        value(&other.1) > value(&best.1)
    };
    let best = tried.iter().reduce(|best, other| if better(best, other) { other } else { best });
    best.map(|(learning, _)| learning)
}

/// When to call, fitted on sessions in which every call was tried.
pub(crate) struct Decision {
    sessions: Vec<Observed>,
    /// The rule of the sessions but a fifth, by which that fifth is judged.
    folds: Vec<UpliftModel>,
    /// The rule of all.
    pub(crate) model: UpliftModel,
}

impl Decision {
    /// Tries every call, and fits a rule to what it gained over `horizon` clicks
    /// ([`UpliftModel::fit`]).
    pub(crate) fn fit(
        bench: &SessionReplay<'_>,
        sessions: &Sessions,
        settings: &Settings,
        (horizon, ridge): (usize, f64),
    ) -> Result<Self> {
        // With no weights there is evidence all the same.
        let asking = Trigger::Uplift { threshold: 0.0, model: UpliftModel::default() };
        let settings = Settings { policy: Policy::bare(asking), ..settings.clone() };
        let sessions = bench.study(sessions, &settings, "decision")?;
        let fit = |of: &dyn Fn(usize) -> bool| -> Result<UpliftModel, CollaborationError> {
            let kept = sessions.iter().enumerate().filter(|(number, _)| of(*number));
            let samples: Vec<UpliftSample> =
                kept.flat_map(|(_, session)| session.samples(horizon)).collect();
            UpliftModel::fit(&samples, ridge)
        };
        // A single session is judged by itself.
        let folds = FOLDS.min(sessions.len()).max(1);
        let rest = |fold| fit(&|number| folds == 1 || number % folds != fold);
        let folds = (0..folds).map(rest).collect::<Result<_, _>>()?;
        let model = fit(&|_| true)?;
        Ok(Self { sessions, folds, model })
    }

    /// NDCG@10 and share of the clicks that call, if those do from which the rule expects
    /// more than `threshold`.
    fn by_uplift(&self, threshold: f32) -> (f64, f64) {
        let of_fold = |session: usize| &self.folds[session % self.folds.len()];
        simulate(&self.sessions, expects(&self.sessions, of_fold, threshold))
    }

    /// The same, if those call after which the two orders are further apart than `threshold`.
    fn by_disagreement(&self, threshold: f32) -> (f64, f64) {
        simulate(&self.sessions, |session, made, at| {
            let evidence = self.sessions[session].evidence(made, at);
            evidence.is_some_and(|evidence| evidence.disagreement > threshold)
        })
    }

    /// The expected gain above which a share `budget` of the clicks calls.
    pub(crate) fn uplift_threshold(&self, budget: f64) -> Result<f32, CollaborationError> {
        fit_threshold(GAINS, budget, |threshold| Ok(self.by_uplift(threshold).1))
    }

    /// The disagreement above which a share `budget` of the clicks calls.
    pub(crate) fn disagreement_threshold(&self, budget: f64) -> Result<f32, CollaborationError> {
        fit_threshold((0.0, 1.0), budget, |threshold| Ok(self.by_disagreement(threshold).1))
    }

    /// What the rule is worth beside the baselines, each fifth of the sessions judged by the
    /// rule of the other four.
    pub(crate) fn table(&self, budget: f64, clicks: usize) -> Result<String> {
        let sessions = &self.sessions;
        let never = simulate(sessions, |_, _, _| false);
        let always = simulate(sessions, |_, _, _| true);
        let random: Vec<(f64, f64)> = (0..DRAWS)
            .map(|seed| {
                let mut rng = StdRng::seed_from_u64(seed);
                simulate(sessions, |_, _, _| rng.random_bool(budget))
            })
            .collect();
        let mean = |of: fn(&(f64, f64)) -> f64| random.iter().map(of).sum::<f64>() / DRAWS as f64;
        let every_kth = |k: usize| simulate(sessions, |_, _, at| at.is_multiple_of(k));
        // Of the fixed rhythms the one that comes nearest to the budget.
        let off_budget = |k: &usize| (every_kth(*k).1 - budget).abs();
        let k = (1..clicks).min_by(|a, b| off_budget(a).total_cmp(&off_budget(b))).unwrap_or(1);
        let (uplift, disagreement) =
            (self.uplift_threshold(budget)?, self.disagreement_threshold(budget)?);
        let rules = [
            ("never".to_owned(), never),
            ("random".to_owned(), (mean(|run| run.0), mean(|run| run.1))),
            (format!("every {k} clicks"), every_kth(k)),
            (format!("disagreement > {disagreement:.3}"), self.by_disagreement(disagreement)),
            (format!("learnt uplift > {uplift:.4}"), self.by_uplift(uplift)),
            ("always".to_owned(), always),
        ];
        let mut table = format!(
            "decision, on {} sessions:\n| rule | calls a click | NDCG@10 | of what always gains |\n|---|---|---|---|\n",
            sessions.len()
        );
        for (name, (ndcg, share)) in rules {
            let kept = (ndcg - never.0) / (always.0 - never.0) * 100.0;
            writeln!(table, "| {name} | {share:.3} | {ndcg:.4} | {kept:.0} % |")?;
        }
        Ok(table)
    }
}
