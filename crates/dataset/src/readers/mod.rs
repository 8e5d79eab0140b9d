//! Foreign files to a [`Dataset`](crate::Dataset).
//!
//! What holds for every format:
//! - Items and users are ordered by [`compare_ids`](crate::compare_ids), a user's
//!   interactions by time, ties in time by item id. Without times the file's order counts.
//! - Every row is an interaction, whatever its rating; repeated rows are kept, since
//!   repeated consumption is data.
//! - An item that only the log knows joins the catalogue with an empty title; an item
//!   that only the catalogue knows stays in it.
//! - A byte order mark, `\r\n` and blank lines are fine. Everything else that is not of
//!   the format is [`DatasetError::Malformed`](crate::DatasetError::Malformed), with file
//!   and line: a file without a row as well.
//!
//! Columns go by their names, in any order (case and other columns do not matter):
//!
//! | what | names |
//! |---|---|
//! | user | `user`, `user_id`, `userid` |
//! | item | `item`, `item_id`, `itemid`, `id` |
//! | time | `timestamp`, `time`, `unix_time` |
//! | title | `title`, `movie_title`, `item_title`, `name`, `item_name` |
//! | year | `year`, `release_year` |
//! | genres | `genres`, `genre`, `class`, `categories`, `category` |

mod catalogue_table;
mod columns;
mod csv_log;
mod jsonl;
mod log;
mod recbole;
mod sequences;
mod table;
mod title;

pub use csv_log::csv;
pub use jsonl::jsonl;
pub use recbole::recbole;
pub use sequences::sequences;

/// What a dataset is called and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// Short name, for instance `ml-100k`.
    pub name: String,
    /// Citation and terms of use.
    pub notice: Option<String>,
}
