//! Files and folders that appear whole or not at all, and their SHA-256.
//!
//! [`FileDraft`] and [`FolderDraft`] are written beside their target, on the same file
//! system, and renamed when they are complete; [`write_atomically`] does both steps for
//! bytes in memory. A draft that is dropped is deleted. After
//! [`clean_up_on_interrupt`], `SIGINT` and `SIGTERM` delete all drafts before they end the
//! process, and never cut a rename in half. Only `SIGKILL` or a power failure can leave a
//! draft behind. Its name starts with a dot, except that of [`FileDraft::at`], which the caller
//! chooses.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use tandem_dataset::files::{sha256_hex, sha256_hex_of_file, write_atomically};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("names/a.txt");
//! write_atomically(&path, b"abc")?;
//! assert_eq!(sha256_hex_of_file(&path)?, sha256_hex(b"abc"));
//! # Ok(())
//! # }
//! ```

mod draft;
mod hash;
mod interrupt;

pub use draft::{FileDraft, FolderDraft, write_atomically};
pub use hash::{Sha256Hex, sha256_hex, sha256_hex_of_file};
pub use interrupt::clean_up_on_interrupt;
