//! Items: what the shop offers now, beside what the models know.

mod changes;
mod item;
mod read;
mod search;
mod write;

pub use changes::{ChangedItem, Changes};
pub use item::{AttributeValue, ItemError, NewItem, StoredItem};
pub use read::ItemQuery;
pub use write::{Availability, Upserted};

pub(crate) use read::{COLUMNS_POSTGRES, COLUMNS_SQLITE, ItemRow, item};
pub(crate) use search::text_of;
