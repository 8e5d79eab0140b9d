use std::{path::PathBuf, str::FromStr, time::Duration};

use actix_web::http::Uri;
use clap::{
    Parser,
    builder::{RangedU64ValueParser, TypedValueParser},
};

use crate::models::ModelFile;

/// The script of the npm package for pages without a bundler, in its folder.
pub(crate) const CLIENT_SCRIPT: &str = "dist/tandem.global.js";

/// Serves candidate lists of GGUF language models, item rows, artefacts and a static site.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Args {
    /// Folder of a recommender written by `tandem quickstart`; a new release of
    /// `tandem retrain` is used without a restart. Replaces --data, --artifacts and --gguf.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["data", "artifacts", "gguf"])]
    #[arg(help_heading = "Input and output")]
    pub release: Option<PathBuf>,
    /// Dataset folder written by `tandem import`.
    #[arg(long, value_name = "DIR", required_unless_present = "release")]
    #[arg(help_heading = "Input and output")]
    pub data: Option<PathBuf>,
    /// Artefact folder written by `tandem export`; a new export is used without a restart.
    #[arg(long, value_name = "DIR", required_unless_present = "release")]
    #[arg(help_heading = "Input and output")]
    pub artifacts: Option<PathBuf>,
    /// Folder of a built static site, served at `/` [default: a page with the catalogue and live
    /// recommendations].
    #[arg(long, value_name = "DIR", help_heading = "Input and output")]
    pub site: Option<PathBuf>,
    /// Folder of the built npm package, served at `/client`: the default page then runs the
    /// small model in the browser [default: the page shows the lists of the server].
    #[arg(long, value_name = "DIR", conflicts_with = "site", help_heading = "Input and output")]
    pub client: Option<PathBuf>,
    /// Folder for the event log [default: events are not accepted].
    #[arg(long, value_name = "DIR", help_heading = "Input and output")]
    pub events: Option<PathBuf>,
    /// Address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", help_heading = "Network")]
    pub host: String,
    /// Port to listen on; 0 selects a free port.
    #[arg(long, value_name = "N", default_value_t = 8080, help_heading = "Network")]
    pub port: u16,
    /// Origin whose pages may call this server (CORS), for example `https://shop.example`, or
    /// `*` for all; may be repeated [default: only pages of this server].
    #[arg(long, value_name = "URL", help_heading = "Network")]
    pub allow_origin: Vec<Origin>,
    /// GGUF language model; may be repeated. Requests select a model by NAME, which defaults
    /// to the file name without its extension. The first model answers requests without one.
    #[arg(long, value_name = "[NAME=]FILE", required_unless_present = "release")]
    #[arg(help_heading = "Models")]
    pub gguf: Vec<ModelFile>,
    /// Threads of each language model, 1 to 512 [default: number of cores].
    #[arg(long, value_name = "N", value_parser = number(1, 512), help_heading = "Models")]
    pub threads: Option<usize>,
    /// Maximum number of requests waiting for each language model, 1 to 10000; further
    /// requests get 503.
    #[arg(long, value_name = "N", default_value = "16", value_parser = number(1, 10_000), help_heading = "Limits")]
    pub queue: usize,
    /// Maximum time of a request for candidates in seconds, 1 to 600; then it gets 504.
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = seconds(1, 600), help_heading = "Limits")]
    pub timeout: Duration,
    /// File to write the port number to when the server listens [default: none].
    #[arg(long, value_name = "FILE", help_heading = "Advanced")]
    pub port_file: Option<PathBuf>,
}

/// Limits of requests.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Maximum size of a body in bytes.
    pub body: usize,
    /// Maximum number of ids in one list of a request (history, exclusions, items).
    pub ids: usize,
    /// Number of candidates if the request does not specify it.
    pub default_candidates: usize,
    /// Maximum number of candidates in one list.
    pub max_candidates: usize,
    /// Maximum time from the arrival of a request for candidates to its response.
    pub timeout: Duration,
    /// Maximum time from the arrival of a request's head to the end of its body.
    pub body_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 1 << 20,
            ids: 10_000,
            default_candidates: 50,
            max_candidates: 200,
            timeout: Duration::from_secs(20),
            body_timeout: Duration::from_secs(10),
        }
    }
}

/// A web origin (RFC 6454) that may call the server, or any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// All origins.
    Any,
    /// This origin, `scheme://host[:port]`.
    One(String),
}

/// The text is not an origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an origin such as `https://shop.example`, or `*`, found `{found}`")]
pub struct OriginError {
    /// The text.
    pub found: String,
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let error = || OriginError { found: text.to_owned() };
        let origin = text.strip_suffix('/').unwrap_or(text);
        let uri: Uri = origin.parse().map_err(|_| error())?;
        let is_origin = matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.path() == "/"
            && uri.query().is_none()
            && !origin.ends_with('/')
            && !origin.contains(['@', '#']);
        if is_origin { Ok(Self::One(origin.to_ascii_lowercase())) } else { Err(error()) }
    }
}

fn number(min: u64, max: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(min..=max)
}

fn seconds(min: u64, max: u64) -> impl TypedValueParser<Value = Duration> {
    RangedU64ValueParser::<u64>::new().range(min..=max).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let one = |text: &str| Ok(Origin::One(text.to_owned()));
        assert_eq!("*".parse(), Ok(Origin::Any));
        assert_eq!("https://shop.example".parse(), one("https://shop.example"));
        assert_eq!("https://Shop.example/".parse(), one("https://shop.example"));
        assert_eq!("http://localhost:5173".parse(), one("http://localhost:5173"));
        for wrong in [
            "",
            "shop.example",
            "ftp://shop.example",
            "https://shop.example/cart",
            "https://shop.example?x",
            "https://user@shop.example",
            "https://shop.example//",
            "https://",
        ] {
            let error = wrong.parse::<Origin>().unwrap_err();
            assert!(error.to_string().ends_with(&format!("found `{wrong}`")), "{error}");
        }
    }

    #[test]
    fn a_release_or_all_parts_are_required() {
        let parse = |line: &str| Args::try_parse_from(line.split(' '));
        assert!(parse("cloud-server --release shop").is_ok());
        assert!(parse("cloud-server --data d --artifacts a --gguf g").is_ok());
        for wrong in [
            "cloud-server",
            "cloud-server --data d --artifacts a",
            "cloud-server --data d --gguf g",
            "cloud-server --release shop --gguf g",
            "cloud-server --release shop --site s --client c",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let with = |option: &str, value: &str| {
            let required = ["cloud-server", "--gguf", "g", "--data", "d", "--artifacts", "a"];
            Args::try_parse_from(required.into_iter().chain([option, value]))
        };
        assert_eq!(with("--timeout", "7").unwrap().timeout, Duration::from_secs(7));
        assert_eq!(with("--queue", "10000").unwrap().queue, 10_000);
        for (option, value) in [
            ("--threads", "0"),
            ("--threads", "513"),
            ("--queue", "0"),
            ("--timeout", "0"),
            ("--timeout", "601"),
            ("--port", "65536"),
        ] {
            assert!(with(option, value).is_err(), "{option} {value} was accepted");
        }
    }
}
