//! Items: what the shop offers now, beside what the models know.

mod availability;
mod availability_log;
mod changes;
mod item;
mod read;
mod revision;
mod search;
mod sent_item;
mod write;

pub use availability::Availability;
pub use changes::{ChangedItem, Changes, ChangesRead};
pub use item::{AttributeValue, ItemError, NewItem, StoredItem, serialize_optional_number};
pub use read::ItemQuery;
pub use search::SearchWords;
pub use write::Upserted;

pub(crate) use read::{AVAILABILITY, COLUMNS_POSTGRES, COLUMNS_SQLITE, ItemRow, item};
pub(crate) use search::text_of;
