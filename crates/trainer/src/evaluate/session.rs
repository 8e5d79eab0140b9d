//! `tandem evaluate --protocol session`: live clicks through the device's own code.

use std::{collections::BTreeSet, path::Path};

use anyhow::Result;
use tandem_collaboration::{Fusion, LanguageModelScore, Normalisation, Policy, Trigger};
use tandem_dataset::{Dataset, ItemIndex};
use tandem_evaluation::{Part, ResultRow, SessionProtocol, SessionReport};
use tandem_session::Settings;

use super::{
    Evaluate,
    models::{SmallModel, bar},
    rows::{Origin, earlier, keep, publish},
};
use crate::{
    export::read_calibration,
    failure::BadInput,
    lists::{self, ListsByPrefix},
};

/// Rules that ask above a threshold, which validation sets for each budget, with the lowest
/// and the highest that it may be.
const WITH_THRESHOLD: [(&str, Trigger, Thresholds); 1] =
    [("fusion-consistency", Trigger::Disagreement, (0.0, 1.0))];
/// Draws the random calls, where no seed is named.
const SEED: u64 = 7;
/// Between two clicks; with a bare policy nothing depends on it.
const MS_BETWEEN_CLICKS: f64 = 20_000.0;
/// Validation runs by which a threshold is narrowed down.
const NARROWINGS: usize = 7;

/// From and to.
type Thresholds = (f32, f32);

pub(super) fn run(args: &Evaluate) -> Result<()> {
    let budgets = args.budgets()?;
    let srm = args.need(args.srm.as_ref(), "srm")?;
    let path = args.need(args.lists.as_ref(), "lists (made by `tandem lists --for session`)")?;
    let dataset = Dataset::load(&args.data)?;
    let calibration = read_calibration(args.calibration.as_deref())?;
    let model = SmallModel::read(srm, &dataset, calibration)?;
    let bench = Bench { dataset: &dataset, lists: lists::load(path, &dataset)?, model: &model };
    let test = bench.sessions(args.clicks, args.skip, path)?;
    let mut settings = model.settings.clone();
    let mut rules = rules(&budgets, args.clicks, args.seed.unwrap_or(SEED));
    if args.calibration.is_some() {
        let (policy, budget) = (settings.policy, None);
        rules.push(Rule { name: "fusion-calibrated", budget, policy, thresholds: None });
    }
    // Where nothing is fitted, nobody needs to have sessions to fit on.
    let to_fit = args.calibration.is_none() || rules.iter().any(|rule| rule.thresholds.is_some());
    let validation = if to_fit {
        bench.sessions(args.clicks, args.skip + args.clicks, path)?
    } else {
        Sessions { protocol: test.protocol, users: Vec::new() }
    };
    if args.calibration.is_none() {
        settings.fusion = bench.fit_fusion(&validation, &settings)?;
    }

    let origin = Origin::new(args, Part::Test);
    let calibration = args.calibration.as_deref();
    let files: Vec<&Path> = [srm, path].into_iter().chain(calibration).collect();
    let inputs = Some(origin.inputs(&files)?);
    let earlier = earlier(args)?;
    let mut rows = Vec::new();
    let ways: &[bool] = if args.no_learning { &[false] } else { &[false, true] };
    for &learn in ways {
        let [test, validation] = [&test, &validation].map(|sessions| sessions.learning(learn));
        for rule in &rules {
            let asked = ResultRow {
                budget: rule.budget,
                small_model: Some(model.kind().to_owned()),
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
            let policy = match rule.budget.zip(rule.thresholds) {
                Some((budget, thresholds)) => {
                    let consistency = settings.policy.consistency;
                    let policy = Policy { consistency, ..rule.policy };
                    let bare = Settings { policy, ..settings.clone() };
                    bench.fit_threshold(&validation, &bare, budget, thresholds)?
                }
                None => rule.policy,
            };
            let settings = Settings { policy, ..settings.clone() };
            let report = bench.run(&test, &settings, rule.name)?;
            eprintln!("{}", summary(rule.name, &report));
            let ranks: Vec<Option<usize>> =
                report.records.iter().map(|record| record.rank).collect();
            let ResultRow { hr10, ndcg10, metrics, .. } = origin.row(rule.name, &ranks)?;
            rows.push(ResultRow {
                calls: Some(report.calls),
                consistency: rule.thresholds.map(|_| policy.consistency),
                threshold: rule.thresholds.map(|_| policy.threshold),
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

/// A way of deciding about calls.
struct Rule {
    name: &'static str,
    budget: Option<f64>,
    policy: Policy,
    /// Among which the policy's threshold is to be fitted to the budget.
    thresholds: Option<Thresholds>,
}

/// Every rule at every budget, with the baselines.
fn rules(budgets: &[f64], clicks: usize, seed: u64) -> Vec<Rule> {
    let fixed = |name, budget, trigger| Rule {
        name,
        budget: Some(budget),
        policy: Policy::bare(trigger),
        thresholds: None,
    };
    let mut rules = vec![fixed("fusion-never", 0.0, Trigger::Never)];
    for &budget in budgets.iter().filter(|&&budget| budget > 0.0 && budget < 1.0) {
        rules.push(fixed("fusion-random", budget, Trigger::Random { share: budget as f32, seed }));
        #[allow(clippy::cast_sign_loss, reason = "budgets are positive here")]
        let k = (1.0 / budget).round() as u64;
        // A session that is over before its k-th click never calls.
        if k >= 2 && k < clicks as u64 {
            rules.push(fixed("fusion-every-kth", budget, Trigger::EveryKthClick { k }));
            rules.push(fixed("fusion-new-items", budget, Trigger::NewItems { k }));
        }
        for (name, trigger, thresholds) in WITH_THRESHOLD {
            let thresholds = Some(thresholds);
            rules.push(Rule { thresholds, ..fixed(name, budget, trigger) });
        }
    }
    rules.push(fixed("fusion-always", 1.0, Trigger::Always));
    rules
}

/// What sessions are made of, whatever the settings.
struct Bench<'a> {
    dataset: &'a Dataset,
    lists: ListsByPrefix,
    model: &'a SmallModel,
}

/// Users and the part of their items that is a session.
struct Sessions {
    protocol: SessionProtocol,
    users: Vec<usize>,
}

impl Sessions {
    fn learning(&self, learn: bool) -> Self {
        Self { protocol: SessionProtocol { learn, ..self.protocol }, users: self.users.clone() }
    }
}

impl Bench<'_> {
    /// The sessions whose lists are all there.
    fn sessions(&self, clicks: usize, skip: usize, path: &Path) -> Result<Sessions> {
        let protocol =
            SessionProtocol { clicks, skip, ms_between_clicks: MS_BETWEEN_CLICKS, learn: false };
        let users: BTreeSet<usize> = self.lists.keys().map(|(user, _)| *user).collect();
        let whole = |user: &usize| {
            let cut = self.dataset.sequences.get(*user).and_then(|items| protocol.cut(items));
            cut.is_some_and(|(before, live)| {
                (0..live.len()).all(|click| self.lists.contains_key(&(*user, before.len() + click)))
            })
        };
        let users: Vec<usize> = users.into_iter().filter(whole).collect();
        if users.is_empty() {
            let text = format!(
                "{}: expected a list for every click of a session of {clicks} before the newest {skip} interactions, found no such session; make them with `tandem lists --for session --clicks {clicks}`",
                path.display()
            );
            return Err(BadInput(text).into());
        }
        Ok(Sessions { protocol, users })
    }

    fn run(&self, sessions: &Sessions, settings: &Settings, what: &str) -> Result<SessionReport> {
        let bar = bar(sessions.users.len(), what)?;
        let list = |user: usize, items: &[ItemIndex]| {
            self.lists.get(&(user, items.len())).ok_or_else(|| {
                BadInput(format!("there is no list for {} items of user {user}", items.len()))
            })
        };
        let device = self.model.device(settings);
        let report =
            sessions.protocol.run(self.dataset, &sessions.users, device, |_| bar.inc(1), list)?;
        bar.finish_and_clear();
        Ok(report)
    }

    /// The weight α under which validation sessions go best, without a call and with one
    /// after every click taken together.
    fn fit_fusion(&self, validation: &Sessions, settings: &Settings) -> Result<Fusion> {
        let mut best = (f64::NEG_INFINITY, Fusion::default());
        for step in 0..=10_u8 {
            let fusion = Fusion::Weighted {
                alpha: f32::from(step) / 10.0,
                language_model: LanguageModelScore::LogProb,
                small_model: Normalisation::ZScore,
            };
            let mut value = 0.0;
            for trigger in [Trigger::Never, Trigger::Always] {
                let policy = Policy::bare(trigger);
                let settings = Settings { fusion, policy, ..settings.clone() };
                value += self.run(validation, &settings, "fitting the fusion")?.ndcg10;
            }
            if value > best.0 {
                best = (value, fusion);
            }
        }
        Ok(best.1)
    }

    /// The lowest threshold found by halving with which validation sessions stay within the
    /// budget. The sessions are run for each: a call changes what later decisions are made
    /// on.
    fn fit_threshold(
        &self,
        validation: &Sessions,
        bare: &Settings,
        budget: f64,
        (mut low, mut high): Thresholds,
    ) -> Result<Policy> {
        let with = |threshold: f32| Policy { threshold, ..bare.policy };
        for _ in 0..NARROWINGS {
            let threshold = low.midpoint(high);
            let settings = Settings { policy: with(threshold), ..bare.clone() };
            let what = format!("fitting a threshold to {budget}");
            let share = self.run(validation, &settings, &what)?.call_share;
            *(if share > budget { &mut low } else { &mut high }) = threshold;
        }
        Ok(with(high))
    }
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
