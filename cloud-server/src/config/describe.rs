//! `--print-config`: all options as a file, without keys and passwords.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, ArgMatches, CommandFactory, parser::ValueSource};
use tandem_storage::Location;
use toml::Value;

use super::{Args, file::options};
use crate::{event_stream::EventStreamUrl, shared::RedisUrl, traces::OtlpEndpoint};

impl Args {
    /// All options as a TOML file, with the source of each as a comment.
    #[must_use]
    pub fn describe(matches: &ArgMatches) -> String {
        let mut text = String::new();
        for arg in options(&Self::command()) {
            let (id, name) = (arg.get_id().as_str(), arg.get_long().unwrap_or_default());
            let source = match matches.value_source(id) {
                Some(ValueSource::CommandLine) => "command line",
                Some(ValueSource::EnvVariable) => "environment",
                // Values of the file are defaults of the command.
                Some(_) if Some(plain_default(arg)) == raw(matches, id) => "default",
                Some(_) => "file",
                None => "not set",
            };
            let value = match raw(matches, id) {
                Some(values) if arg.get_action().takes_values() => {
                    let mut values: Vec<_> =
                        values.iter().map(|value| to_value(&shown(id, value))).collect();
                    if matches!(arg.get_action(), ArgAction::Append) {
                        Value::Array(values).to_string()
                    } else {
                        values.pop().map(|value| value.to_string()).unwrap_or_default()
                    }
                }
                Some(_) => matches.get_flag(id).to_string(),
                None => String::new(),
            };
            // Writing to a string cannot fail.
            let _ = if value.is_empty() {
                writeln!(text, "# {name} = …  # {source}")
            } else {
                writeln!(text, "{name} = {value}  # {source}")
            };
        }
        text
    }
}

fn to_value(text: &str) -> Value {
    text.parse().map_or_else(|_| Value::String(text.to_owned()), Value::Integer)
}

fn raw(matches: &ArgMatches, id: &str) -> Option<Vec<String>> {
    let values = matches.get_raw(id)?;
    Some(values.map(|value| value.to_string_lossy().into_owned()).collect())
}

/// The value as it may be shown: no key, and a URL without its password.
fn shown(id: &str, value: &str) -> String {
    let plain = match id {
        "generator_key" => return "***".to_owned(),
        "storage" => match value.parse::<Location>() {
            Ok(location @ Location::Postgres(_)) => Some(location.to_string()),
            _ => None,
        },
        "redis" => value.parse::<RedisUrl>().ok().map(|url| url.to_string()),
        "event_stream" => value.parse::<EventStreamUrl>().ok().map(|stream| stream.to_string()),
        "otlp_endpoint" => {
            value.parse::<OtlpEndpoint>().ok().map(|endpoint| endpoint.shown().to_owned())
        }
        _ => None,
    };
    let Some(plain) = plain else { return value.to_owned() };
    // In NATS a user without a password is a token.
    match (with_hidden_password(value, id == "event_stream"), plain.split_once("://")) {
        (Some(login), Some((scheme, rest))) => format!("{scheme}://{login}@{rest}"),
        _ => plain,
    }
}

/// User and password of a URL that can be read, with `***` as the password; `None` without a user.
fn with_hidden_password(url: &str, is_token: bool) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let (login, _) = authority.rsplit_once('@')?;
    Some(match login.split_once(':') {
        Some((user, _)) => format!("{user}:***"),
        None if is_token => "***".to_owned(),
        None => login.to_owned(),
    })
}

fn plain_default(arg: &Arg) -> Vec<String> {
    let values = arg.get_default_values().iter();
    let values: Vec<_> = values.map(|value| value.to_string_lossy().into_owned()).collect();
    // Flags are false by default.
    if values.is_empty() { vec!["false".to_owned()] } else { values }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    #[test]
    fn a_printed_configuration_has_no_key_and_no_password() {
        let line = "cloud-server --data d --artifacts a --generator http://models \
            --generator-key tdm_secret --storage postgres://anna:tdm_secret@host/shop \
            --store-events --event-stream nats://anna:tdm_secret@nats \
            --otlp-endpoint http://anna:tdm_secret@collector:4318/v1/traces \
            --redis redis://:tdm_secret@cache/1";
        let line: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let (_, matches) = Args::load(&line).unwrap();
        let text = Args::describe(&matches);
        for part in [
            "http://models",
            "postgres://anna:***@host:5432/shop",
            "nats://anna:***@nats/tandem",
            "http://anna:***@collector:4318/v1/traces",
            "redis://:***@cache:6379/1",
        ] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
        assert!(!text.contains("tdm_secret"), "{text}");
        for (id, value, expected) in [
            ("event_stream", "nats://tdm_secret@nats", "nats://***@nats/tandem"),
            ("storage", "postgres://anna@host/shop", "postgres://anna@host:5432/shop"),
            ("storage", "postgres://host/shop", "postgres://host:5432/shop"),
            ("storage", "shop.db", "shop.db"),
        ] {
            assert_eq!(shown(id, value), expected);
        }
    }
}
