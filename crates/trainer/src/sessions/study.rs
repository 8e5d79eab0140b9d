//! Sessions in which every list is tried at every later click: what a call at any moment
//! would have been worth.

use anyhow::{Context, Result};
use futures_lite::future::block_on;
use rayon::prelude::*;
use tandem_collaboration::{UpliftEvidence, UpliftModel, UpliftSample};
use tandem_dataset::ItemIndex;
use tandem_evaluation::{Device, id, ndcg};
use tandem_protocol::{Event, EventKind};
use tandem_session::{Session, Settings};

use super::{SessionReplay, Sessions};
use crate::{failure::BadInput, small_model::bar};

/// Candidates with log-probabilities (nats), best first.
type List<'a> = &'a [(ItemIndex, f32)];

/// A list before a click, with the item that was clicked.
pub(crate) struct Shown {
    pub(crate) logprobs: Vec<f32>,
    pub(crate) small_model: Vec<f32>,
    pub(crate) chosen: Option<usize>,
}

/// One session: for the list made before click `made` (from 0) and a click `at ≥ made`.
pub(crate) struct Observed {
    /// NDCG@10 of the click, `[made][at - made]`.
    ndcg: Vec<Vec<f64>>,
    /// What the device saw when it could have called, `[made][at - made - 1]`.
    evidence: Vec<Vec<Option<UpliftEvidence>>>,
    /// The lists themselves, in the language model's order.
    pub(crate) shown: Vec<Shown>,
}

impl SessionReplay<'_> {
    /// Replays the sessions with each of their lists at every later click.
    pub(crate) fn study(
        &self,
        sessions: &Sessions,
        settings: &Settings,
        what: &str,
    ) -> Result<Vec<Observed>> {
        let bar = bar(sessions.users.len(), what)?;
        let device = self.model.device(settings);
        let observed = sessions
            .users
            .par_iter()
            .map(|&user| {
                let observed = self.observe(sessions, device, user)?;
                bar.inc(1);
                Ok(observed)
            })
            .collect::<Result<_>>();
        bar.finish_and_clear();
        observed
    }

    fn observe(&self, sessions: &Sessions, device: Device<'_>, user: usize) -> Result<Observed> {
        let missing = || BadInput(format!("user {user} has no whole session"));
        let (before, live) =
            sessions.protocol.cut(&self.dataset.sequences[user]).ok_or_else(missing)?;
        let mut observed = Observed { ndcg: Vec::new(), evidence: Vec::new(), shown: Vec::new() };
        let list = |click| self.lists.get(&(user, before.len() + click)).map(Vec::as_slice);
        for made in 0..live.len() {
            let lists = list(0).zip(list(made)).ok_or_else(missing)?;
            let learn = sessions.protocol.learn;
            let session = device.begin(self.dataset, user, before)?;
            block_on(self.one_call(session, device, live, lists, (made, learn), &mut observed))
                .with_context(|| format!("session of user {user}"))?;
        }
        Ok(observed)
    }

    /// A session with its first list and one call, before click `made`.
    async fn one_call(
        &self,
        mut session: Session,
        device: Device<'_>,
        live: &[ItemIndex],
        (first, second): (List<'_>, List<'_>),
        (made, learn): (usize, bool),
        observed: &mut Observed,
    ) -> Result<()> {
        let give = |session: &mut Session, list: List<'_>| {
            let (_, ticket) = session.begin_request(None, 0.0);
            session.accept(ticket, device.answer(self.dataset, list), 0.0)
        };
        give(&mut session, first)?;
        let (mut gains, mut evidence) = (Vec::new(), Vec::new());
        for (at, &item) in live.iter().enumerate() {
            if at == made && made > 0 {
                give(&mut session, second)?;
            }
            let clicked = id(self.dataset, item);
            if at >= made {
                let shown = session.rank().await?;
                let rank = shown.items.iter().position(|shown| shown.item == clicked);
                gains.push(ndcg(rank, 10));
                let mut items = shown.items;
                items.sort_by_key(|item| item.llm_rank);
                observed.shown.push(Shown {
                    logprobs: items.iter().map(|item| item.logprob).collect(),
                    small_model: items
                        .iter()
                        .map(|item| item.srm_score.unwrap_or(f32::NAN))
                        .collect(),
                    chosen: items.iter().position(|shown| shown.item == clicked),
                });
            }
            session.track(&Event { kind: EventKind::Click, item: clicked });
            if at >= made && at + 1 < live.len() {
                // As on a device: the decision comes before the click is learnt from.
                let ranked = session.rank().await?;
                evidence.push(session.uplift_evidence(&ranked));
            }
            if learn {
                session.learn().await?;
            }
        }
        observed.ndcg.push(gains);
        observed.evidence.push(evidence);
        Ok(())
    }
}

impl Observed {
    /// NDCG@10 of click `at` with the list made before click `made`.
    fn ndcg(&self, made: usize, at: usize) -> f64 {
        self.ndcg[made][at - made]
    }

    /// What was seen before click `at` of the list made before click `made`, earlier.
    pub(crate) fn evidence(&self, made: usize, at: usize) -> Option<&UpliftEvidence> {
        self.evidence[made][at - made - 1].as_ref()
    }

    /// Every moment at which a call was possible, with what it gained on average over the
    /// next `horizon` clicks, or those that were left.
    pub(crate) fn samples(&self, horizon: usize) -> impl Iterator<Item = UpliftSample> + '_ {
        let clicks = self.ndcg.len();
        let moments =
            (0..clicks).flat_map(move |made| (made + 1..clicks).map(move |at| (made, at)));
        moments.filter_map(move |(made, at)| {
            let end = clicks.min(at + horizon);
            let gain: f64 =
                (at..end).map(|click| self.ndcg(at, click) - self.ndcg(made, click)).sum();
            let gain = (gain / (end - at) as f64) as f32;
            Some(UpliftSample { evidence: *self.evidence(made, at)?, gain })
        })
    }
}

/// Mean NDCG@10 over clicks, and calls a decision (a click but the last), where the cloud is
/// called if `rule(session, made, at)`: before click `at`, with the list made before `made`.
pub(crate) fn simulate(
    sessions: &[Observed],
    mut rule: impl FnMut(usize, usize, usize) -> bool,
) -> (f64, f64) {
    let (mut sum, mut clicks, mut calls, mut decisions) = (0.0, 0, 0, 0);
    for (number, session) in sessions.iter().enumerate() {
        let mut made = 0;
        for at in 0..session.ndcg.len() {
            if at > 0 {
                decisions += 1;
                if rule(number, made, at) {
                    made = at;
                    calls += 1;
                }
            }
            sum += session.ndcg(made, at);
            clicks += 1;
        }
    }
    (sum / f64::from(clicks.max(1)), f64::from(calls) / f64::from(decisions.max(1)))
}

/// Calls where one of the rules, by session, expects more than `threshold`.
pub(crate) fn expects<'a>(
    sessions: &'a [Observed],
    model: impl Fn(usize) -> &'a UpliftModel + 'a,
    threshold: f32,
) -> impl FnMut(usize, usize, usize) -> bool + 'a {
    move |session, made, at| {
        let evidence = sessions[session].evidence(made, at);
        evidence.is_some_and(|evidence| model(session).predict(evidence) > threshold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three clicks: NDCG 0.1 with the first list, 0.3 and then 0.2 with the second, 0.6
    /// with the third.
    fn observed() -> Observed {
        let ndcg = vec![vec![0.1, 0.1, 0.1], vec![0.3, 0.2], vec![0.6]];
        Observed { ndcg, evidence: vec![vec![None; 2], vec![None], vec![]], shown: Vec::new() }
    }

    #[test]
    fn a_rule_is_worth_the_lists_it_calls_for() {
        let sessions = [observed()];
        let near = |found: (f64, f64), ndcg: f64, share: f64| {
            assert!((found.0 - ndcg).abs() < 1e-9 && (found.1 - share).abs() < 1e-9, "{found:?}");
        };
        near(simulate(&sessions, |_, _, _| false), 0.1, 0.0);
        near(simulate(&sessions, |_, _, _| true), (0.1 + 0.3 + 0.6) / 3.0, 1.0);
        near(simulate(&sessions, |_, _, at| at == 1), (0.1 + 0.3 + 0.2) / 3.0, 0.5);
        near(simulate(&sessions, |_, made, at| at - made == 2), (0.1 + 0.1 + 0.6) / 3.0, 0.5);
        near(simulate(&[], |_, _, _| true), 0.0, 0.0);
    }

    #[test]
    fn samples_hold_the_gain_of_the_clicks_to_come() {
        let list_advantage =
            tandem_collaboration::ListAdvantage { expected_gain: 0.0, margin: 0.0, log_odds: 0.0 };
        let evidence = UpliftEvidence {
            now: list_advantage,
            baseline: list_advantage,
            disagreement: 0.0,
            clicks_since: 1,
            ..UpliftEvidence::default()
        };
        let mut observed = observed();
        observed.evidence = vec![vec![Some(evidence), None], vec![Some(evidence)], vec![]];
        let gains: Vec<f32> = observed.samples(2).map(|sample| sample.gain).collect();
        // At click 1: (0.3 − 0.1 + 0.2 − 0.1) / 2; at click 2 from the second list: 0.6 − 0.2.
        assert_eq!(gains.len(), 2);
        assert!((gains[0] - 0.15).abs() < 1e-6 && (gains[1] - 0.4).abs() < 1e-6, "{gains:?}");
    }
}
