//! Releases in an object store: what `tandem publish` uploads, and the copy that each server keeps
//! on its disk.
//!
//! A store is `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://CONTAINER/PREFIX` or
//! `file:///FOLDER`. Its layout is that of the folder of `tandem quickstart`, without what only
//! trainings need, and with one list of files for each release:
//!
//! ```text
//! current                          the name of the release in use
//! releases/NAME/files.json         all files of the release, with sizes and SHA-256
//! releases/NAME/…                  dataset without interactions, language model, signals
//! artifacts/HASH/…                 what devices load
//! ```
//!
//! Objects never change, except `current`. An upload writes the files, then `files.json`, then
//! `current`, so a name never appears before its files. A copy uses a file only if its size and
//! SHA-256 are those of `files.json`, which it keeps, too.
//!
//! | module | contents |
//! |---|---|
//! | `address` | the URL of a store |
//! | `connect` | clients of the services, with the settings of the environment |
//! | `store` | reading and writing of objects |
//! | `object` | one object that is read in pieces, such as a file of a log |
//! | `files` | the list of the files of a release |
//! | `publish` | uploads, and removal of older releases |
//! | `copy` | the folder of a server that follows a store |
//! | `verify` | files of that folder that have changed since they were downloaded |
//!
//! Everything blocks; the requests run on a thread of the store.

mod address;
mod connect;
mod copy;
mod error;
mod files;
mod object;
mod publish;
mod store;
mod verify;

pub use address::{StoreUrl, StoreUrlError};
pub use copy::{LocalCopy, Start};
pub use error::ReleaseStoreError;
pub use object::StoredObject;
pub use publish::{LocalFile, Published};
pub use store::ReleaseStore;
pub use verify::verify_copy;
