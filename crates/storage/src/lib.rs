//! Items, events, activations and keys of a server, in SQLite or PostgreSQL.
//!
//! [`Storage`] is opened from a location: a path or `sqlite:PATH` for a file of SQLite, or
//! `postgres://…`. Both have the same tables and the same behaviour; the tests run on both.
//!
//! | module | contents |
//! |---|---|
//! | `events` | events, each once per session and id; written in groups, also from a stream; disagreements |
//! | `items` | items: upsert, availability, deletion, list, text search, changes since a revision |
//! | `users` | export and removal of a visitor |
//! | `retention` | removal of old events by days and bytes, and compaction |
//! | `backup` | a portable copy of all tables, and its restoration |
//! | `activations` | which release was put in use, when and by whom |
//! | `announcements` | changes of other servers of a PostgreSQL, as soon as they happen |
//! | `keys` | the hashes of the keys of all servers, and whether they have changed |
//! | `listener` | the connection on which they arrive |
//! | `database` | connections and transactions of both databases |
//! | `migrations` | versions of the tables |
//! | `postgres` | connections to PostgreSQL, and whether it answers |
//! | `priority` | work that can wait |
//! | `sqlite_file` | whether the file of SQLite is still there |
//!
//! # Threads
//! A storage has threads of its own, on which all queries run. Its functions can be awaited on any
//! executor, and [`Storage::block_on`] waits for them on a thread that may block. They have a lower
//! priority than the others of the process ([`lower_priority`]): a large change must not delay what is
//! answered from memory.
//!
//! # Durability
//! What a function has returned as written is on the disk: SQLite synchronises its write-ahead log
//! at each commit, PostgreSQL does so by default. A power failure loses nothing that was
//! acknowledged, as long as the disk does what it says.
//!
//! # What is not here
//! What a key allows is the server's matter, which also may have its keys in a file instead. Artefacts
//! and models are files; only their names are here.

mod activations;
mod announcements;
mod backup;
mod clock;
mod database;
mod error;
mod event_queue;
mod events;
mod items;
mod keys;
mod listener;
mod location;
mod migrations;
mod postgres;
mod priority;
mod retention;
mod sqlite_file;
mod storage;
mod users;

pub use activations::Activation;
pub use announcements::{Announcements, Change};
pub use backup::{BackupError, BackupSummary, check_backup};
pub use error::StorageError;
pub use event_queue::AppendedEvents;
pub use events::{
    EventCounts, EventPage, EventPosition, NewEvents, StoredEvent, StreamPosition, StreamedCounts,
    StreamedEvents,
};
pub use items::{
    AttributeValue, Availability, ChangedItem, Changes, ChangesRead, ItemError, ItemQuery, NewItem,
    SearchWords, StoredItem, Upserted, serialize_optional_number,
};
pub use keys::{AddKeyError, MAX_LIVE_KEYS, StoredKey, StoredKeys};
pub use location::{Location, LocationError};
pub use priority::lower_priority;
pub use retention::{Removed, Retention};
pub use storage::{Sizes, Storage};
