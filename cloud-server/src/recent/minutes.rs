use std::collections::VecDeque;

use serde::Serialize;
use tandem_protocol::{EngineKind, ErrorCode, Ranking};

use super::{durations::Durations, engine_name, ranking_name};

/// Number of minutes that are kept and shown, the current one included.
const MINUTES: u64 = 60;
/// Maximum number of kinds of lists in a minute: models, each with two rankings.
const MAX_KINDS: usize = 64;

/// The numbers of the last hour.
#[derive(Debug, Default)]
pub(super) struct Minutes(VecDeque<Counts>);

/// The numbers of one minute.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Minutes since 1970.
    number: u64,
    pub(super) requests: u64,
    pub(super) failures: u64,
    pub(super) refusals: u64,
    pub(super) prompt_tokens: u64,
    pub(super) cached_tokens: u64,
    /// The longest time in the queue.
    pub(super) queue_ms: f64,
    pub(super) events: u64,
    pub(super) durations: Durations,
    lists: Vec<(ListKind, u64)>,
    codes: Vec<(Refusal, u64)>,
}

/// The code of an error response, and its cause, if the code has several.
type Refusal = (ErrorCode, Option<&'static str>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct ListKind {
    model: String,
    engine: &'static str,
    ranking: &'static str,
}

/// The numbers of a minute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub(crate) struct Minute {
    /// Start of the minute, in milliseconds since 1970.
    pub(crate) start: u64,
    /// Responses, but those of monitoring and of this page.
    pub(crate) requests: u64,
    /// Responses with a status of 500 or more.
    pub(crate) failures: u64,
    /// Responses with a status of 400 to 499.
    pub(crate) refusals: u64,
    /// Candidate lists.
    pub(crate) lists: u64,
    /// Stored events.
    pub(crate) events: u64,
    /// Median time of a request for a list in milliseconds; `null` without one.
    pub(crate) median_ms: Option<f64>,
    /// 95th percentile of the same.
    pub(crate) p95_ms: Option<f64>,
    /// The longest time of a list in the queue in milliseconds.
    pub(crate) queue_ms: f64,
}

/// The numbers of the last hour.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub(crate) struct Hour {
    /// 60 minutes, the current one at the end.
    pub(crate) minutes: Vec<Minute>,
    /// Median time of a request for a list in milliseconds; `null` without one.
    pub(crate) median_ms: Option<f64>,
    /// 95th percentile of the same.
    pub(crate) p95_ms: Option<f64>,
    /// Tokens of prompts that were evaluated.
    pub(crate) prompt_tokens: u64,
    /// Tokens of prompts that were in the prefix cache.
    pub(crate) cached_tokens: u64,
    /// Lists by model, engine and what they are ordered by.
    pub(crate) lists: Vec<KindOfLists>,
    /// Error responses by code and cause, the most frequent first.
    pub(crate) refusals: Vec<CodeCount>,
}

/// Number of lists of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct KindOfLists {
    model: String,
    /// `titles`, `item_tokens` or `unknown`.
    engine: &'static str,
    /// `language_model` or `popularity`.
    ranking: &'static str,
    lists: u64,
}

/// Number of error responses of one code and cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct CodeCount {
    code: &'static str,
    /// What happened, if the code has several causes.
    cause: Option<&'static str>,
    count: u64,
}

impl Minutes {
    /// The numbers of a minute; those of a minute that is not newer than an hour ago are lost.
    pub(super) fn at(&mut self, number: u64) -> &mut Counts {
        // A time that was set back by a moment counts in the newest minute. By more, the minutes of
        // the wrong time are lost: they would hide the right ones.
        while self.0.back().is_some_and(|newest| newest.number > number + 1) {
            self.0.pop_back();
        }
        if self.0.back().is_none_or(|newest| newest.number < number) {
            self.0.push_back(Counts { number, ..Counts::default() });
            while self.0.front().is_some_and(|oldest| oldest.number + MINUTES <= number) {
                self.0.pop_front();
            }
        }
        let newest = self.0.len() - 1;
        &mut self.0[newest]
    }

    /// The hour that ends with the minute `number`.
    pub(super) fn hour(&self, number: u64) -> Hour {
        let first = (number + 1).saturating_sub(MINUTES);
        let counts = || self.0.iter().filter(|counts| (first..=number).contains(&counts.number));
        let minute = |number| {
            let found = counts().find(|counts| counts.number == number);
            found.map_or(Minute { start: number * 60_000, ..Minute::default() }, Counts::minute)
        };
        let mut durations = Durations::default();
        let (mut lists, mut codes) = (Vec::new(), Vec::new());
        for counts in counts() {
            durations.add(&counts.durations);
            counts.lists.iter().for_each(|(kind, count)| add(&mut lists, kind, *count));
            counts.codes.iter().for_each(|(code, count)| add(&mut codes, code, *count));
        }
        codes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let kind = |(kind, lists): (ListKind, u64)| {
            let ListKind { model, engine, ranking } = kind;
            KindOfLists { model, engine, ranking, lists }
        };
        let code = |((code, cause), count): (Refusal, u64)| CodeCount {
            code: code.as_str(),
            cause,
            count,
        };
        Hour {
            minutes: (first..=number).map(minute).collect(),
            median_ms: durations.percentile_ms(50),
            p95_ms: durations.percentile_ms(95),
            prompt_tokens: counts().map(|counts| counts.prompt_tokens).sum(),
            cached_tokens: counts().map(|counts| counts.cached_tokens).sum(),
            lists: lists.into_iter().map(kind).collect(),
            refusals: codes.into_iter().map(code).collect(),
        }
    }
}

impl Counts {
    pub(super) fn count_list(&mut self, model: &str, engine: Option<EngineKind>, ranking: Ranking) {
        let (engine, ranking) = (engine_name(engine), ranking_name(ranking));
        let kind = ListKind { model: model.to_owned(), engine, ranking };
        if self.lists.len() < MAX_KINDS || self.lists.iter().any(|(known, _)| *known == kind) {
            add(&mut self.lists, &kind, 1);
        }
    }

    pub(super) fn count_refusal(&mut self, code: ErrorCode, cause: Option<&'static str>) {
        add(&mut self.codes, &(code, cause), 1);
    }

    fn minute(&self) -> Minute {
        Minute {
            start: self.number * 60_000,
            requests: self.requests,
            failures: self.failures,
            refusals: self.refusals,
            lists: self.lists.iter().map(|(_, count)| count).sum(),
            events: self.events,
            median_ms: self.durations.percentile_ms(50),
            p95_ms: self.durations.percentile_ms(95),
            queue_ms: self.queue_ms,
        }
    }
}

fn add<K: Clone + PartialEq>(counts: &mut Vec<(K, u64)>, key: &K, more: u64) {
    match counts.iter_mut().find(|(known, _)| known == key) {
        Some((_, count)) => *count += more,
        None => counts.push((key.clone(), more)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_has_sixty_minutes_and_forgets_older_ones() {
        let mut minutes = Minutes::default();
        minutes.at(100).requests += 7;
        minutes.at(130).requests += 2;
        minutes.at(130).count_list("a", Some(EngineKind::Titles), Ranking::LanguageModel);
        minutes.at(130).count_list("a", Some(EngineKind::Titles), Ranking::Popularity);
        minutes.at(130).count_list("a", Some(EngineKind::Titles), Ranking::Popularity);
        for cause in ["the queue was full", "the storage did not answer", "the queue was full"] {
            minutes.at(131).count_refusal(ErrorCode::Overloaded, Some(cause));
        }
        minutes.at(131).durations.record(0.01);
        let hour = minutes.hour(159);
        assert_eq!(hour.minutes.len(), 60);
        assert_eq!((hour.minutes[0].start, hour.minutes[0].requests), (100 * 60_000, 7));
        assert_eq!((hour.minutes[30].requests, hour.minutes[30].lists), (2, 3));
        assert_eq!(hour.lists.iter().map(|kind| kind.lists).collect::<Vec<_>>(), [1, 2]);
        let overloaded = |cause, count| CodeCount { code: "overloaded", cause: Some(cause), count };
        let expected =
            [overloaded("the queue was full", 2), overloaded("the storage did not answer", 1)];
        assert_eq!(hour.refusals, expected);
        assert!((9.0..11.0).contains(&hour.p95_ms.unwrap()));
        let later = minutes.hour(160);
        assert_eq!(later.minutes[0].requests, 0);
        assert_eq!(later.minutes.iter().map(|minute| minute.requests).sum::<u64>(), 2);
        // The next minute of traffic drops what is older than an hour.
        minutes.at(500).requests += 1;
        assert_eq!(minutes.0.len(), 1);
        // A clock that goes back.
        minutes.at(499).requests += 1;
        assert_eq!(minutes.hour(500).minutes[59].requests, 2);
        minutes.at(400).requests += 1;
        assert_eq!(minutes.hour(400).minutes[59].requests, 1);
    }

    #[test]
    fn the_kinds_of_lists_of_a_minute_are_bounded() {
        let mut counts = Counts::default();
        for model in 0..1000 {
            counts.count_list(&model.to_string(), None, Ranking::LanguageModel);
        }
        assert_eq!(counts.lists.len(), MAX_KINDS);
    }
}
