//! Import of logs and catalogues as a [`Dataset`](crate::Dataset).
//!
//! Rules of all formats:
//! - Items and users are sorted by [`compare_ids`](crate::compare_ids), the interactions of a
//!   user by time and then by item id. Without times, the order of the file counts.
//! - Every row is an interaction, whatever its rating. Repeated rows are kept.
//! - Items of the log that the catalogue does not list are added with an empty title. Items of
//!   the catalogue without interactions stay in it.
//! - A byte order mark, `\r\n` and blank lines are accepted. Any other violation of the format
//!   is [`DatasetError::Malformed`](crate::DatasetError::Malformed), with file and line; so is
//!   a file without rows.
//!
//! Columns are found by name, in any order and case. Other columns are ignored:
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

/// Name and origin of a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// Short name, for instance `ml-100k`.
    pub name: String,
    /// Citation and terms of use.
    pub notice: Option<String>,
}
