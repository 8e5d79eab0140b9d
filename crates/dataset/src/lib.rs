//! Interaction logs and catalogues: import, the dataset folder, splits and count baselines.
//!
//! - [`import()`] reads logs and catalogues of several formats as a [`Dataset`];
//! - [`Dataset::save`] and [`Dataset::load`] store it in a folder of three files;
//! - [`Sequence::split`] is the leave-last-out split of all training and evaluation;
//! - [`counts`] holds the popularity and co-occurrence baselines;
//! - [`text_vectors`] stores text embeddings of items;
//! - [`event_log`] describes the folder of a server's event log and removes users from it;
//! - [`files`] writes files and folders atomically and hashes them.
//!
//! This crate knows no model.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use tandem_dataset::{Dataset, ImportOptions, ItemIndex, import};
//!
//! let folder = tempfile::tempdir()?;
//! let log = folder.path().join("log.csv");
//! std::fs::write(&log, "user,item,timestamp\nann,tea,1\nann,cup,2\nann,pot,3\n")?;
//! let imported = import(&ImportOptions::new("shop", [log]))?;
//! assert_eq!(imported.summary.interactions, 3);
//! imported.save(&folder.path().join("shop"))?;
//!
//! let dataset = Dataset::load(&folder.path().join("shop"))?;
//! let test = dataset.sequences[0].split().test.ok_or("ann has three items")?;
//! assert_eq!(test.history, [ItemIndex(2), ItemIndex(0)]); // tea, cup
//! assert_eq!(dataset.catalogue.get(test.target).id.as_str(), "pot");
//! # Ok(())
//! # }
//! ```

pub mod counts;
pub mod event_log;
pub mod files;
pub mod text_vectors;

mod catalogue;
mod dataset;
mod error;
mod folder;
mod import;
mod item;
mod lines;
mod readers;
mod split;

pub use catalogue::Catalogue;
pub use dataset::{Dataset, Sequence};
pub use error::DatasetError;
pub use folder::{DatasetFolder, FORMAT_VERSION};
pub use import::external;
pub use import::{
    BadRow, ColumnNames, FileSummary, ForgottenUsers, ImportOptions, Imported, LeftOutRows,
    ParsedRow, Repeats, Summary, import, input_files,
};
pub use item::{Item, ItemIndex, compare_ids};
pub use readers::StoredFile;
pub use split::{HeldOutTarget, Split};
