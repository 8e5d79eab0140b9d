//! How log files are read: which column is what, and which rows count.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use tandem_dataset::{ColumnNames, ImportOptions, Repeats};

use crate::values::{self, ADVANCED};

/// Heading of the options that say which column is what.
const COLUMNS: &str = "Columns (found by their names unless given)";
/// Heading of the options that say what counts.
const RULES: &str = "Which rows count";

/// How log files are read.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LogOptions {
    #[command(flatten)]
    columns: Columns,
    #[command(flatten)]
    rules: Rules,
}

/// Names of columns.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Columns {
    /// User, visitor or session.
    #[arg(long, value_name = "NAME", help_heading = COLUMNS)]
    user_column: Option<String>,
    /// Item, in the log and in the catalogue.
    #[arg(long, value_name = "NAME", help_heading = COLUMNS)]
    item_column: Option<String>,
    /// Time.
    #[arg(long, value_name = "NAME", help_heading = COLUMNS)]
    time_column: Option<String>,
    /// Event type.
    #[arg(long, value_name = "NAME", help_heading = COLUMNS)]
    event_column: Option<String>,
    /// Rating.
    #[arg(long, value_name = "NAME", help_heading = COLUMNS)]
    rating_column: Option<String>,
    /// Quantity; a negative one is a return.
    #[arg(long, value_name = "NAME", help_heading = COLUMNS)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quantity_column: Option<String>,
    /// Item, in the catalogue, where the log names it differently.
    #[arg(long, value_name = "NAME", help_heading = COLUMNS)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    catalogue_item_column: Option<String>,
    /// Title, in the catalogue.
    #[arg(long, value_name = "NAME", help_heading = COLUMNS)]
    title_column: Option<String>,
    /// Categories, in the catalogue.
    #[arg(long, value_name = "NAME", help_heading = COLUMNS)]
    category_column: Option<String>,
    /// The files have no header line; their columns are called 1, 2 and so on.
    #[arg(long, help_heading = COLUMNS)]
    no_header: bool,
    /// How times are written, as for strptime, for example '%m/%d/%Y %H:%M'.
    #[arg(long, value_name = "FORMAT", help_heading = COLUMNS)]
    time_format: Option<String>,
}

/// What counts as an interaction.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Rules {
    /// Weight of an event type, before the built-in ones (docs/own-data.md); 0 leaves it out.
    #[arg(long, value_name = "NAME=WEIGHT", value_parser = event_weight, help_heading = RULES)]
    event: Vec<(String, u32)>,
    /// Smallest weight of an event that counts: 1 view, 2 click, 3 cart, 4 checkout, 5 purchase.
    #[arg(long, value_name = "WEIGHT", default_value_t = 1, allow_negative_numbers = true)]
    #[arg(help_heading = RULES)]
    min_event_weight: u32,
    /// Smallest rating that counts [default: every rating above 0].
    #[arg(long, value_name = "RATING", value_parser = values::finite, help_heading = RULES)]
    #[arg(allow_negative_numbers = true)]
    min_rating: Option<f64>,
    /// Whether items are bought or played again: `keep` for shops where they are, `auto` decides
    /// by the last items of the users.
    #[arg(long, value_enum, default_value_t = RepeatsArg::Auto, help_heading = RULES)]
    repeats: RepeatsArg,
    /// Count every row, even where user, item, time and event type are equal.
    #[arg(long, help_heading = RULES)]
    keep_duplicates: bool,
    /// Share of rows that may be unreadable; they are listed in bad-rows.txt.
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, value_parser = values::share)]
    #[arg(help_heading = ADVANCED)]
    max_bad_rows: f64,
    /// Leave out users with more events in one hour, which are bots.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = values::positive_u32)]
    #[arg(help_heading = ADVANCED)]
    max_events_per_user_hour: u32,
}

/// `--repeats`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RepeatsArg {
    /// A user's first interaction with an item counts; items are not recommended again.
    Drop,
    /// Every interaction counts; items can be recommended again.
    Keep,
    /// `keep` if most users, and at least 20 of them, return to an earlier item at the end.
    Auto,
}

/// A name and a weight.
fn event_weight(text: &str) -> Result<(String, u32), values::InvalidValue> {
    let parsed = text.rsplit_once('=').and_then(|(name, weight)| {
        let weight = weight.parse().ok()?;
        (!name.is_empty()).then(|| (name.to_owned(), weight))
    });
    parsed.ok_or(values::InvalidValue("NAME=WEIGHT with a whole number, for example like=3"))
}

impl LogOptions {
    /// The options of an import of these files of interactions.
    pub(crate) fn import_options(&self, name: String, events: Vec<PathBuf>) -> ImportOptions {
        let Self { columns, rules } = self;
        ImportOptions {
            columns: ColumnNames {
                user: columns.user_column.clone(),
                item: columns.item_column.clone(),
                time: columns.time_column.clone(),
                event: columns.event_column.clone(),
                rating: columns.rating_column.clone(),
                quantity: columns.quantity_column.clone(),
                catalogue_item: columns.catalogue_item_column.clone(),
                title: columns.title_column.clone(),
                category: columns.category_column.clone(),
            },
            has_header: !columns.no_header,
            time_format: columns.time_format.clone(),
            event_weights: rules.event.clone(),
            min_event_weight: rules.min_event_weight,
            min_rating: rules.min_rating,
            keep_duplicates: rules.keep_duplicates,
            repeats: match rules.repeats {
                RepeatsArg::Drop => Repeats::Drop,
                RepeatsArg::Keep => Repeats::Keep,
                RepeatsArg::Auto => Repeats::Auto,
            },
            max_bad_rows: rules.max_bad_rows,
            max_events_per_user_hour: rules.max_events_per_user_hour,
            ..ImportOptions::new(name, events)
        }
    }
}
