//! The `session` protocol: the newest interactions of each user arrive one by one as live
//! clicks, and the session code of the browser handles them.

use std::{error::Error, time::Instant};

use futures_lite::future::block_on;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tandem_collaboration::Action;
use tandem_dataset::{Dataset, ItemIndex, Sequence};
use tandem_protocol::{Event, EventKind};
use tandem_session::Connection;

use crate::{
    EvaluationError, SessionCost, SimulatedDevice,
    device::{Traffic, id},
    hit, ndcg,
};

/// How sessions are taken from the logs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionProtocol {
    /// Live clicks per session, `m`. Models must not be trained on them or on anything newer.
    pub clicks: usize,
    /// Number of newest interactions that are left out: 0 for the test; at least the `clicks`
    /// of the test for validation, so that nothing is chosen on test clicks.
    pub skip: usize,
    /// Time between clicks in milliseconds, for the token bucket.
    pub ms_between_clicks: f64,
    /// Whether the device learns.
    pub learn: bool,
}

/// One live click.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClickRecord {
    /// Number of the session, from 0, in the order of the users.
    pub session: usize,
    /// Number of the click in its session, from 0.
    pub click: usize,
    /// Rank of the clicked item in the list shown before the click, from 0; `None` if it was
    /// not in the list.
    pub rank: Option<usize>,
    /// Disagreement of the two models' orders after the click, 0 to 1; `None` after the last
    /// click of a session.
    pub disagreement: Option<f32>,
    /// Whether the cloud was called after the click. It is never called after the last one,
    /// since nobody would see the list.
    pub called: bool,
}

/// Result of [`SessionProtocol::run`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionReport {
    /// Number of sessions.
    pub sessions: usize,
    /// NDCG@10, mean over clicks.
    pub ndcg10: f64,
    /// HR@10, mean over clicks.
    pub hr10: f64,
    /// Calls per session, without the first list.
    pub calls: f64,
    /// Calls per decision. Every click but the last is followed by a decision.
    pub call_share: f64,
    /// Cost of a session.
    pub cost: SessionCost,
    /// Mean loss before and after a learning step, in nats; `None` without steps.
    pub losses: Option<(f64, f64)>,
    /// All clicks, by session.
    pub records: Vec<ClickRecord>,
}

#[derive(Default)]
struct SessionRun {
    records: Vec<ClickRecord>,
    losses: Vec<(f32, f32)>,
    rank_ms: Vec<f64>,
    learn_ms: Vec<f64>,
    traffic: Traffic,
}

impl SessionProtocol {
    /// The history and the live clicks of a session; `None` if the user has too few items.
    #[must_use]
    pub fn cut<'a>(&self, sequence: &'a Sequence) -> Option<(&'a [ItemIndex], &'a [ItemIndex])> {
        let end = sequence.items.len().checked_sub(self.skip)?;
        let start = end.checked_sub(self.clicks).filter(|start| *start > 0)?;
        Some((&sequence.items[..start], &sequence.items[start..end]))
    }

    /// Runs a session for each of the `users` (positions in the dataset) with enough items, in
    /// parallel.
    ///
    /// `list` plays the cloud: for a user and the user's items so far it returns candidates
    /// with log-probabilities in nats, best first. The first list of a session is free and
    /// made for the history before the session. Nothing is decided or learnt after the last
    /// click. `progress` is called with the number of finished sessions.
    ///
    /// # Errors
    /// [`EvaluationError::List`] if `list` fails, [`EvaluationError::Session`] if a session
    /// fails.
    pub fn run<L: AsRef<[(ItemIndex, f32)]>, E: Into<Box<dyn Error + Send + Sync>>>(
        &self,
        dataset: &Dataset,
        users: &[usize],
        device: SimulatedDevice<'_>,
        progress: impl Fn(usize) + Sync,
        list: impl Fn(usize, &[ItemIndex]) -> Result<L, E> + Sync,
    ) -> Result<SessionReport, EvaluationError> {
        let cut = |&user: &usize| {
            let (before, live) = self.cut(&dataset.sequences[user])?;
            Some((user, before, live))
        };
        let cuts: Vec<_> = users.iter().filter_map(cut).collect();
        let list = |user: usize, items: &[ItemIndex]| {
            list(user, items).map_err(|error| EvaluationError::List(error.into()))
        };
        let runs: Vec<SessionRun> = cuts
            .par_iter()
            .enumerate()
            .map(|(number, &parts)| {
                let list = |items: &[ItemIndex]| list(parts.0, items);
                let run = block_on(self.session(number, dataset, parts, device, list))?;
                progress(1);
                Ok(run)
            })
            .collect::<Result<_, EvaluationError>>()?;
        Ok(Self::report(&runs))
    }

    async fn session<L: AsRef<[(ItemIndex, f32)]>>(
        &self,
        number: usize,
        dataset: &Dataset,
        (user, before, live): (usize, &[ItemIndex], &[ItemIndex]),
        device: SimulatedDevice<'_>,
        list: impl Fn(&[ItemIndex]) -> Result<L, EvaluationError>,
    ) -> Result<SessionRun, EvaluationError> {
        let mut items = before.to_vec();
        let mut now_ms = 0.0;
        let mut session = device.begin(dataset, user, before)?;
        let traffic = device.request(dataset, &mut session, list(&items)?.as_ref(), now_ms)?;
        let mut run = SessionRun { traffic, ..SessionRun::default() };
        for (click, &item) in live.iter().enumerate() {
            let (shown, traffic) = device.rank(dataset, &mut session).await?;
            run.traffic += traffic;
            session.record_shown(&shown);
            let clicked = id(dataset, item);
            let rank = shown.items.iter().position(|shown| shown.item == clicked);
            let mut record =
                ClickRecord { session: number, click, rank, disagreement: None, called: false };
            if click + 1 < live.len() {
                session.track(&Event { kind: EventKind::Click, item: clicked });
                items.push(item);
                now_ms += self.ms_between_clicks;
                let begun = Instant::now();
                let ranked = session.rank().await?;
                run.rank_ms.push(milliseconds(begun));
                let decision = session.decide(&ranked, Connection::default(), now_ms);
                record.disagreement = decision.disagreement;
                record.called = decision.action == Action::Request;
                if record.called {
                    let list = list(&items)?;
                    run.traffic += device.request(dataset, &mut session, list.as_ref(), now_ms)?;
                }
                // As on a device, learning comes after the decision and the paint.
                if self.learn {
                    let begun = Instant::now();
                    if let Some(outcome) = session.learn().await? {
                        run.learn_ms.push(milliseconds(begun));
                        run.losses.push((outcome.loss_before, outcome.loss_after));
                    }
                }
            }
            run.records.push(record);
        }
        Ok(run)
    }

    fn report(runs: &[SessionRun]) -> SessionReport {
        let records: Vec<ClickRecord> =
            runs.iter().flat_map(|run| run.records.iter().copied()).collect();
        let mean = |sum: f64, count: usize| sum / count.max(1) as f64;
        let losses: Vec<(f32, f32)> =
            runs.iter().flat_map(|run| run.losses.iter().copied()).collect();
        let sum = |value: fn(&(f32, f32)) -> f32| -> f64 {
            mean(losses.iter().map(|pair| f64::from(value(pair))).sum(), losses.len())
        };
        let calls = records.iter().filter(|record| record.called).count();
        let decisions = records.len() - runs.len();
        let bytes = |of: fn(&SessionRun) -> usize| {
            mean(runs.iter().map(|run| of(run) as f64).sum(), runs.len())
        };
        let rank_ms = sorted(runs.iter().flat_map(|run| &run.rank_ms));
        let learn_ms = sorted(runs.iter().flat_map(|run| &run.learn_ms));
        SessionReport {
            sessions: runs.len(),
            ndcg10: mean(records.iter().map(|r| ndcg(r.rank, 10)).sum(), records.len()),
            hr10: mean(records.iter().map(|r| hit(r.rank, 10)).sum(), records.len()),
            calls: mean(calls as f64, runs.len()),
            call_share: mean(calls as f64, decisions),
            cost: SessionCost {
                rank_ms_p50: quantile(&rank_ms, 0.5),
                rank_ms_p95: quantile(&rank_ms, 0.95),
                learn_ms_p50: quantile(&learn_ms, 0.5),
                learn_ms_p95: quantile(&learn_ms, 0.95),
                bytes_up: bytes(|run| run.traffic.up),
                bytes_down: bytes(|run| run.traffic.down),
            },
            losses: (!losses.is_empty()).then(|| (sum(|pair| pair.0), sum(|pair| pair.1))),
            records,
        }
    }
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn sorted<'a>(values: impl Iterator<Item = &'a f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.copied().collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The quantile of sorted values by nearest rank; 0 without values.
#[allow(clippy::cast_sign_loss, reason = "a share is not negative")]
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tandem_collaboration::Trigger;

    use super::*;
    use crate::testing::{Parts, dataset, next_items};

    fn run(trigger: Trigger) -> SessionReport {
        let parts = Parts::new(trigger);
        let protocol = SessionProtocol { clicks: 3, skip: 0, ms_between_clicks: 1e4, learn: true };
        protocol
            .run(
                &dataset(),
                &[0, 1, 2],
                parts.device(),
                |_| (),
                |_, items| Ok::<_, Infallible>(next_items(items)),
            )
            .unwrap()
    }

    #[test]
    fn a_stale_list_keeps_its_order_without_seen_items() {
        let report = run(Trigger::Never);
        assert_eq!(report.sessions, 2, "user b has no session");
        assert!(report.records.iter().all(|record| !record.called) && report.calls < 1e-9);
        // a: history 0, 1, 2; the list 3, 4, 5, … has the next item on top each time.
        // c: history 9; list 10, 11, 0, …, 8: the clicks 8, 7, 6 are last each time.
        let ranks: Vec<Option<usize>> = report.records.iter().map(|record| record.rank).collect();
        assert_eq!(ranks, [Some(0), Some(0), Some(0), Some(10), Some(9), Some(8)]);
        let expected = (3.0 + 1.0 / 11_f64.log2() + 1.0 / 10_f64.log2()) / 6.0;
        assert!((report.ndcg10 - expected).abs() < 1e-9, "{}", report.ndcg10);
        assert!((report.hr10 - 5.0 / 6.0).abs() < 1e-9);
        let (before, after) = report.losses.unwrap();
        assert!(after < before);
    }

    #[test]
    fn always_calls_after_every_click() {
        let report = run(Trigger::Always);
        // After two of three clicks: the session ends with the last one.
        assert!((report.calls - 2.0).abs() < 1e-9 && (report.call_share - 1.0).abs() < 1e-9);
        let called: Vec<bool> = report.records.iter().map(|record| record.called).collect();
        assert_eq!(called, [true, true, false, true, true, false]);
        assert!(report.cost.bytes_up > 0.0 && report.cost.bytes_down > report.cost.bytes_up);
        // c after the click on 8: a new list 9, 10, …, without what was seen (9, 8).
        assert_eq!(report.records[4].rank, Some(9));
    }

    #[test]
    fn validation_sessions_end_before_test_sessions_begin() {
        let dataset = dataset();
        let protocol = SessionProtocol { clicks: 2, skip: 0, ms_between_clicks: 0.0, learn: false };
        let validation = SessionProtocol { skip: 2, ..protocol };
        let items = |items: &[ItemIndex]| items.iter().map(|item| item.0).collect::<Vec<_>>();
        let (before, live) = validation.cut(&dataset.sequences[0]).unwrap();
        assert_eq!((items(before), items(live)), (vec![0, 1], vec![2, 3]));
        let (before, live) = protocol.cut(&dataset.sequences[0]).unwrap();
        assert_eq!((items(before), items(live)), (vec![0, 1, 2, 3], vec![4, 5]));
        assert_eq!(validation.cut(&dataset.sequences[1]), None);
    }
}
