//! Import of logs that do not fit into memory, for a program that sorts outside of memory.
//!
//! The rules are those of [`import`](crate::import()), and the dataset folder is the same, byte for
//! byte. What this module does not do is sorting, and running on several threads or machines:
//!
//! 1. [`LogFiles::find`] divides the log into [`LogPart`]s.
//! 2. [`survey`] reads each part once. It tells what must be known of whole files before a row can
//!    be judged: how times are written, the event types, the bad rows. [`LogSurvey`] takes these
//!    reports, in any order, and makes the [`LogRules`] and a [`PreparedLog`].
//! 3. [`row_keys`] reads each part again, and gives each row that counts as a key of bytes.
//! 4. The program sorts the keys of all parts by their bytes and hands them to an [`Assembly`],
//!    which writes the sequence of one user after the other.
//!
//! In memory are the items, the bad rows, and the rows of one user.

mod assembly;
mod file_report;
mod key;
mod part;
mod prepare;
mod rules;
mod survey;
mod uses;

pub use self::{
    assembly::Assembly,
    key::RowKey,
    part::{FileStorage, LocalFiles, LogFiles, LogPart},
    prepare::{LogSurvey, PreparedLog},
    rules::{LogRules, row_keys},
    survey::{PartSurvey, survey},
};
pub use crate::readers::StoredFile;
