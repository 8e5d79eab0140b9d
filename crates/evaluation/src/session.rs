//! The `session` protocol: each user's newest interactions arrive one after another as
//! live clicks, and the very state machine that runs in the browser answers them.

use std::error::Error;

use futures_lite::future::block_on;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tandem_collaboration::Action;
use tandem_dataset::{Dataset, ItemIndex, Sequence};
use tandem_model::Scorer;
use tandem_protocol::{
    Candidate, CandidatesResponse, Event, EventKind, Ignored, ItemId, Ranking, Timings,
};
use tandem_session::{Connection, RowStore, Session, Settings};

use crate::{EvaluationError, hit, ndcg};

/// How sessions are cut out of the logs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionProtocol {
    /// Live clicks a session, `m`. Models may have been trained on nothing from the first
    /// of them on.
    pub clicks: usize,
    /// Newest interactions that are left out: 0 to test; at least as many as the test's
    /// `clicks` to choose settings, so that nothing is chosen on what is tested.
    pub skip: usize,
    /// Time between clicks, in milliseconds: what the token bucket sees.
    pub ms_between_clicks: f64,
    /// Whether the device learns.
    pub learn: bool,
}

/// One live click, as it was served.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClickRecord {
    /// Which session, in the order of the users that have one.
    pub session: usize,
    /// Which of its clicks, from 0.
    pub click: usize,
    /// Rank of the clicked item in what was shown before the click, from 0; `None` if it
    /// was not in the list.
    pub rank: Option<usize>,
    /// How far the two models' orders were apart after the click.
    pub disagreement: Option<f32>,
    /// Whether the cloud was called after the click.
    pub called: bool,
}

/// What [`SessionProtocol::run`] found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionReport {
    /// Sessions that were run.
    pub sessions: usize,
    /// Mean over clicks.
    pub ndcg10: f64,
    /// Mean over clicks.
    pub hr10: f64,
    /// Calls a session after the first list.
    pub calls: f64,
    /// Mean loss of the learning steps before and after each, in nats.
    pub losses: Option<(f64, f64)>,
    /// Every click, by session.
    pub records: Vec<ClickRecord>,
}

struct SessionRun {
    records: Vec<ClickRecord>,
    losses: Vec<(f32, f32)>,
}

impl SessionProtocol {
    /// The part of a sequence that a session is made of: what came before, and its live
    /// clicks. `None` if the user has too few items for both.
    #[must_use]
    pub fn cut<'a>(&self, sequence: &'a Sequence) -> Option<(&'a [ItemIndex], &'a [ItemIndex])> {
        let end = sequence.items.len().checked_sub(self.skip)?;
        let start = end.checked_sub(self.clicks).filter(|start| *start > 0)?;
        Some((&sequence.items[..start], &sequence.items[start..end]))
    }

    /// Runs a session for every user of `users` (positions in the dataset) who has enough
    /// items, in parallel.
    ///
    /// `list` answers as the cloud would: for a user's items so far, candidates with
    /// log-probabilities in nats, best first. The first list of a session is free; it is
    /// made from what came before the session.
    ///
    /// # Errors
    /// What `list` fails with, or a session that cannot go on.
    pub fn run<E: Into<Box<dyn Error + Send + Sync>>>(
        &self,
        dataset: &Dataset,
        users: &[usize],
        device: (&Scorer, &RowStore, &Settings),
        list: impl Fn(&[ItemIndex]) -> Result<Vec<(ItemIndex, f32)>, E> + Sync,
    ) -> Result<SessionReport, EvaluationError> {
        let sequences = users.iter().map(|&user| &dataset.sequences[user]);
        let cuts: Vec<_> = sequences.filter_map(|sequence| self.cut(sequence)).collect();
        let runs: Vec<SessionRun> = cuts
            .par_iter()
            .enumerate()
            .map(|(number, &(before, live))| {
                block_on(self.session(number, dataset, before, live, device, &list))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self::report(&runs))
    }

    async fn session<E: Into<Box<dyn Error + Send + Sync>>>(
        &self,
        number: usize,
        dataset: &Dataset,
        before: &[ItemIndex],
        live: &[ItemIndex],
        (scorer, rows, settings): (&Scorer, &RowStore, &Settings),
        list: &(impl Fn(&[ItemIndex]) -> Result<Vec<(ItemIndex, f32)>, E> + Sync),
    ) -> Result<SessionRun, EvaluationError> {
        let failed = |error: tandem_session::SessionError| EvaluationError::Session(error.into());
        let id = |item: ItemIndex| -> ItemId { dataset.catalogue.get(item).id.clone() };
        let mut items = before.to_vec();
        let mut now_ms = 0.0;
        let mut session =
            Session::new(scorer.clone(), rows.clone(), settings.clone()).map_err(failed)?;
        session.begin_with(before.iter().map(|&item| id(item)));
        let call = |session: &mut Session, items: &[ItemIndex], now_ms: f64| {
            let candidates = list(items).map_err(|error| EvaluationError::Scorer(error.into()))?;
            let (_, ticket) = session.begin_request(None, now_ms);
            let response = answer(settings, candidates, id);
            session.accept(ticket, response, now_ms).map_err(failed).map(|_| ())
        };
        call(&mut session, &items, now_ms)?;
        let mut run = SessionRun { records: Vec::new(), losses: Vec::new() };
        for (click, &item) in live.iter().enumerate() {
            let shown = session.rank().await.map_err(failed)?;
            let clicked = id(item);
            let rank = shown.items.iter().position(|shown| shown.item == clicked);
            session.track(&Event { kind: EventKind::Click, item: clicked });
            items.push(item);
            now_ms += self.ms_between_clicks;
            let ranked = session.rank().await.map_err(failed)?;
            let decision = session.decide(&ranked, Connection::default(), now_ms);
            let called = decision.action == Action::Request;
            if called {
                call(&mut session, &items, now_ms)?;
            }
            // After the decision, as on a device: there, learning waits for the paint.
            if self.learn
                && let Some(outcome) = session.learn().await.map_err(failed)?
            {
                run.losses.push((outcome.loss_before, outcome.loss_after));
            }
            let disagreement = decision.disagreement;
            run.records.push(ClickRecord { session: number, click, rank, disagreement, called });
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
        SessionReport {
            sessions: runs.len(),
            ndcg10: mean(records.iter().map(|r| ndcg(r.rank, 10)).sum(), records.len()),
            hr10: mean(records.iter().map(|r| hit(r.rank, 10)).sum(), records.len()),
            calls: mean(calls as f64, runs.len()),
            losses: (!losses.is_empty()).then(|| (sum(|pair| pair.0), sum(|pair| pair.1))),
            records,
        }
    }
}

/// The cloud's answer as the device would read it.
fn answer(
    settings: &Settings,
    candidates: Vec<(ItemIndex, f32)>,
    id: impl Fn(ItemIndex) -> ItemId,
) -> CandidatesResponse {
    CandidatesResponse {
        model: "evaluation".into(),
        catalogue_hash: settings.catalogue_hash.clone(),
        ranking: Ranking::LanguageModel,
        candidates: candidates
            .into_iter()
            .map(|(item, logprob)| Candidate { item: id(item), logprob, row: None })
            .collect(),
        history_rows: Vec::new(),
        ignored: Ignored::default(),
        timings: Timings::default(),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, convert::Infallible};

    use tandem_collaboration::{Fusion, LanguageModelScore, Normalisation, Policy, Trigger};
    use tandem_dataset::{Catalogue, Item};
    use tandem_model::{Body, Device, ItemTable, LearningConfig};
    use tandem_protocol::{ModelConfig, ModelKind};

    use super::*;

    const ITEMS: u32 = 12;

    fn dataset() -> Dataset {
        let items = (0..ITEMS).map(|id| Item::untitled(id.to_string().as_str().into())).collect();
        let sequence = |user: &str, items: &[u32]| Sequence {
            user: user.into(),
            items: items.iter().copied().map(ItemIndex).collect(),
            times: None,
        };
        let sequences = vec![
            sequence("a", &[0, 1, 2, 3, 4, 5]),
            sequence("b", &[5, 3]),
            sequence("c", &[9, 8, 7, 6]),
        ];
        Dataset::new("d", Catalogue::new(items).unwrap(), sequences, None).unwrap()
    }

    fn device(trigger: Trigger) -> (Scorer, RowStore, Settings) {
        let config =
            ModelConfig { kind: ModelKind::Sasrec, dims: 4, blocks: 1, heads: 1, max_length: 4 };
        let cpu = Device::flex();
        let bytes = Body::new(&config, 0.0, &cpu).unwrap().to_bytes(&HashMap::new()).unwrap();
        let table: Vec<f32> = (0..ITEMS * 4).map(|i| (i as f32 * 0.7).sin()).collect();
        let rows = RowStore::whole(
            ItemTable::quantise(&table, 4).unwrap(),
            (0..ITEMS).map(|id| ItemId::new(id.to_string())),
        );
        let settings = Settings {
            // The language model alone, so that ranks can be worked out by hand.
            fusion: Fusion::Weighted {
                alpha: 1.0,
                language_model: LanguageModelScore::Rank,
                small_model: Normalisation::Rank,
            },
            policy: Policy::bare(trigger),
            learning: LearningConfig::default(),
            base: "base".into(),
            catalogue_hash: "catalogue".into(),
        };
        (Scorer::new(&config, &bytes, &cpu).unwrap(), rows.unwrap(), settings)
    }

    /// The items after the newest one, in order: right for user `a`, wrong for `c`.
    fn next_items(items: &[ItemIndex]) -> Vec<(ItemIndex, f32)> {
        let last = items.last().unwrap().0;
        (1..ITEMS).map(|by| (ItemIndex((last + by) % ITEMS), -(by as f32))).collect()
    }

    fn run(trigger: Trigger) -> SessionReport {
        let (scorer, rows, settings) = device(trigger);
        let protocol = SessionProtocol { clicks: 3, skip: 0, ms_between_clicks: 1e4, learn: true };
        protocol
            .run(&dataset(), &[0, 1, 2], (&scorer, &rows, &settings), |items| {
                Ok::<_, Infallible>(next_items(items))
            })
            .unwrap()
    }

    #[test]
    fn a_stale_list_keeps_its_order_and_loses_what_was_seen() {
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
        assert!((report.calls - 3.0).abs() < 1e-9);
        assert!(report.records.iter().all(|record| record.called));
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
