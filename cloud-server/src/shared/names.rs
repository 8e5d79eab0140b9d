use tandem_dataset::files::sha256_hex;

use super::RedisUrl;

/// Beginning of the names of all keys in Redis.
const PREFIX: &str = "tandem";
/// Length of the hashes in names in hexadecimal digits: 128 bits.
const DIGITS: usize = 32;

/// Names of keys in Redis. They have hashes of what they stand for: no address and no item.
///
/// The hashes are keyed with the password of Redis, which its data do not have. Without a password
/// who can read the data can try out all addresses.
#[derive(Debug)]
pub(super) struct Names {
    secret: String,
}

impl Names {
    pub(super) fn new(url: &RedisUrl) -> Self {
        Self { secret: sha256_hex(format!("{PREFIX} names\0{}", url.password())) }
    }

    /// The name for a value of this kind.
    pub(super) fn name(&self, kind: &str, value: &str) -> String {
        // Both parts before the value have no zero byte, so no two inputs are the same text.
        let hash = sha256_hex(format!("{}\0{kind}\0{value}", self.secret));
        format!("{PREFIX}:{kind}:{}", &hash[..DIGITS])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_depend_on_password_kind_and_value_and_show_neither() {
        let names = |url: &str| Names::new(&url.parse().unwrap());
        let (one, other) = (names("redis://a:secret@h1"), names("redis://b:secret@h2/3"));
        let name = one.name("rate", "192.0.2.7");
        assert!(name.starts_with("tandem:rate:") && !name.contains("192"), "{name}");
        assert_eq!(name, other.name("rate", "192.0.2.7"), "the same on all servers");
        for different in [
            names("redis://h1").name("rate", "192.0.2.7"),
            one.name("list", "192.0.2.7"),
            one.name("rate", "192.0.2.8"),
        ] {
            assert_ne!(name.rsplit(':').next(), different.rsplit(':').next());
        }
    }
}
