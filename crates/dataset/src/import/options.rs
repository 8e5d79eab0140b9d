use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{forgotten::ForgottenUsers, repeated_targets::RepeatedTargets};

/// What [`import`](crate::import()) reads, and how. [`ImportOptions::new`] has the defaults.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ImportOptions {
    /// Short name of the dataset.
    pub name: String,
    /// Citation and terms of use.
    pub notice: Option<String>,
    /// Files with interactions: paths, patterns such as `log/*.csv`, folders of the server's
    /// event log, or `-` for the standard input. A folder with `sequences.txt` can be given alone.
    pub events: Vec<PathBuf>,
    /// Files with items, given in the same way.
    pub catalogue: Vec<PathBuf>,
    /// Columns by name, where the name is not recognised or several are.
    pub columns: ColumnNames,
    /// Whether delimited files have a header. If not, columns are named `1`, `2` and so on.
    pub has_header: bool,
    /// How times are written, as for `strptime`: `%m/%d/%Y %H:%M`.
    pub time_format: Option<String>,
    /// Weights of event types, before the built-in ones; 0 leaves the type out.
    pub event_weights: Vec<(String, u32)>,
    /// Event types with a smaller weight are left out (1).
    pub min_event_weight: u32,
    /// Rows with a smaller rating or none are left out. `None`: rows with a rating of 0 or less.
    pub min_rating: Option<f64>,
    /// Whether rows that agree in user, item, time and event type all count (no: the first does).
    pub keep_duplicates: bool,
    /// Whether a user can have an item more than once ([`Repeats::Auto`]).
    pub repeats: Repeats,
    /// Share of rows that may be unreadable, 0 to 1 (0.01).
    pub max_bad_rows: f64,
    /// Users with more events in one hour are bots and are left out (1,000).
    pub max_events_per_user_hour: u32,
    /// Users that are left out because they asked to be forgotten.
    pub forgotten: ForgottenUsers,
}

/// Names of columns; `None` where the column is found by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct ColumnNames {
    pub user: Option<String>,
    pub item: Option<String>,
    pub time: Option<String>,
    pub event: Option<String>,
    pub rating: Option<String>,
    pub quantity: Option<String>,
    pub catalogue_item: Option<String>,
    pub title: Option<String>,
    pub category: Option<String>,
}

/// Whether items are consumed more than once, as in a shop for groceries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Repeats {
    /// No: of a user's interactions with one item, the first counts, and items that a user has
    /// seen are not recommended.
    Drop,
    /// Yes: every interaction counts, and items that a user has seen can be recommended.
    Keep,
    /// [`Repeats::Keep`] if the last item of most users is one that they had before, with another
    /// item in between, and at least 20 users have three such interactions.
    #[default]
    Auto,
}

impl ImportOptions {
    /// The defaults, for these files of interactions.
    pub fn new(name: impl Into<String>, events: impl IntoIterator<Item = PathBuf>) -> Self {
        Self {
            name: name.into(),
            notice: None,
            events: events.into_iter().collect(),
            catalogue: Vec::new(),
            columns: ColumnNames::default(),
            has_header: true,
            time_format: None,
            event_weights: Vec::new(),
            min_event_weight: super::events::VIEW,
            min_rating: None,
            keep_duplicates: false,
            repeats: Repeats::default(),
            max_bad_rows: 0.01,
            max_events_per_user_hour: 1_000,
            forgotten: ForgottenUsers::default(),
        }
    }
}

/// Users that [`Repeats::Auto`] needs for a decision.
const MIN_USERS: usize = 20;

impl Repeats {
    /// Whether repeats are kept.
    pub(super) fn decide(self, targets: RepeatedTargets) -> bool {
        match self {
            Self::Keep => true,
            Self::Drop => false,
            Self::Auto => targets.users >= MIN_USERS && 2 * targets.repeated > targets.users,
        }
    }
}
