use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// The name of an item as the shop knows it (a SKU, a film's number), never a position.
///
/// Stable across imports and model versions, which is why the device's session and its
/// personal delta are keyed by it. Cloning is cheap. Native bulk code works on dense
/// positions in the catalogue instead (`tandem_dataset::ItemIndex`).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ItemId(Arc<str>);

impl ItemId {
    /// Wraps the shop's own name of an item.
    pub fn new(id: impl AsRef<str>) -> Self {
        Self(Arc::from(id.as_ref()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ItemId {
    fn from(id: &str) -> Self {
        Self::new(id)
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}
