//! What messages about options may show: a URL may have a password.

use std::{error::Error, ffi::OsStr, marker::PhantomData, str::FromStr};

use clap::{Arg, Command, builder::TypedValueParser, error::ErrorKind};
pub(crate) use tandem_release_client::without_credentials;

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
