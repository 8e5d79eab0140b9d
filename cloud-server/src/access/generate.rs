use std::fmt::Write as _;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use tandem_dataset::files::sha256_hex;

use super::KeyKind;

/// Number of random bytes in a key: enough that it cannot be guessed, so a fast hash is safe.
const SECRET: usize = 32;
/// Number of random bytes in a key's id.
const ID: usize = 4;

/// A new key: its id, its text, which is shown once, and the hash that is stored.
pub(super) struct NewKey {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) sha256: String,
}

impl NewKey {
    /// Takes random bytes from the operating system.
    pub(super) fn generate(kind: KeyKind) -> Result<Self, getrandom::Error> {
        let mut bytes = [0; ID + SECRET];
        getrandom::fill(&mut bytes)?;
        let (id, secret) = bytes.split_at(ID);
        let id = hex(id);
        let kind = kind.name();
        let text = format!("tandem_{kind}_{id}_{}", BASE64_URL_SAFE_NO_PAD.encode(secret));
        let sha256 = sha256_hex(&text);
        Ok(Self { id, text, sha256 })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
