/// Takes the lock of writers of items until the transaction ends, and the number of its changes:
/// changes become visible in the order of their revisions.
pub(super) const REVISION: &str =
    "UPDATE counters SET value = value + 1 WHERE name = 'items' RETURNING value";
