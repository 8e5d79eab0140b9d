use std::{path::PathBuf, str::FromStr};

use tandem_release_store::{StoreUrl, StoreUrlError};

/// Where the releases of a server are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReleasePlace {
    /// A folder that `tandem quickstart` has written.
    Folder(PathBuf),
    /// An object store.
    Store(StoreUrl),
}

impl FromStr for ReleasePlace {
    type Err = StoreUrlError;

    fn from_str(text: &str) -> Result<Self, StoreUrlError> {
        if StoreUrl::is_url(text) {
            text.parse().map(Self::Store)
        } else {
            Ok(Self::Folder(PathBuf::from(text)))
        }
    }
}
