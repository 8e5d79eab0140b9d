//! Names of releases, files and cells in URLs and manifests.

/// Hexadecimal digits of a release's name.
pub(super) const RELEASE_DIGITS: usize = 16;
/// Hexadecimal digits of a SHA-256, which names a cell.
const SHA256_DIGITS: usize = 64;

/// Whether the text can be the name of a release.
pub(crate) fn is_release(text: &str) -> bool {
    is_hash(text, RELEASE_DIGITS)
}

/// Whether the text can be a SHA-256 in lower-case hexadecimal digits.
pub(crate) fn is_sha256(text: &str) -> bool {
    is_hash(text, SHA256_DIGITS)
}

fn is_hash(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

pub(super) fn is_file_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('.')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_file_names_and_hashes_are_valid() {
        for name in ["body.safetensors", "items.json", "rows-64_v1.bin"] {
            assert!(is_file_name(name), "{name} was refused");
        }
        for name in ["", ".", "..", ".env", "a/b", "../a", "a\\b", "a\0", "ä"] {
            assert!(!is_file_name(name), "{name:?} was accepted");
        }
        assert!(is_hash("0123456789abcdef", RELEASE_DIGITS));
        for name in ["0123456789abcde", "0123456789ABCDEF", "../0123456789abc", "current"] {
            assert!(!is_hash(name, RELEASE_DIGITS), "{name} was accepted");
        }
    }
}
