use rand::{RngExt, SeedableRng, rngs::StdRng};
use tandem_collaboration::{
    Fusion, LanguageModelScore, Normalisation, Policy, Trigger, UpliftModel,
};
use tandem_session::Settings;

use super::{
    FittedFusion, FusionFit, LearningTrial, UpliftSample, best_learning, fit_learning,
    fit_threshold, fit_uplift,
};
use crate::{
    EvaluationError, ObservedSession, ScoredList, SessionReplay, Sessions,
    replay::{CallsAndQuality, simulate},
};

/// Clicks over which the gain of a call is averaged, unless something else is asked for.
pub const HORIZON: usize = 3;
/// Ridge (L2) penalty of the uplift regression, unless something else is asked for.
pub const RIDGE: f64 = 0.01;

/// Folds of the cross-validation: a rule is judged on a fifth of the sessions, fitted on the
/// others.
const FOLDS: usize = 5;
/// Thresholds of the expected gain: no call gains or loses more than an NDCG.
const GAINS: (f32, f32) = (-1.0, 1.0);
/// Seeds of the random baseline, whose mean is reported.
const DRAWS: u64 = 20;

/// What [`fit_session`] chooses; the rest of the settings stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FitChoices {
    /// The weight of the fusion.
    pub fusion: bool,
    /// The learning rates.
    pub learning: bool,
}

/// What [`fit_session`] chose, and what it chose from.
#[derive(Clone, Debug)]
pub struct SessionFit {
    /// The settings with everything that was chosen.
    pub settings: Settings,
    /// The fusion and the number of lists that it was fitted on, if it was chosen.
    pub fusion: Option<(FittedFusion, usize)>,
    /// The learning rates that were tried, if they were chosen.
    pub learning: Vec<LearningTrial>,
}

/// Chooses the fusion and then the learning rates on validation sessions.
///
/// The fusion is fitted on every list at every later click, on a device that does not learn:
/// how it learns is chosen afterwards, under that fusion. The scales are those of a weighted
/// fusion in the settings, else log-probability and z-score.
///
/// # Errors
/// As [`SessionReplay::observe`] and [`SessionReplay::run`].
pub fn fit_session(
    replay: &SessionReplay<'_>,
    validation: &Sessions,
    settings: &Settings,
    choices: FitChoices,
) -> Result<SessionFit, EvaluationError> {
    let mut settings = settings.clone();
    let fusion = if choices.fusion {
        let found = fit_fusion(replay, &validation.learning(false), &settings)?;
        settings.fusion = found.0.fusion;
        Some(found)
    } else {
        None
    };
    let learning =
        if choices.learning { fit_learning(replay, validation, &settings)? } else { Vec::new() };
    if let Some(best) = best_learning(&learning) {
        settings.learning = best.clone();
    }
    Ok(SessionFit { settings, fusion, learning })
}

fn fit_fusion(
    replay: &SessionReplay<'_>,
    sessions: &Sessions,
    settings: &Settings,
) -> Result<(FittedFusion, usize), EvaluationError> {
    let scales = match settings.fusion {
        Fusion::Weighted { language_model, small_model, .. } => (language_model, small_model),
        Fusion::Paper { .. } => (LanguageModelScore::LogProb, Normalisation::ZScore),
    };
    let settings = Settings { policy: Policy::bare(Trigger::Never), ..settings.clone() };
    let observed = replay.observe(sessions, &settings, "fusion")?;
    let lists: Vec<&ScoredList> = observed.iter().flat_map(|session| &session.lists).collect();
    let fit = FusionFit::over(&lists, &[scales])?;
    let none = || EvaluationError::parameter("the number of fusions", "at least 1", 0.0);
    Ok((fit.highest().ok_or_else(none)?, lists.len()))
}

/// The decision about calls, fitted on validation sessions in which every call was tried.
#[derive(Clone, Debug)]
pub struct DecisionFit {
    sessions: Vec<ObservedSession>,
    /// For each fold, the rule fitted on the other folds.
    folds: Vec<UpliftModel>,
    /// The rule fitted on all sessions.
    pub model: UpliftModel,
}

/// A rule of [`DecisionFit::outcomes`] on the validation sessions.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleOutcome {
    /// The rule with its threshold, for people.
    pub name: String,
    /// Share of the decisions that called.
    pub call_share: f64,
    /// NDCG@10, mean over clicks.
    pub ndcg10: f64,
    /// Share of the gain of calling always over calling never; `None` if calling always gains
    /// nothing.
    pub gain_share: Option<f64>,
}

impl DecisionFit {
    /// Tries every call in every session, and fits a rule to the gain over `horizon` clicks
    /// with the penalty `ridge` ([`fit_uplift`]). `None` if there is nothing to fit a rule to: the
    /// lists hold every item of the catalogue, or no session has a second click.
    ///
    /// # Errors
    /// As [`SessionReplay::observe`] and [`fit_uplift`].
    pub fn fit(
        replay: &SessionReplay<'_>,
        sessions: &Sessions,
        settings: &Settings,
        (horizon, ridge): (usize, f64),
    ) -> Result<Option<Self>, EvaluationError> {
        // The evidence is the same with any weights.
        let trigger = Trigger::Uplift { threshold: 0.0, model: UpliftModel::default() };
        let settings = Settings { policy: Policy::bare(trigger), ..settings.clone() };
        let sessions = replay.observe(sessions, &settings, "decision")?;
        let has_samples = |session: &ObservedSession| session.samples(horizon).next().is_some();
        // Sessions with samples first, so that they are in every fold.
        let (mut sessions, rest): (Vec<_>, Vec<_>) = sessions.into_iter().partition(has_samples);
        let informative = sessions.len();
        sessions.extend(rest);
        if informative == 0 {
            return Ok(None);
        }
        let fit = |is_kept: &dyn Fn(usize) -> bool| {
            let kept = sessions.iter().enumerate().filter(|(number, _)| is_kept(*number));
            let samples: Vec<UpliftSample> =
                kept.flat_map(|(_, session)| session.samples(horizon)).collect();
            fit_uplift(&samples, ridge)
        };
        // A single session is judged by the rule fitted on it.
        let folds = FOLDS.min(informative);
        let rest = |fold| fit(&|number| folds == 1 || number % folds != fold);
        let folds = (0..folds).map(rest).collect::<Result<_, _>>()?;
        let model = fit(&|_| true)?;
        Ok(Some(Self { sessions, folds, model }))
    }

    /// The expected gain above which a share `budget` of the clicks calls.
    ///
    /// # Errors
    /// [`EvaluationError::Parameter`] for a budget outside 0 to 1.
    pub fn uplift_threshold(&self, budget: f64) -> Result<f32, EvaluationError> {
        fit_threshold(GAINS, budget, |threshold| Ok(self.by_uplift(threshold).call_share))
    }

    /// The disagreement above which a share `budget` of the clicks calls.
    ///
    /// # Errors
    /// [`EvaluationError::Parameter`] for a budget outside 0 to 1.
    pub fn disagreement_threshold(&self, budget: f64) -> Result<f32, EvaluationError> {
        let share = |threshold| Ok(self.by_disagreement(threshold).call_share);
        fit_threshold((0.0, 1.0), budget, share)
    }

    /// The rule beside the baselines at a call budget, in sessions of `clicks` clicks. Each
    /// fold is judged by the rule fitted on the others.
    ///
    /// # Errors
    /// [`EvaluationError::Parameter`] for a budget outside 0 to 1.
    pub fn outcomes(
        &self,
        budget: f64,
        clicks: usize,
    ) -> Result<Vec<RuleOutcome>, EvaluationError> {
        let sessions = &self.sessions;
        let (uplift, disagreement) =
            (self.uplift_threshold(budget)?, self.disagreement_threshold(budget)?);
        let never = simulate(sessions, |_, _, _| false);
        let always = simulate(sessions, |_, _, _| true);
        let random: Vec<CallsAndQuality> = (0..DRAWS)
            .map(|seed| {
                let mut rng = StdRng::seed_from_u64(seed);
                simulate(sessions, |_, _, _| rng.random_bool(budget))
            })
            .collect();
        let mean =
            |of: fn(&CallsAndQuality) -> f64| random.iter().map(of).sum::<f64>() / DRAWS as f64;
        let random =
            CallsAndQuality { ndcg10: mean(|it| it.ndcg10), call_share: mean(|it| it.call_share) };
        let every_kth = |k: usize| simulate(sessions, |_, _, at| at.is_multiple_of(k));
        // Of the fixed intervals the one closest to the budget.
        let off_budget = |k: &usize| (every_kth(*k).call_share - budget).abs();
        let k = (1..clicks).min_by(|a, b| off_budget(a).total_cmp(&off_budget(b))).unwrap_or(1);
        let rules = [
            ("never".to_owned(), never),
            ("random".to_owned(), random),
            (format!("every {k} clicks"), every_kth(k)),
            (format!("disagreement > {disagreement:.3}"), self.by_disagreement(disagreement)),
            (format!("learnt uplift > {uplift:.4}"), self.by_uplift(uplift)),
            ("always".to_owned(), always),
        ];
        let outcome = |(name, CallsAndQuality { call_share, ndcg10 })| {
            let gain = always.ndcg10 - never.ndcg10;
            let gain_share = (gain > 0.0).then(|| (ndcg10 - never.ndcg10) / gain);
            RuleOutcome { name, call_share, ndcg10, gain_share }
        };
        Ok(rules.into_iter().map(outcome).collect())
    }

    /// Calls where the rule expects more than `threshold`.
    fn by_uplift(&self, threshold: f32) -> CallsAndQuality {
        simulate(&self.sessions, |session, made, at| {
            let rule = &self.folds[session % self.folds.len()];
            let evidence = self.sessions[session].evidence(made, at);
            evidence.is_some_and(|evidence| rule.predict(evidence) > threshold)
        })
    }

    /// Calls where the two orders disagree by more than `threshold`.
    fn by_disagreement(&self, threshold: f32) -> CallsAndQuality {
        simulate(&self.sessions, |session, made, at| {
            let evidence = self.sessions[session].evidence(made, at);
            evidence.is_some_and(|evidence| evidence.disagreement > threshold)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_share_of_a_gain_where_calls_gain_nothing() {
        let model = UpliftModel::default();
        let decision =
            DecisionFit { sessions: vec![ObservedSession::default()], folds: vec![model], model };
        let outcomes = decision.outcomes(0.5, 3).unwrap();
        assert_eq!(outcomes.len(), 6);
        assert!(outcomes.iter().all(|outcome| outcome.gain_share.is_none()), "{outcomes:?}");
    }
}
