//! Interaction logs and catalogues: reading, the folder they are kept in, splits and counts.
//!
//! [`readers`] turn foreign files into a [`Dataset`]; [`Dataset::save`] and
//! [`Dataset::load`] keep it in a folder of three files; [`Sequence::split`] is the
//! leave-last-out split that every trainer and every protocol uses; [`counts`] holds the
//! two baselines that need nothing but counting.
//!
//! Nothing here knows a model. Repeated interactions of a user with an item are kept:
//! repeated consumption is data.

pub mod counts;
pub mod files;
pub mod readers;

mod catalogue;
mod dataset;
mod error;
mod folder;
mod item;
mod lines;
mod split;

pub use catalogue::Catalogue;
pub use dataset::{Dataset, Sequence};
pub use error::DatasetError;
pub use folder::FORMAT_VERSION;
pub use item::{Item, ItemIndex, compare_ids};
pub use split::{HeldOutTarget, Split};
