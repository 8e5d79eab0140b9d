//! `tandem evaluate --protocol session`: live clicks through the device's own code.

use std::path::Path;

use anyhow::{Context, Result};
use tandem_collaboration::{Policy, Trigger};
use tandem_dataset::Dataset;
use tandem_evaluation::{
    Part, ResultRow, SessionReport,
    fitting::{DecisionFit, FitChoices, HORIZON, RIDGE, SessionFit, fit_session},
};
use tandem_session::Settings;

use super::{
    Evaluate,
    rows::{Origin, earlier, keep, publish},
};
use crate::{calibration::read_calibration, candidate_lists::load, small_model::SmallModel};

/// Seed of the random calls without `--seed`.
const SEED: u64 = 7;

pub(super) fn run(args: &Evaluate) -> Result<()> {
    let budgets = args.budgets();
    let srm = args.need(args.srm.as_ref(), "srm")?;
    let path = args.need(args.lists.as_ref(), "lists (made by `tandem lists --for session`)")?;
    let dataset = Dataset::load(&args.data)?;
    let calibration = read_calibration(args.calibration.as_deref())?;
    let read = |path: &Path| -> Result<SmallModel> {
        let model = SmallModel::read(path, &dataset, &calibration)?;
        model.with_search(args.search, &dataset, args.cells)
    };
    let model = read(srm)?;
    let lists = load(path, &dataset)?;
    let replay = model.replay(&dataset, &lists);
    let in_lists = || path.display().to_string();
    let test = replay.sessions(args.clicks, args.skip).with_context(in_lists)?;
    let mut settings = model.settings.clone();
    let rules = rules(&budgets, args, settings.policy);

    // Validation sessions are only needed if something is fitted on them.
    let given = args.calibration.is_some();
    let other = args.fit_srm.as_deref().zip(args.fit_lists.as_deref());
    let to_fit = !given || rules.iter().any(|rule| matches!(rule.asks, Asks::Above(..)));
    let older = match other.filter(|_| to_fit) {
        Some((srm, lists)) => Some((read(srm)?, load(lists, &dataset)?)),
        None => None,
    };
    let older = older.as_ref().map(|(model, lists)| model.replay(&dataset, lists));
    let fit_on = older.as_ref().unwrap_or(&replay);
    let validation = if to_fit {
        let skip = args.skip + args.clicks;
        let fit_lists = other.map_or(path, |(_, lists)| lists);
        let sessions = fit_on.sessions(args.clicks, skip);
        Some(sessions.with_context(|| fit_lists.display().to_string())?)
    } else {
        None
    };
    if let Some(validation) = validation.as_ref().filter(|_| !given) {
        let choices = FitChoices { fusion: true, learning: true };
        let fit = fit_session(fit_on, validation, &settings, choices)?;
        report_choices(&fit);
        settings = fit.settings;
    }

    let origin = Origin::new(args, Part::Test, &dataset);
    let fitted = other.iter().flat_map(|(srm, lists)| [*srm, *lists]);
    let files = [srm, path].into_iter().chain(args.calibration.as_deref()).chain(fitted);
    let inputs = Some(origin.inputs(&files.collect::<Vec<_>>())?);
    let earlier = earlier(args)?;
    let mut rows = Vec::new();
    let ways: &[bool] = if args.no_learning { &[false] } else { &[false, true] };
    for &learn in ways {
        let test = test.learning(learn);
        // Fitted when a rule needs it: it is slow, and rows may be there already.
        let mut decision = None;
        for rule in &rules {
            let asked = ResultRow {
                budget: rule.budget,
                small_model: Some(model.kind().to_owned()),
                variant: args.srm_variant.clone(),
                learning: Some(learn),
                fusion: Some(settings.fusion),
                search: Some(args.search.into()),
                inputs: inputs.clone(),
                ..origin.row(rule.name, &[])?
            };
            let done = earlier.iter().find(|row| row.inputs == inputs && row.repeats(&asked));
            if let Some(row) = done {
                rows.push(row.clone());
                continue;
            }
            let policy = match rule.asks {
                Asks::As(policy) => policy,
                Asks::Above(evidence, budget) => {
                    let validation =
                        validation.as_ref().with_context(|| no_validation_sessions(rule.name))?;
                    let fit = if let Some(fit) = decision.take() {
                        fit
                    } else {
                        let how = (HORIZON, RIDGE);
                        DecisionFit::fit(fit_on, &validation.learning(learn), &settings, how)?
                            .with_context(|| no_decision(rule.name))?
                    };
                    evidence.policy(decision.insert(fit), budget, settings.policy)?
                }
            };
            let settings = Settings { policy, ..settings.clone() };
            let report = replay.run(&test, &settings, rule.name)?;
            crate::terminal::note(format_args!("{}", summary(rule.name, &report)));
            rows.push(measured(&origin, asked, &policy, &report)?);
            // An interruption loses no row: the same command measures the rest later.
            keep(args, &rows)?;
        }
    }
    publish(args, &rows)
}

fn no_validation_sessions(rule: &str) -> String {
    format!("{rule}: expected validation sessions to fit its threshold on, found none")
}

fn no_decision(rule: &str) -> String {
    format!(
        "{rule}: expected lists that lack items of the catalogue, found none, so there is no threshold to fit"
    )
}

/// The row that was `asked` for, with what its sessions measured.
fn measured(
    origin: &Origin<'_>,
    asked: ResultRow,
    policy: &Policy,
    report: &SessionReport,
) -> Result<ResultRow> {
    let ranks: Vec<Option<usize>> = report.records.iter().map(|record| record.rank).collect();
    let ResultRow { hr10, ndcg10, metrics, .. } = origin.row(&asked.name, &ranks)?;
    let threshold = match policy.trigger {
        Trigger::Uplift { threshold, .. } => Some(threshold),
        Trigger::Disagreement => Some(policy.threshold),
        _ => None,
    };
    let compared = matches!(policy.trigger, Trigger::Disagreement);
    Ok(ResultRow {
        calls: Some(report.calls),
        consistency: compared.then_some(policy.consistency),
        threshold,
        cost: Some(report.cost),
        hr10,
        ndcg10,
        metrics,
        ..asked
    })
}

fn report_choices(fit: &SessionFit) {
    let alpha = fit.fusion.as_ref().map_or(f32::NAN, |(fusion, _)| fusion.alpha);
    for trial in &fit.learning {
        let (rows, preference) = (trial.config.row_rate, trial.config.preference_rate);
        let (never, always) = (trial.never, trial.always);
        crate::terminal::note(format_args!(
            "validation, α = {alpha:.2}, learning rate of rows {rows}, of the preference {preference}: NDCG@10 {never:.4} without calls, {always:.4} with a call after every click"
        ));
    }
}

/// A rule that decides about calls.
struct Rule {
    name: &'static str,
    budget: Option<f64>,
    asks: Asks,
}

/// When the cloud is called.
#[derive(Clone, Copy)]
enum Asks {
    As(Policy),
    /// Above the threshold that meets this call budget on validation sessions.
    Above(Evidence, f64),
}

/// The evidence of a rule with a threshold.
#[derive(Clone, Copy)]
enum Evidence {
    /// Disagreement of the two models' orders.
    Disagreement,
    /// Expected gain of a fresh list.
    Uplift,
}

impl Evidence {
    fn policy(self, decision: &DecisionFit, budget: f64, usual: Policy) -> Result<Policy> {
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

/// All rules at all budgets, with the baselines.
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
        // A session with fewer than k clicks never calls.
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
