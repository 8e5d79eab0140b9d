use std::fmt;

/// Why a [`Decision`](super::Decision) was made.
///
/// [`Reason::code`] is for programs and stays; the [`Display`](fmt::Display) text is for
/// people.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reason {
    /// There is no list yet.
    NoCandidates,
    /// The two orders are further apart than the threshold.
    RankingsDisagree {
        /// What was found.
        disagreement: f32,
        /// What it was compared with.
        threshold: f32,
    },
    /// The two orders are close enough.
    RankingsAgree {
        /// What was found.
        disagreement: f32,
        /// What it was compared with.
        threshold: f32,
    },
    /// A fresh list is expected to help by more than the threshold.
    FreshListHelps {
        /// The gain in NDCG@10 that is expected.
        gain: f32,
        /// What it was compared with.
        threshold: f32,
    },
    /// A fresh list is expected to help too little.
    FreshListHelpsLittle {
        /// The gain in NDCG@10 that is expected.
        gain: f32,
        /// What it was compared with.
        threshold: f32,
    },
    /// The small model has no order of the list: no history that it can read, or fewer
    /// than two items.
    NothingToCompare,
    /// The list was made for everyone, and now something is known of the visitor.
    ListNotPersonal,
    /// Too few items of the list are left to recommend.
    ListUsedUp {
        /// How many are left.
        left: usize,
    },
    /// The list is older than allowed.
    ListTooOld {
        /// The age allowed, in milliseconds.
        max_age_ms: f64,
    },
    /// Too many clicks since the list came.
    ManyClicks {
        /// How many.
        clicks: u64,
    },
    /// Nothing happened since the list was asked for: a new one would be the same.
    ListUpToDate,
    /// A baseline's turn to call.
    Scheduled,
    /// Not a baseline's turn to call.
    NotScheduled,
    /// A call is wanted, and one is on its way already.
    CallUnderWay,
    /// A call is wanted, and there is no network, or it is not to be used.
    Offline,
    /// A call is wanted, and the server failed a moment ago.
    LastCallFailed {
        /// When it is tried again, in milliseconds.
        retry_in_ms: f64,
    },
    /// A call is wanted, and the budget does not allow it.
    BudgetSpent {
        /// When it will.
        next: NextCall,
    },
}

/// When a spent budget allows the next call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NextCall {
    /// In so many milliseconds.
    InMs(f64),
    /// After so many more clicks.
    AfterClicks(u64),
    /// Not in this session.
    Never,
}

impl Reason {
    /// Milliseconds after which the same situation may be decided otherwise, if time alone
    /// can do that.
    #[must_use]
    pub fn wait_ms(&self) -> Option<f64> {
        match *self {
            Self::LastCallFailed { retry_in_ms } => Some(retry_in_ms),
            Self::BudgetSpent { next: NextCall::InMs(wait) } => Some(wait),
            _ => None,
        }
    }

    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoCandidates => "no_candidates",
            Self::RankingsDisagree { .. } => "rankings_disagree",
            Self::RankingsAgree { .. } => "rankings_agree",
            Self::FreshListHelps { .. } => "fresh_list_helps",
            Self::FreshListHelpsLittle { .. } => "fresh_list_helps_little",
            Self::NothingToCompare => "nothing_to_compare",
            Self::ListNotPersonal => "list_not_personal",
            Self::ListUsedUp { .. } => "list_used_up",
            Self::ListTooOld { .. } => "list_too_old",
            Self::ManyClicks { .. } => "many_clicks",
            Self::ListUpToDate => "list_up_to_date",
            Self::Scheduled => "scheduled",
            Self::NotScheduled => "not_scheduled",
            Self::CallUnderWay => "call_under_way",
            Self::Offline => "offline",
            Self::LastCallFailed { .. } => "last_call_failed",
            Self::BudgetSpent { .. } => "budget_spent",
        }
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
                write!(f, "a fresh list would help ({})", Compared(gain, ">", threshold, 3))
            }
            Self::FreshListHelpsLittle { gain, threshold } => {
                write!(f, "a fresh list would help little ({})", Compared(gain, "≤", threshold, 3))
            }
            Self::NothingToCompare => f.write_str("nothing to compare the list with"),
            Self::ListNotPersonal => f.write_str("list was made before the first click"),
            Self::ListUsedUp { left } => write!(f, "list is used up ({left} left)"),
            Self::ListTooOld { max_age_ms } => {
                write!(f, "list is older than {}", Duration(max_age_ms))
            }
            Self::ManyClicks { clicks } => {
                write!(f, "list is {clicks} {} old", clicks_word(clicks))
            }
            Self::ListUpToDate => f.write_str("list is up to date (nothing new since it came)"),
            Self::Scheduled => f.write_str("a call is due"),
            Self::NotScheduled => f.write_str("no call is due"),
            Self::CallUnderWay => f.write_str("a call is under way"),
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

/// Two numbers with so many digits, or two more if it takes them to see which is larger.
struct Compared(f32, &'static str, f32, u8);

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(left, sign, right, digits) = *self;
        // A difference below a unit of the last digit may print as equal numbers.
        let close = (left - right).abs() < 0.1_f32.powi(digits.into());
        let more = if close && left.to_bits() != right.to_bits() { 2 } else { 0 };
        let digits = usize::from(digits + more);
        write!(f, "{left:.digits$} {sign} {right:.digits$}")
    }
}

/// Milliseconds as people say them, rounded up: `12 s`, `10 min`, `2 h`.
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
