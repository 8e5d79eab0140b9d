use std::{path::PathBuf, str::FromStr, time::Duration};

use actix_web::http::Uri;
use clap::Parser;

use crate::ModelFile;

/// Hosts GGUF language models and serves candidate lists, item rows, artefacts and a site.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Args {
    /// A language model, a GGUF file; may be given several times. Requests choose by NAME
    /// (the file's name without its ending if absent); the first serves those that do not.
    #[arg(long, value_name = "[NAME=]FILE", required = true)]
    pub gguf: Vec<ModelFile>,
    /// The dataset folder that `tandem import` wrote.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// The folder of artefacts that `tandem export` wrote.
    #[arg(long, value_name = "DIR")]
    pub artifacts: PathBuf,
    /// A built static site to serve at `/`.
    #[arg(long, value_name = "DIR")]
    pub site: Option<PathBuf>,
    /// A folder to log events to that devices send; none are taken if absent.
    #[arg(long, value_name = "DIR")]
    pub events: Option<PathBuf>,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,
    /// Port to listen on; 0 takes any free one.
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// Threads of each language model; as many as there are cores if absent.
    #[arg(long, value_name = "N", value_parser = parse_threads)]
    pub threads: Option<usize>,
    /// Places in the queue before each language model; beyond them requests get 503.
    #[arg(long, value_name = "N", default_value = "16", value_parser = parse_queue)]
    pub queue: usize,
    /// Seconds after which a request for candidates is given up with 504.
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = parse_seconds)]
    pub timeout: Duration,
    /// An origin whose pages may call this server (`https://shop.example`), or `*`; may be
    /// given several times. None by default: only pages of this server itself.
    #[arg(long, value_name = "URL")]
    pub allow_origin: Vec<Origin>,
    /// A file to write the port to, once the server listens.
    #[arg(long, value_name = "FILE")]
    pub port_file: Option<PathBuf>,
}

/// What a request may ask for, and for how long.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest body that is read, in bytes.
    pub body: usize,
    /// Most ids in one list of a request (history, exclusions, items of a rows request).
    pub ids: usize,
    /// Candidates if the request does not say.
    pub default_candidates: usize,
    /// Most candidates of one list.
    pub max_candidates: usize,
    /// From the arrival of a request for candidates to its answer.
    pub timeout: Duration,
    /// From the arrival of a request's head to the end of its body.
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
    /// Every page of the web.
    Any,
    /// Pages of this origin, `scheme://host[:port]`.
    One(String),
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let refused =
            || format!("expected an origin such as `https://shop.example` or `*`, found `{text}`");
        let text = text.strip_suffix('/').unwrap_or(text);
        let uri: Uri = text.parse().map_err(|_| refused())?;
        let is_origin = matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.path() == "/"
            && uri.query().is_none()
            && !text.ends_with('/')
            && !text.contains(['@', '#']);
        if is_origin { Ok(Self::One(text.to_ascii_lowercase())) } else { Err(refused()) }
    }
}

fn parse_threads(text: &str) -> Result<usize, String> {
    parse_between(text, 1, 512)
}

fn parse_queue(text: &str) -> Result<usize, String> {
    parse_between(text, 1, 10_000)
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    parse_between(text, 1, 600).map(|seconds| Duration::from_secs(seconds as u64))
}

fn parse_between(text: &str, least: usize, most: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("expected a whole number from {least} to {most}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_scheme_host_and_port() {
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
            assert!(wrong.parse::<Origin>().is_err(), "{wrong} was taken for an origin");
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let with = |option: &str, value: &str| {
            let required = ["cloud-server", "--gguf", "g", "--data", "d", "--artifacts", "a"];
            Args::try_parse_from(required.into_iter().chain([option, value]))
        };
        assert_eq!(with("--timeout", "7").unwrap().timeout, Duration::from_secs(7));
        for (option, value) in
            [("--threads", "0"), ("--queue", "0"), ("--timeout", "0"), ("--port", "65536")]
        {
            assert!(with(option, value).is_err(), "{option} {value} was accepted");
        }
    }
}
