//! The releases on the disk: what is in them, uploads and deletion.

mod commands;
mod contents;
mod upload;

pub use commands::ReleasesCommand;
pub(crate) use contents::{ReleaseContents, contents, exists, hide};
pub(crate) use upload::{BodyReader, UploadError, receive};
