use rayon::prelude::*;
use tandem_collaboration::{Consistency, Fusion, UpliftEvidence};

use super::{PaperUser, Requests, asking, share_of};
use crate::{
    EvaluationError, History, ScoredList,
    fitting::{FusionFit, RIDGE, SCALES, UpliftSample, fit_uplift, threshold_for},
    ndcg,
};

/// Measures of disagreement; one is chosen on validation targets.
const MEASURES: [Consistency; 4] = [
    Consistency::Footrule,
    Consistency::KendallTau,
    Consistency::RankBiasedOverlap { p: 0.9 },
    Consistency::TopKOverlap { k: 10 },
];

/// Name of the rows with random requests.
const RANDOM: &str = "fusion-random";
/// Name of the rows whose requests are those with the largest gain. No device knows the gain:
/// they are the upper bound of every rule.
const ORACLE: &str = "fusion-oracle";

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options<'a> {
    /// Name of the rows of the small model, for instance `srm-sasrec`.
    pub small_model: &'a str,
    /// Call budgets: shares of users that may request a list. 0 and 1 are always measured.
    pub budgets: &'a [f64],
    /// Seed of the random requests.
    pub seed: u64,
    /// Whether the device learns from the clicks (adaptive re-training).
    pub learning: bool,
}

/// One row: the ranks of all targets, and the choices behind them.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Name of the row.
    pub name: String,
    /// Whether items that were consumed since the list was made are still ranked.
    pub history: History,
    /// The fusion, if both models rank. A weighted one is fitted on validation targets.
    pub fusion: Option<Fusion>,
    /// The measure of disagreement, chosen on validation targets.
    pub consistency: Option<Consistency>,
    /// Users above it request a list.
    pub threshold: Option<f32>,
    /// Share of users that may request a list.
    pub budget: f64,
    /// Share of users that requested a list.
    pub calls: f64,
    /// Ranks of the targets, in the order of the users.
    pub ranks: Vec<Option<usize>>,
}

/// The fits of the fusion on the validation users' lists without a request and after one.
pub(super) struct PaperFit {
    stale: FusionFit,
    fresh: FusionFit,
}

impl PaperFit {
    pub(super) fn over(validation: &[PaperUser]) -> Result<Self, EvaluationError> {
        let fit = |fresh| {
            let lists: Vec<&ScoredList> = validation.iter().map(|user| list(user, fresh)).collect();
            FusionFit::over(&lists, &SCALES)
        };
        Ok(Self { stale: fit(false)?, fresh: fit(true)? })
    }

    /// The best fusion where a share `budget` of the users has a fresh list.
    pub(super) fn fusion(&self, budget: f64) -> Fusion {
        self.stale.mixed_with(&self.fresh, budget).highest_beyond_error()
    }
}

/// The urgency of a request for each user, by one rule.
struct Signal {
    consistency: Option<Consistency>,
    validation: Vec<f32>,
    reported: Vec<f32>,
}

/// Measures all rows of the protocol. The weight of the fusion, the measure of disagreement
/// and the thresholds are chosen on `validation`.
///
/// # Errors
/// [`EvaluationError::Collaboration`] for lists whose scores differ in number.
pub fn measure(
    validation: &[PaperUser],
    reported: &[PaperUser],
    options: &Options<'_>,
) -> Result<Vec<Measured>, EvaluationError> {
    let mut rows = if options.learning { Vec::new() } else { language_model(reported) };
    for (budget, fresh) in [(0.0, false), (1.0, true)] {
        let list = |user: &PaperUser| list(user, fresh).small_model_rank();
        let name = format!("{}-list", options.small_model);
        rows.push(Measured::plain(&name, budget, reported.iter().map(list).collect()));
    }
    let fit = PaperFit::over(validation)?;
    let signals = signals(validation, reported, options.seed)?;
    for fitted in [false, true] {
        let fusion = |budget| if fitted { fit.fusion(budget) } else { Fusion::default() };
        for (name, budget, fresh) in [("fusion-none", 0.0, false), ("fusion-always", 1.0, true)] {
            let fusion = fusion(budget);
            let ranks = ranks(reported, &fusion, |_| fresh)?;
            rows.push(Measured { fusion: Some(fusion), ..Measured::plain(name, budget, ranks) });
        }
        for &budget in options.budgets.iter().filter(|&&budget| budget > 0.0 && budget < 1.0) {
            let fusion = fusion(budget);
            let users = (validation, reported);
            for (name, signals) in &signals {
                rows.push(with_requests(name, signals, fusion, budget, users)?);
            }
            if fitted {
                if let Some(signal) = uplift(users, &fusion)? {
                    rows.push(with_requests("fusion-uplift", &[signal], fusion, budget, users)?);
                }
                let signal = oracle(reported, &fusion)?;
                rows.push(with_requests(ORACLE, &[signal], fusion, budget, users)?);
            }
        }
    }
    Ok(rows)
}

/// The language model alone: the stale list, unfiltered and filtered, and the fresh list.
fn language_model(users: &[PaperUser]) -> Vec<Measured> {
    let unfiltered = users.iter().map(|user| user.unfiltered).collect();
    let stale = users.iter().map(|user| user.stale.language_model_rank()).collect();
    let fresh = users.iter().map(|user| user.fresh.language_model_rank()).collect();
    vec![
        Measured { history: History::Kept, ..Measured::plain("llm-stale", 0.0, unfiltered) },
        Measured::plain("llm-stale", 0.0, stale),
        Measured::plain("llm-fresh", 1.0, fresh),
    ]
}

/// The rules, each with the signals from which one is chosen on validation targets.
fn signals(
    validation: &[PaperUser],
    reported: &[PaperUser],
    seed: u64,
) -> Result<Vec<(&'static str, Vec<Signal>)>, EvaluationError> {
    let signal = |rule: Requests| {
        let consistency = match rule {
            Requests::Consistency(consistency) => Some(consistency),
            Requests::Random { .. } | Requests::Batch => None,
        };
        let (validation, reported) = (rule.urgency(validation)?, rule.urgency(reported)?);
        Ok::<_, EvaluationError>(Signal { consistency, validation, reported })
    };
    let measures = MEASURES.into_iter().map(|measure| signal(Requests::Consistency(measure)));
    Ok(vec![
        (RANDOM, vec![signal(Requests::Random { seed })?]),
        ("fusion-batch", vec![signal(Requests::Batch)?]),
        ("fusion-consistency", measures.collect::<Result<_, _>>()?),
    ])
}

/// The gain of a request that the learnt rule expects for each user, fitted on the validation
/// users ([`fit_uplift`]); `None` without evidence.
fn uplift(
    (validation, reported): (&[PaperUser], &[PaperUser]),
    fusion: &Fusion,
) -> Result<Option<Signal>, EvaluationError> {
    let evidence = |users: &[PaperUser]| -> Result<Vec<Option<UpliftEvidence>>, EvaluationError> {
        users.par_iter().map(|user| evidence(user, fusion)).collect()
    };
    let (of_validation, of_reported) = (evidence(validation)?, evidence(reported)?);
    let gains = gains(validation, fusion)?;
    let sample = |(evidence, gain): (&Option<UpliftEvidence>, f64)| {
        Some(UpliftSample { evidence: (*evidence)?, gain: gain as f32 })
    };
    let samples: Vec<UpliftSample> = of_validation.iter().zip(gains).filter_map(sample).collect();
    if samples.is_empty() {
        return Ok(None);
    }
    let model = fit_uplift(&samples, RIDGE)?;
    // A device without evidence has nothing to compare, and keeps its list.
    let expected = |evidence: &Option<UpliftEvidence>| {
        evidence.as_ref().map_or(f32::NEG_INFINITY, |evidence| model.predict(evidence))
    };
    let validation = of_validation.iter().map(expected).collect();
    let reported = of_reported.iter().map(expected).collect();
    Ok(Some(Signal { consistency: None, validation, reported }))
}

/// The evidence of a user under a fusion. Without a device search the comparison is that of the
/// session, under the fusion of its settings: it does not keep the items it compares with.
fn evidence(user: &PaperUser, fusion: &Fusion) -> Result<Option<UpliftEvidence>, EvaluationError> {
    let Some(known) = &user.evidence else { return Ok(None) };
    if !user.stale.has_unlisted() {
        return Ok(Some(known.observed));
    }
    let (now, new) = (user.stale.comparison(fusion)?, known.when_new.comparison(fusion)?);
    Ok(now.map(|(now, pool)| {
        let baseline = new.map_or(now, |(baseline, _)| baseline);
        UpliftEvidence { now, baseline, pool, ..known.observed }
    }))
}

/// The gain of a request for each user.
fn oracle(reported: &[PaperUser], fusion: &Fusion) -> Result<Signal, EvaluationError> {
    let gains = gains(reported, fusion)?.into_iter().map(|gain| gain as f32).collect();
    Ok(Signal { consistency: None, validation: Vec::new(), reported: gains })
}

/// NDCG@10 after a request minus NDCG@10 without one.
fn gains(users: &[PaperUser], fusion: &Fusion) -> Result<Vec<f64>, EvaluationError> {
    let stale = ranks(users, fusion, |_| false)?;
    let fresh = ranks(users, fusion, |_| true)?;
    Ok(fresh
        .into_iter()
        .zip(stale)
        .map(|(fresh, stale)| ndcg(fresh, 10) - ndcg(stale, 10))
        .collect())
}

/// One rule at one call budget.
fn with_requests(
    name: &str,
    signals: &[Signal],
    fusion: Fusion,
    budget: f64,
    (validation, reported): (&[PaperUser], &[PaperUser]),
) -> Result<Measured, EvaluationError> {
    let mut best: Option<(f64, &Signal, f32)> = None;
    for signal in signals {
        let threshold = threshold_for(budget, &signal.validation);
        // A single signal needs no comparison.
        let value = if signals.len() == 1 {
            0.0
        } else {
            let asked = asking(&signal.validation, threshold, budget)?;
            let ranks = ranks(validation, &fusion, |at| asked[at])?;
            ranks.iter().map(|&rank| ndcg(rank, 10)).sum()
        };
        if best.is_none_or(|(best, ..)| value > best) {
            best = Some((value, signal, threshold));
        }
    }
    let (asked, consistency, threshold) = match best {
        Some((_, signal, threshold)) if name != RANDOM && name != ORACLE => {
            let asked = asking(&signal.reported, threshold, budget)?;
            (asked, signal.consistency, Some(threshold))
        }
        // Nothing is fitted: exactly the budget is drawn.
        Some((_, signal, _)) => {
            let threshold = threshold_for(budget, &signal.reported);
            let above = signal.reported.iter().map(|urgency| *urgency > threshold);
            (above.collect(), None, None)
        }
        None => (vec![false; reported.len()], None, None),
    };
    let ranks = ranks(reported, &fusion, |at| asked[at])?;
    Ok(Measured {
        fusion: Some(fusion),
        consistency,
        threshold,
        calls: share_of(&asked),
        ..Measured::plain(name, budget, ranks)
    })
}

/// Ranks of the targets; users with `asked` have the fresh list.
fn ranks(
    users: &[PaperUser],
    fusion: &Fusion,
    asked: impl Fn(usize) -> bool + Sync,
) -> Result<Vec<Option<usize>>, EvaluationError> {
    users.par_iter().enumerate().map(|(at, user)| list(user, asked(at)).rank(fusion)).collect()
}

fn list(user: &PaperUser, fresh: bool) -> &ScoredList {
    if fresh { &user.fresh } else { &user.stale }
}

impl Measured {
    /// A row without choices, whose calls are its budget.
    fn plain(name: &str, budget: f64, ranks: Vec<Option<usize>>) -> Self {
        Self {
            name: name.to_owned(),
            history: History::Removed,
            fusion: None,
            consistency: None,
            threshold: None,
            budget,
            calls: budget,
            ranks,
        }
    }
}
