//! What messages about options may show: a URL may have a password.

use std::{error::Error, ffi::OsStr, marker::PhantomData, str::FromStr};

use clap::{Arg, Command, builder::TypedValueParser, error::ErrorKind};

/// Parser of a value that may have a password. In contrast to the parsers of clap, its errors do
/// not repeat the value; the message of the type's error must not either.
#[derive(Debug)]
pub(crate) struct Secret<T>(PhantomData<fn() -> T>);

impl<T> Secret<T> {
    pub(crate) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Clone for Secret<T> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<T> TypedValueParser for Secret<T>
where
    T: FromStr<Err: Error> + Clone + Send + Sync + 'static,
{
    type Value = T;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<T, clap::Error> {
        let reason = match value.to_str().map(T::from_str) {
            Some(Ok(value)) => return Ok(value),
            Some(Err(error)) => error.to_string(),
            None => "expected UTF-8".to_owned(),
        };
        let name = arg.map_or_else(String::new, |arg| format!(" for '{arg}'"));
        let message = format!("invalid value{name}: {reason}\n");
        Err(clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command))
    }
}

/// A text that should have been a URL, without what may be a user, a password or a token: all
/// before the last `@`, and the query.
pub(crate) fn without_credentials(text: &str) -> String {
    let (text, cut) = match text.find(['?', '#']) {
        Some(end) => (&text[..end], "…"),
        None => (text, ""),
    };
    let Some((before, host)) = text.rsplit_once('@') else { return format!("{text}{cut}") };
    let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
    let separator = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{separator}…@{host}{cut}")
}

/// Where and why a text is not TOML. The messages of the parser also quote the line, which may have
/// a password.
pub(crate) fn toml_reason(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().replace('\n', " ");
    let Some(start) = error.span().map(|span| span.start.min(text.len())) else { return message };
    let before = &text[..text.floor_char_boundary(start)];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}: {message}")
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
