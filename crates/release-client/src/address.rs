//! Addresses as messages show them.

/// A text that should have been a URL, without what may be a user, a password or a token: all
/// before the last `@`, and the query.
#[must_use]
pub fn without_credentials(text: &str) -> String {
    let (text, cut) = match text.find(['?', '#']) {
        Some(end) => (&text[..end], "…"),
        None => (text, ""),
    };
    let Some((before, host)) = text.rsplit_once('@') else { return format!("{text}{cut}") };
    let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
    let separator = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{separator}…@{host}{cut}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_url_has_no_user_password_and_query() {
        for (text, shown) in [
            ("collector:4318", "collector:4318"),
            ("https://models/v1", "https://models/v1"),
            ("http://anna:s@models", "http://…@models"),
            ("http://anna:a/s@b@models/x", "http://…@models/x"),
            ("anna:s@models", "…@models"),
            ("http://models?token=s", "http://models…"),
            ("http://models?to=s@b", "http://models…"),
            ("http://anna:s#s@models", "http://anna:s…"),
        ] {
            assert_eq!(without_credentials(text), shown, "{text}");
        }
    }
}
