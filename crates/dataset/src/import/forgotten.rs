use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::id::whole_number;
use crate::files::sha256_hex;

/// Users who asked to be forgotten, as SHA-256 hashes of their names: the list recognises a name
/// but does not contain it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ForgottenUsers(BTreeSet<String>);

impl ForgottenUsers {
    /// Adds a user by name, as it is in the dataset.
    pub fn insert(&mut self, name: &str) {
        self.0.insert(sha256_hex(name));
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the user is on the list. A file may write a whole number as a fraction (`5.0`).
    pub(super) fn contain(&self, name: &str) -> bool {
        let known = |name: &str| self.0.contains(&sha256_hex(name));
        !self.is_empty() && (known(name) || whole_number(name).is_some_and(|it| known(&it)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_recognised_and_not_stored() {
        let mut forgotten = ForgottenUsers::default();
        assert!(forgotten.is_empty() && !forgotten.contain("5"));
        forgotten.insert("5");
        forgotten.insert("ann");
        assert!(forgotten.contain("5") && forgotten.contain("5.0") && forgotten.contain("ann"));
        assert!(!forgotten.contain("55") && !forgotten.contain("anna"));
        let json = serde_json::to_string(&forgotten).unwrap();
        assert!(!json.contains("ann"), "{json}");
        assert_eq!(serde_json::from_str::<ForgottenUsers>(&json).unwrap(), forgotten);
    }
}
