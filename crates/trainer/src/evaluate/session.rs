//! `tandem evaluate --protocol session`: live clicks through the device's own code.

use std::path::Path;

use anyhow::Result;
use tandem_collaboration::{Policy, Trigger};
use tandem_dataset::Dataset;
use tandem_evaluation::{Part, ResultRow, SessionReport};
use tandem_session::Settings;

use super::{
    Evaluate,
    rows::{Origin, earlier, keep, publish},
};
use crate::{
    calibrate::{Decision, HORIZON, RIDGE, best, fusion, learning},
    export::read_calibration,
    sessions::{SessionReplay, Sessions},
    small_model::SmallModel,
};

/// Draws the random calls, where no seed is named.
const SEED: u64 = 7;

pub(super) fn run(args: &Evaluate) -> Result<()> {
    let budgets = args.budgets()?;
    let srm = args.need(args.srm.as_ref(), "srm")?;
    let path = args.need(args.lists.as_ref(), "lists (made by `tandem lists --for session`)")?;
    let dataset = Dataset::load(&args.data)?;
    let calibration = read_calibration(args.calibration.as_deref())?;
    let read = |srm: &Path, lists: &Path| {
        SessionReplay::new(&dataset, SmallModel::read(srm, &dataset, &calibration)?, lists)
    };
    let bench = read(srm, path)?;
    let test = bench.sessions(args.clicks, args.skip)?;
    let mut settings = bench.model().settings.clone();
    let rules = rules(&budgets, args, settings.policy);

    // Where nothing is fitted, nobody needs to have sessions to fit on.
    let given = args.calibration.is_some();
    let other = args.fit_srm.as_deref().zip(args.fit_lists.as_deref());
    let to_fit = !given || rules.iter().any(|rule| matches!(rule.asks, Asks::Above(..)));
    let older = other.filter(|_| to_fit).map(|(srm, lists)| read(srm, lists)).transpose()?;
    let fit_on = older.as_ref().unwrap_or(&bench);
    let validation =
        to_fit.then(|| fit_on.sessions(args.clicks, args.skip + args.clicks)).transpose()?;
    if let Some(validation) = validation.as_ref().filter(|_| !given) {
        settings = choose(fit_on, validation, settings)?;
    }

    let origin = Origin::new(args, Part::Test);
    let fitted = other.iter().flat_map(|(srm, lists)| [*srm, *lists]);
    let files = [srm, path].into_iter().chain(args.calibration.as_deref()).chain(fitted);
    let inputs = Some(origin.inputs(&files.collect::<Vec<_>>())?);
    let earlier = earlier(args)?;
    let mut rows = Vec::new();
    let ways: &[bool] = if args.no_learning { &[false] } else { &[false, true] };
    for &learn in ways {
        let test = test.learning(learn);
        // Dear, and not needed for rows that are there.
        let mut decision = None;
        for rule in &rules {
            let asked = ResultRow {
                budget: rule.budget,
                small_model: Some(bench.model().kind().to_owned()),
                variant: args.srm_variant.clone(),
                learning: Some(learn),
                fusion: Some(settings.fusion),
                inputs: inputs.clone(),
                ..origin.row(rule.name, &[])?
            };
            let done = earlier.iter().find(|row| row.inputs == inputs && row.repeats(&asked));
            if let Some(row) = done {
                rows.push(row.clone());
                continue;
            }
            let policy = match (rule.asks, &validation) {
                (Asks::Above(evidence, budget), Some(validation)) => {
                    if decision.is_none() {
                        let validation = validation.learning(learn);
                        let how = (HORIZON, RIDGE);
                        decision = Some(Decision::fit(fit_on, &validation, &settings, how)?);
                    }
                    match &decision {
                        Some(decision) => evidence.policy(decision, budget, settings.policy)?,
                        None => settings.policy,
                    }
                }
                (Asks::As(policy), _) => policy,
                (Asks::Above(..), None) => settings.policy,
            };
            let settings = Settings { policy, ..settings.clone() };
            let report = bench.run(&test, &settings, rule.name)?;
            eprintln!("{}", summary(rule.name, &report));
            let ranks: Vec<Option<usize>> =
                report.records.iter().map(|record| record.rank).collect();
            let ResultRow { hr10, ndcg10, metrics, .. } = origin.row(rule.name, &ranks)?;
            let threshold = match policy.trigger {
                Trigger::Uplift { threshold, .. } => Some(threshold),
                Trigger::Disagreement => Some(policy.threshold),
                _ => None,
            };
            let compared = matches!(policy.trigger, Trigger::Disagreement);
            rows.push(ResultRow {
                calls: Some(report.calls),
                consistency: compared.then_some(policy.consistency),
                threshold,
                cost: Some(report.cost),
                hr10,
                ndcg10,
                metrics,
                ..asked
            });
            // Killed now, the rest is measured by the same command later.
            keep(args, &rows)?;
        }
    }
    publish(args, &rows)
}

/// Fusion, and how the device learns, as validation sessions like them best.
fn choose(
    bench: &SessionReplay<'_>,
    validation: &Sessions,
    mut settings: Settings,
) -> Result<Settings> {
    let (fit, _) = fusion(bench, validation, &settings)?;
    settings.fusion = fit.fusion;
    let tried = learning(bench, validation, &settings)?;
    for (config, ndcg) in &tried {
        let [never, always] = ndcg;
        let (rows, preference) = (config.row_rate, config.preference_rate);
        eprintln!(
            "validation, α = {:.2}: NDCG@10 {never:.4} without calls, {always:.4} with all of them, where rows learn by {rows}, the preference by {preference}",
            fit.alpha
        );
    }
    if let Some(best) = best(&tried) {
        settings.learning = best.clone();
    }
    Ok(settings)
}

/// A way of deciding about calls.
struct Rule {
    name: &'static str,
    budget: Option<f64>,
    asks: Asks,
}

/// When the cloud is called.
#[derive(Clone, Copy)]
enum Asks {
    As(Policy),
    /// Above a threshold that validation sets for this share of the clicks.
    Above(Evidence, f64),
}

/// What speaks for a call.
#[derive(Clone, Copy)]
enum Evidence {
    /// The two models' orders are far apart.
    Disagreement,
    /// A fresh list is expected to help.
    Uplift,
}

impl Evidence {
    fn policy(self, decision: &Decision, budget: f64, usual: Policy) -> Result<Policy> {
        Ok(match self {
            Self::Disagreement => Policy {
                consistency: usual.consistency,
                threshold: decision.disagreement_threshold(budget)?,
                ..Policy::bare(Trigger::Disagreement)
            },
            Self::Uplift => {
                let threshold = decision.uplift_threshold(budget)?;
                Policy::bare(Trigger::Uplift { threshold, model: decision.model })
            }
        })
    }
}

/// Every rule at every budget, with the baselines.
fn rules(budgets: &[f64], args: &Evaluate, given: Policy) -> Vec<Rule> {
    let seed = args.seed.unwrap_or(SEED);
    let fixed = |name, budget, trigger| Rule {
        name,
        budget: Some(budget),
        asks: Asks::As(Policy::bare(trigger)),
    };
    let mut rules = vec![fixed("fusion-never", 0.0, Trigger::Never)];
    for &budget in budgets.iter().filter(|&&budget| budget > 0.0 && budget < 1.0) {
        rules.push(fixed("fusion-random", budget, Trigger::Random { share: budget as f32, seed }));
        #[allow(clippy::cast_sign_loss, reason = "budgets are positive here")]
        let k = (1.0 / budget).round() as u64;
        // A session that is over before its k-th click never calls.
        if k >= 2 && k < args.clicks as u64 {
            rules.push(fixed("fusion-every-kth", budget, Trigger::EveryKthClick { k }));
            rules.push(fixed("fusion-new-items", budget, Trigger::NewItems { k }));
        }
        let above =
            [("fusion-consistency", Evidence::Disagreement), ("fusion-uplift", Evidence::Uplift)];
        rules.extend(above.map(|(name, evidence)| Rule {
            name,
            budget: Some(budget),
            asks: Asks::Above(evidence, budget),
        }));
    }
    rules.push(fixed("fusion-always", 1.0, Trigger::Always));
    if args.calibration.is_some() {
        rules.push(Rule { name: "fusion-calibrated", budget: None, asks: Asks::As(given) });
    }
    rules
}

fn summary(name: &str, report: &SessionReport) -> String {
    let losses = report.losses.map_or_else(String::new, |(before, after)| {
        format!(", learning loss {before:.3} → {after:.3}")
    });
    format!(
        "{name}: {} sessions, NDCG@10 {:.4}, HR@10 {:.4}, {:.2} calls a session{losses}, ranking {:.2} ms, learning {:.2} ms",
        report.sessions,
        report.ndcg10,
        report.hr10,
        report.calls,
        report.cost.rank_ms_p50,
        report.cost.learn_ms_p50,
    )
}
