use std::fmt;

use serde::Serialize;

/// The reason for a [`Decision`](super::Decision).
///
/// [`Reason::code`] is for programs and does not change; the [`Display`](fmt::Display) text is
/// for people.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(into = "ReasonReport")]
pub enum Reason {
    /// There is no list yet.
    NoCandidates,
    /// The disagreement of the two orders is above the threshold.
    RankingsDisagree {
        /// The disagreement, 0 to 1.
        disagreement: f32,
        /// The threshold it was compared with.
        threshold: f32,
    },
    /// The disagreement of the two orders is not above the threshold.
    RankingsAgree {
        /// The disagreement, 0 to 1.
        disagreement: f32,
        /// The threshold it was compared with.
        threshold: f32,
    },
    /// The expected gain of a fresh list is above the threshold.
    FreshListHelps {
        /// The expected gain in NDCG@10.
        gain: f32,
        /// The threshold it was compared with.
        threshold: f32,
    },
    /// The expected gain of a fresh list is not above the threshold.
    FreshListHelpsLittle {
        /// The expected gain in NDCG@10.
        gain: f32,
        /// The threshold it was compared with.
        threshold: f32,
    },
    /// The small model has no order of the list, because there is no usable history or the
    /// list has fewer than two items.
    NothingToCompare,
    /// The list was made without a history, and there is one now.
    ListNotPersonal,
    /// Too few items of the list can still be recommended.
    ListUsedUp {
        /// Number of items left.
        left: usize,
    },
    /// The list is older than the policy allows.
    ListTooOld {
        /// The largest allowed age in milliseconds.
        max_age_ms: f64,
    },
    /// There were too many clicks since the list was requested.
    ManyClicks {
        /// Number of clicks.
        clicks: u64,
    },
    /// Nothing happened since the list was requested; a new list would be the same.
    ListUpToDate,
    /// A baseline trigger calls now.
    Scheduled,
    /// A baseline trigger does not call now.
    NotScheduled,
    /// A call is wanted, but one is in flight already.
    CallUnderWay,
    /// A call is wanted, but there is no network, or calls are switched off.
    Offline,
    /// A call is wanted, but the server failed recently.
    LastCallFailed {
        /// Milliseconds until the next attempt.
        retry_in_ms: f64,
    },
    /// A call is wanted, but the budget is spent.
    BudgetSpent {
        /// When the budget allows the next call.
        next: NextCall,
    },
}

/// When the budget allows the next call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NextCall {
    /// After this many milliseconds.
    InMs(f64),
    /// After this many more clicks.
    AfterClicks(u64),
    /// Never in this session.
    Never,
}

impl Reason {
    /// Milliseconds after which the decision may change without another event; `None` if time
    /// alone does not change it.
    #[must_use]
    pub fn wait_ms(&self) -> Option<f64> {
        match *self {
            Self::LastCallFailed { retry_in_ms } => Some(retry_in_ms),
            Self::BudgetSpent { next: NextCall::InMs(wait) } => Some(wait),
            _ => None,
        }
    }

    /// The reason's name for programs.
    #[must_use]
    pub fn code(&self) -> ReasonCode {
        match self {
            Self::NoCandidates => ReasonCode::NoCandidates,
            Self::RankingsDisagree { .. } => ReasonCode::RankingsDisagree,
            Self::RankingsAgree { .. } => ReasonCode::RankingsAgree,
            Self::FreshListHelps { .. } => ReasonCode::FreshListHelps,
            Self::FreshListHelpsLittle { .. } => ReasonCode::FreshListHelpsLittle,
            Self::NothingToCompare => ReasonCode::NothingToCompare,
            Self::ListNotPersonal => ReasonCode::ListNotPersonal,
            Self::ListUsedUp { .. } => ReasonCode::ListUsedUp,
            Self::ListTooOld { .. } => ReasonCode::ListTooOld,
            Self::ManyClicks { .. } => ReasonCode::ManyClicks,
            Self::ListUpToDate => ReasonCode::ListUpToDate,
            Self::Scheduled => ReasonCode::Scheduled,
            Self::NotScheduled => ReasonCode::NotScheduled,
            Self::CallUnderWay => ReasonCode::CallUnderWay,
            Self::Offline => ReasonCode::Offline,
            Self::LastCallFailed { .. } => ReasonCode::LastCallFailed,
            Self::BudgetSpent { .. } => ReasonCode::BudgetSpent,
        }
    }
}

/// A [`Reason`] without its figures: a name for programs, in `snake_case` in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "documented as variants of `Reason`")]
pub enum ReasonCode {
    NoCandidates,
    RankingsDisagree,
    RankingsAgree,
    FreshListHelps,
    FreshListHelpsLittle,
    NothingToCompare,
    ListNotPersonal,
    ListUsedUp,
    ListTooOld,
    ManyClicks,
    ListUpToDate,
    Scheduled,
    NotScheduled,
    CallUnderWay,
    Offline,
    LastCallFailed,
    BudgetSpent,
}

/// A [`Reason`] as JavaScript gets it, as part of a [`Decision`](super::Decision).
#[derive(Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
struct ReasonReport {
    /// The reason, for programs.
    code: ReasonCode,
    /// The reason with its figures, for people.
    reason: String,
    /// Milliseconds after which time alone may change the decision (the back-off after a
    /// failed call, a spent budget); `null` if time changes nothing.
    wait_ms: Option<f64>,
}

/// The type of the report: the derive macro cannot replace a flattened field.
#[cfg(feature = "typescript")]
impl ts_rs::TS for Reason {
    type WithoutGenerics = Self;
    type OptionInnerType = Self;

    fn name(config: &ts_rs::Config) -> String {
        ReasonReport::name(config)
    }

    fn inline(config: &ts_rs::Config) -> String {
        ReasonReport::inline(config)
    }

    fn inline_flattened(config: &ts_rs::Config) -> String {
        ReasonReport::inline_flattened(config)
    }
}

impl From<Reason> for ReasonReport {
    fn from(reason: Reason) -> Self {
        Self { code: reason.code(), reason: reason.to_string(), wait_ms: reason.wait_ms() }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NoCandidates => f.write_str("no candidates yet"),
            Self::RankingsDisagree { disagreement, threshold } => {
                write!(f, "rankings disagree ({})", Compared(disagreement, ">", threshold, 2))
            }
            Self::RankingsAgree { disagreement, threshold } => {
                write!(f, "rankings agree ({})", Compared(disagreement, "≤", threshold, 2))
            }
            Self::FreshListHelps { gain, threshold } => {
                write!(
                    f,
                    "a fresh list is expected to help (gain {})",
                    Compared(gain, ">", threshold, 3)
                )
            }
            Self::FreshListHelpsLittle { gain, threshold } => {
                write!(
                    f,
                    "a fresh list is not expected to help (gain {})",
                    Compared(gain, "≤", threshold, 3)
                )
            }
            Self::NothingToCompare => f.write_str("the list cannot be compared yet"),
            Self::ListNotPersonal => f.write_str("the list is not personal yet"),
            Self::ListUsedUp { left } => write!(f, "list is used up ({left} left)"),
            Self::ListTooOld { max_age_ms } => {
                write!(f, "list is older than {}", Duration(max_age_ms))
            }
            Self::ManyClicks { clicks } => {
                write!(f, "list is {clicks} {} old", clicks_word(clicks))
            }
            Self::ListUpToDate => f.write_str("list is up to date (no new clicks)"),
            Self::Scheduled => f.write_str("a call is due"),
            Self::NotScheduled => f.write_str("no call is due"),
            Self::CallUnderWay => f.write_str("a call is in progress"),
            Self::Offline => f.write_str("offline"),
            Self::LastCallFailed { retry_in_ms } => {
                write!(f, "last call failed (next try in {})", Duration(retry_in_ms))
            }
            Self::BudgetSpent { next } => match next {
                NextCall::InMs(ms) => write!(f, "budget spent (next call in {})", Duration(ms)),
                NextCall::AfterClicks(clicks) => {
                    let word = clicks_word(clicks);
                    write!(f, "budget spent (next call after {clicks} more {word})")
                }
                NextCall::Never => f.write_str("budget spent (no more calls in this session)"),
            },
        }
    }
}

fn clicks_word(clicks: u64) -> &'static str {
    if clicks == 1 { "click" } else { "clicks" }
}

/// Two numbers with a given number of digits, and two more if they would print as equal.
struct Compared(f32, &'static str, f32, u8);

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(left, sign, right, digits) = *self;
        let close = (left - right).abs() < 0.1_f32.powi(digits.into());
        let more = if close && left.to_bits() != right.to_bits() { 2 } else { 0 };
        let digits = digits + more;
        // No "-0.000".
        let unsigned = |value: f32| {
            if value.abs() < 0.5 * 0.1_f32.powi(digits.into()) { 0.0 } else { value }
        };
        let (left, right, digits) = (unsigned(left), unsigned(right), usize::from(digits));
        write!(f, "{left:.digits$} {sign} {right:.digits$}")
    }
}

/// Milliseconds as a rounded-up duration: `12 s`, `10 min`, `2 h`.
struct Duration(f64);

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = (self.0 / 1_000.0).max(0.0).ceil();
        if seconds < 60.0 {
            write!(f, "{seconds} s")
        } else if seconds < 3_600.0 {
            write!(f, "{} min", (seconds / 60.0).ceil())
        } else {
            write!(f, "{} h", (seconds / 3_600.0).ceil())
        }
    }
}
