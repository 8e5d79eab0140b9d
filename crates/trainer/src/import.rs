//! `tandem import`: converts logs and catalogues to a dataset folder.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use tandem_dataset::{ColumnNames, ImportOptions, Repeats, import};

use crate::values::{self, ADVANCED, BASIC, FILES};

/// Heading of the options that say which column is what.
const COLUMNS: &str = "Columns (found by their names unless given)";
/// Heading of the options that say what counts.
const RULES: &str = "Which rows count";

/// Options of `tandem import`.
#[derive(Args, Debug)]
pub(crate) struct Import {
    /// Interactions: files, patterns such as 'log/*.csv', or `-` for standard input. CSV, TSV,
    /// JSON, Parquet, `RecBole` files, or a folder with sequences.txt; also compressed.
    #[arg(long, value_name = "FILE", required = true, num_args = 1.., help_heading = FILES)]
    events: Vec<PathBuf>,
    /// Items with title, year and categories, in any of these formats.
    #[arg(long, value_name = "FILE", num_args = 1.., help_heading = FILES)]
    catalogue: Vec<PathBuf>,
    /// Dataset folder to write; an existing dataset is replaced.
    #[arg(long, value_name = "FOLDER", help_heading = FILES)]
    out: PathBuf,
    /// Short name of the dataset [default: the name of the folder].
    #[arg(long, help_heading = BASIC)]
    name: Option<String>,
    /// Citation and terms of use, shown by the demo.
    #[arg(long, value_name = "TEXT", help_heading = BASIC)]
    notice: Option<String>,
    #[command(flatten)]
    columns: Columns,
    #[command(flatten)]
    rules: Rules,
}

/// Names of columns.
#[derive(Args, Debug)]
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
#[derive(Args, Debug)]
struct Rules {
    /// Weight of an event type, before the built-in ones (docs/own-data.md); 0 leaves it out.
    #[arg(long, value_name = "NAME=WEIGHT", value_parser = event_weight, help_heading = RULES)]
    event: Vec<(String, u32)>,
    /// Smallest weight of an event that counts: 1 view, 2 click, 3 cart, 4 checkout, 5 purchase.
    #[arg(long, value_name = "WEIGHT", default_value_t = 1, help_heading = RULES)]
    min_event_weight: u32,
    /// Smallest rating that counts [default: every rating above 0].
    #[arg(long, value_name = "RATING", value_parser = values::finite, help_heading = RULES)]
    #[arg(allow_negative_numbers = true)]
    min_rating: Option<f64>,
    /// Whether items are bought or played again: `keep` for shops where they are, `auto` decides
    /// by the last items of the users.
    #[arg(long, value_enum, default_value_t = RepeatsArg::Auto, help_heading = RULES)]
    repeats: RepeatsArg,
    /// Count rows with equal user, item, time and event type instead of reading one of them.
    #[arg(long, help_heading = RULES)]
    keep_duplicates: bool,
    /// Share of rows that may be unreadable; they are listed in bad-rows.txt.
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, value_parser = values::share)]
    #[arg(help_heading = ADVANCED)]
    max_bad_rows: f64,
    /// Leave out users with more events in one hour, which are programs.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = values::positive_u32)]
    #[arg(help_heading = ADVANCED)]
    max_events_per_user_hour: u32,
}

/// `--repeats`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RepeatsArg {
    /// A user's first interaction with an item counts; items are not recommended again.
    Drop,
    /// Every interaction counts; items can be recommended again.
    Keep,
    /// `keep` if the last item of most users is one that they had before.
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

impl Import {
    fn options(&self) -> ImportOptions {
        let (columns, rules) = (&self.columns, &self.rules);
        ImportOptions {
            notice: self.notice.clone(),
            catalogue: self.catalogue.clone(),
            columns: ColumnNames {
                user: columns.user_column.clone(),
                item: columns.item_column.clone(),
                time: columns.time_column.clone(),
                event: columns.event_column.clone(),
                rating: columns.rating_column.clone(),
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
            ..ImportOptions::new(self.name(), self.events.clone())
        }
    }

    fn name(&self) -> String {
        let folder = self.out.file_name().map(|name| name.to_string_lossy().into_owned());
        self.name.clone().or(folder).unwrap_or_else(|| "dataset".to_owned())
    }
}

pub(crate) fn run(args: &Import) -> Result<()> {
    let spinner = ProgressBar::new_spinner().with_message("reading");
    spinner.enable_steady_tick(Duration::from_millis(100));
    let imported = import(&args.options())?;
    spinner.set_message("writing");
    imported.save(&args.out)?;
    spinner.finish_and_clear();
    println!("{} in {}", imported.summary, args.out.display());
    Ok(())
}
