use futures_lite::future::block_on;
use rayon::prelude::*;
use tandem_collaboration::UpliftEvidence;
use tandem_dataset::ItemIndex;
use tandem_protocol::{Event, EventKind};
use tandem_session::{Session, Settings};

use super::{SessionReplay, Sessions};
use crate::{
    EvaluationError, ScoredList, SimulatedDevice,
    device::{id, last_logprob},
    ndcg,
    uplift_sample::UpliftSample,
};

/// Candidates with log-probabilities (nats), best first.
type List<'a> = &'a [(ItemIndex, f32)];

/// One session in which the list made before each click was tried at every later click: what
/// a call at any moment would have gained.
#[derive(Clone, Debug, Default)]
pub struct ObservedSession {
    /// NDCG@10 of the click `at` with the list made before the click `made` (both from 0),
    /// `[made][at - made]`.
    ndcg10: Vec<Vec<f64>>,
    /// What the device saw when it could have called before the click `at`,
    /// `[made][at - made - 1]`.
    evidence: Vec<Vec<Option<UpliftEvidence>>>,
    /// The lists themselves.
    pub lists: Vec<ScoredList>,
}

impl SessionReplay<'_> {
    /// Replays the sessions with each of their lists at every later click, in parallel.
    ///
    /// # Errors
    /// [`EvaluationError::MissingList`] for a click without a list, and errors of a session.
    pub fn observe(
        &self,
        sessions: &Sessions,
        settings: &Settings,
        task: &str,
    ) -> Result<Vec<ObservedSession>, EvaluationError> {
        let done = self.progress.begin(task, sessions.users.len());
        sessions
            .users
            .par_iter()
            .map(|&user| {
                let observed = self.observe_user(sessions, settings, user)?;
                done(1);
                Ok(observed)
            })
            .collect()
    }

    fn observe_user(
        &self,
        sessions: &Sessions,
        settings: &Settings,
        user: usize,
    ) -> Result<ObservedSession, EvaluationError> {
        let device = self.device(settings);
        let protocol = &sessions.protocol;
        let (clicks, skip) = (protocol.clicks, protocol.skip);
        let cut = protocol.cut(&self.dataset.sequences[user]);
        let (before, live) = cut.ok_or(EvaluationError::NoSession { clicks, skip })?;
        let mut observed = ObservedSession::default();
        let first = self.list(user, before.len())?;
        for made in 0..live.len() {
            let second = self.list(user, before.len() + made)?;
            let session = device.begin(self.dataset, user, before)?;
            let call =
                OneCall { device, live, lists: (first, second), made, learn: protocol.learn };
            block_on(self.one_call(session, &call, &mut observed))?;
        }
        Ok(observed)
    }

    /// A session with its first list and one call.
    async fn one_call(
        &self,
        mut session: Session,
        call: &OneCall<'_>,
        observed: &mut ObservedSession,
    ) -> Result<(), EvaluationError> {
        let &OneCall { device, live, lists: (first, second), made, learn } = call;
        device.request(self.dataset, &mut session, first, 0.0)?;
        let (mut gains, mut evidence) = (Vec::new(), Vec::new());
        for (at, &item) in live.iter().enumerate() {
            if at == made && made > 0 {
                device.request(self.dataset, &mut session, second, 0.0)?;
            }
            let clicked = id(self.dataset, item);
            let last_logprob = last_logprob(if at < made { first } else { second });
            // What a device with cells finds depends on what it fetched at earlier clicks.
            if at >= made || device.cells.is_some() {
                let (shown, _) = device.rank(self.dataset, &mut session).await?;
                session.record_shown(&shown);
                if at >= made {
                    let rank = shown.items.iter().position(|shown| shown.item == clicked);
                    gains.push(ndcg(rank, 10));
                    observed.lists.push(ScoredList::new(&shown, &clicked, last_logprob));
                }
            }
            session.track(&Event { kind: EventKind::Click, item: clicked });
            if at >= made && at + 1 < live.len() {
                // As on a device, the decision comes before the click is learnt from.
                let ranked = session.rank().await?;
                evidence.push(session.uplift_evidence(&ranked));
            }
            if learn {
                session.learn().await?;
            }
        }
        observed.ndcg10.push(gains);
        observed.evidence.push(evidence);
        Ok(())
    }
}

/// What [`SessionReplay::one_call`] replays.
struct OneCall<'a> {
    device: SimulatedDevice<'a>,
    live: &'a [ItemIndex],
    /// The list of the start, and that of the call.
    lists: (List<'a>, List<'a>),
    /// The click before which the call is made, from 0.
    made: usize,
    learn: bool,
}

impl ObservedSession {
    /// NDCG@10 of the click `at` with the list made before the click `made`.
    fn ndcg10(&self, made: usize, at: usize) -> f64 {
        self.ndcg10[made][at - made]
    }

    /// What the device saw before the click `at`, with the list made before the earlier click
    /// `made`.
    pub(crate) fn evidence(&self, made: usize, at: usize) -> Option<&UpliftEvidence> {
        self.evidence[made][at - made - 1].as_ref()
    }

    /// Every moment at which a call was possible, with its mean gain over the next `horizon`
    /// clicks, or as many as are left.
    pub fn samples(&self, horizon: usize) -> impl Iterator<Item = UpliftSample> + '_ {
        let clicks = self.ndcg10.len();
        let moments =
            (0..clicks).flat_map(move |made| (made + 1..clicks).map(move |at| (made, at)));
        moments.filter_map(move |(made, at)| {
            let end = clicks.min(at + horizon);
            let gain: f64 =
                (at..end).map(|click| self.ndcg10(at, click) - self.ndcg10(made, click)).sum();
            let gain = (gain / (end - at) as f64) as f32;
            Some(UpliftSample { evidence: *self.evidence(made, at)?, gain })
        })
    }
}

/// Quality and cost of a rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct CallsAndQuality {
    /// NDCG@10, mean over clicks.
    pub(crate) ndcg10: f64,
    /// Calls per decision. Every click but the last is followed by a decision.
    pub(crate) call_share: f64,
}

/// Simulates a rule on observed sessions. `rule(session, made, at)` says whether the device
/// calls before the click `at`, with the list made before the click `made`.
pub(crate) fn simulate(
    sessions: &[ObservedSession],
    mut rule: impl FnMut(usize, usize, usize) -> bool,
) -> CallsAndQuality {
    let (mut sum, mut clicks, mut calls, mut decisions) = (0.0, 0, 0, 0);
    for (number, session) in sessions.iter().enumerate() {
        let mut made = 0;
        for at in 0..session.ndcg10.len() {
            if at > 0 {
                decisions += 1;
                if rule(number, made, at) {
                    made = at;
                    calls += 1;
                }
            }
            sum += session.ndcg10(made, at);
            clicks += 1;
        }
    }
    CallsAndQuality {
        ndcg10: sum / f64::from(clicks.max(1)),
        call_share: f64::from(calls) / f64::from(decisions.max(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three clicks: NDCG 0.1 with the first list, 0.3 and then 0.2 with the second, 0.6
    /// with the third.
    fn observed() -> ObservedSession {
        let ndcg10 = vec![vec![0.1, 0.1, 0.1], vec![0.3, 0.2], vec![0.6]];
        ObservedSession {
            ndcg10,
            evidence: vec![vec![None; 2], vec![None], vec![]],
            lists: Vec::new(),
        }
    }

    #[test]
    fn a_rule_gets_the_quality_of_the_lists_it_calls_for() {
        let sessions = [observed()];
        let near = |found: CallsAndQuality, ndcg10: f64, share: f64| {
            let (quality, calls) = (found.ndcg10 - ndcg10, found.call_share - share);
            assert!(quality.abs() < 1e-9 && calls.abs() < 1e-9, "{found:?}");
        };
        near(simulate(&sessions, |_, _, _| false), 0.1, 0.0);
        near(simulate(&sessions, |_, _, _| true), (0.1 + 0.3 + 0.6) / 3.0, 1.0);
        near(simulate(&sessions, |_, _, at| at == 1), (0.1 + 0.3 + 0.2) / 3.0, 0.5);
        near(simulate(&sessions, |_, made, at| at - made == 2), (0.1 + 0.1 + 0.6) / 3.0, 0.5);
        near(simulate(&[], |_, _, _| true), 0.0, 0.0);
    }

    #[test]
    fn samples_hold_the_mean_gain_of_the_next_clicks() {
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
