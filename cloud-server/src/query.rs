//! Extractor for the query of a request.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use serde::de::DeserializeOwned;

use crate::{error::ApiError, messages::shortened};

/// The parameters of a query. A wrong one is refused with its name, what was expected and what was
/// found.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(parse(request.query_string()).map(Self))
    }
}

fn parse<T: DeserializeOwned>(query: &str) -> Result<T, ApiError> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    let read = serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs));
    read.map_err(|error| {
        let message = error.inner().to_string();
        let path = error.path().to_string();
        // The path of a missing or repeated parameter is that of the query; the message has its
        // name.
        let named = || Some(message.split_once(" field `")?.1.split_once('`')?.0.to_owned());
        let Some(field) = Some(path).filter(|path| path != ".").or_else(named) else {
            let detail = format!("expected a query of parameters: {}", shortened(&message));
            return ApiError::InvalidRequest { detail };
        };
        let found = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| *name == *field);
        let detail = match (expected(&message), found) {
            (Some(expected), Some((_, found))) => {
                format!("expected {expected}, found `{}`", shortened(&found))
            }
            _ => shortened(&message),
        };
        ApiError::InvalidField { field: shortened(&field), detail }
    })
}

/// What the parser of a number or of a truth value expected, from its message. Other messages say
/// it themselves.
fn expected(message: &str) -> Option<&'static str> {
    [
        ("invalid digit", "a whole number that is not negative"),
        ("cannot parse integer", "a whole number"),
        ("number too large", "a smaller number"),
        ("provided string was not", "`true` or `false`"),
    ]
    .into_iter()
    .find_map(|(start, expected)| message.starts_with(start).then_some(expected))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Window {
        #[default]
        Hour,
        Day,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Parameters {
        q: String,
        limit: Option<u32>,
        available: Option<bool>,
        #[serde(default)]
        window: Window,
    }

    fn refusal(query: &str) -> (String, String) {
        match parse::<Parameters>(query) {
            Err(ApiError::InvalidField { field, detail }) => (field, detail),
            other => panic!("{query}: {other:?}"),
        }
    }

    #[test]
    fn parameters_are_read() {
        let found: Parameters = parse("limit=7&q=a+b%26&window=day").unwrap();
        let expected = Parameters {
            q: "a b&".to_owned(),
            limit: Some(7),
            available: None,
            window: Window::Day,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_wrong_parameter_is_named_with_what_was_expected_and_found() {
        for (query, name, parts) in [
            ("q=a&limit=abc", "limit", ["a whole number", "`abc`"]),
            ("q=a&limit=-1", "limit", ["not negative", "`-1`"]),
            ("q=a&limit=", "limit", ["a whole number", "``"]),
            ("q=a&limit=99999999999", "limit", ["smaller", "`99999999999`"]),
            ("q=a&available=yes", "available", ["`true` or `false`", "`yes`"]),
            ("q=a&window=week", "window", ["`hour` or `day`", "`week`"]),
            ("q=a&colour=red", "colour", ["unknown field", "`limit`"]),
            ("q=a&q=b", "q", ["duplicate", "`q`"]),
            ("limit=1", "q", ["missing", "`q`"]),
        ] {
            let (field, detail) = refusal(query);
            assert_eq!(field, name, "{query}: {detail}");
            assert!(parts.iter().all(|part| detail.contains(part)), "{query}: {detail}");
        }
    }

    #[test]
    fn a_long_query_is_not_repeated() {
        let long = "x".repeat(50_000);
        for query in [format!("q=a&limit={long}"), format!("q=a&{long}=1")] {
            let (field, detail) = refusal(&query);
            assert!(field.len() + detail.len() < 1_000, "{field} {detail}");
        }
    }
}
