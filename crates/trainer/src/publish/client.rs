use std::{
    io::Read,
    thread,
    time::{Duration, Instant},
};

use serde::Deserialize;
use tandem_protocol::{ErrorCode, Problem};
use ureq::{
    Agent, Body, SendBody,
    http::{Response, Uri},
};

use super::error::PublishError;

/// Time until a connection is made.
const CONNECT: Duration = Duration::from_secs(10);
/// Time until an answer begins: the server reads a whole release, or loads one.
const ANSWER: Duration = Duration::from_mins(15);
/// Time between two looks at whether a release is loaded.
const POLL: Duration = Duration::from_secs(1);
/// Time in which a server tries and loads a release.
const LOADING: Duration = Duration::from_mins(20);

/// The routes of a server for releases.
pub(super) struct Client {
    agent: Agent,
    /// The address without a slash at its end.
    url: String,
    key: Option<String>,
}

/// A release is in use.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Activated {
    /// The release before it, if it was another one.
    pub(super) previous: Option<String>,
}

/// The part of `GET /v1/releases` that is read.
#[derive(Deserialize)]
struct ReleaseList {
    in_use: String,
    loading: Option<serde::de::IgnoredAny>,
    releases: Vec<ListedRelease>,
}

#[derive(Deserialize)]
struct ListedRelease {
    name: String,
    refused: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    reason: String,
}

/// The answer of an activation.
#[derive(Deserialize)]
struct Activation {
    state: String,
    previous: Option<String>,
}

impl Client {
    /// # Errors
    /// [`PublishError::Url`] or [`PublishError::Key`].
    pub(super) fn new(url: &str, key: Option<String>) -> Result<Self, PublishError> {
        let wrong = || PublishError::Url { url: url.to_owned() };
        let parsed: Uri = url.parse().map_err(|_| wrong())?;
        let is_http = matches!(parsed.scheme_str(), Some("http" | "https"));
        if !is_http || parsed.host().is_none() || parsed.query().is_some() {
            return Err(wrong());
        }
        if key.as_ref().is_some_and(|key| !key.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(PublishError::Key);
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A key is not sent to another address.
            .max_redirects(0)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .build();
        Ok(Self { agent: config.into(), url: url.trim_end_matches('/').to_owned(), key })
    }

    /// Whether the key is sent over a network without encryption.
    pub(super) fn shows_the_key(&self) -> bool {
        let host = self.url.strip_prefix("http://").map(|rest| {
            let authority = rest.split('/').next().unwrap_or_default();
            authority.rsplit_once(':').map_or(authority, |(host, _)| host)
        });
        let is_local = |host: &str| {
            host == "localhost"
                || host
                    .trim_matches(['[', ']'])
                    .parse()
                    .is_ok_and(|it: std::net::IpAddr| it.is_loopback())
        };
        self.key.is_some() && host.is_some_and(|host| !is_local(host))
    }

    /// Whether the server has the release.
    pub(super) fn has(&self, name: &str) -> Result<bool, PublishError> {
        Ok(self.list()?.releases.iter().any(|release| release.name == name))
    }

    /// Sends a release of `bytes` bytes.
    pub(super) fn upload(
        &self,
        name: &str,
        bytes: u64,
        archive: &mut dyn Read,
    ) -> Result<(), PublishError> {
        let request = self
            .agent
            .put(self.at(&format!("releases/{name}")))
            .header("content-type", "application/x-tar")
            .header("content-length", bytes.to_string());
        let sent = self.with_key(request).send(SendBody::from_reader(archive));
        self.accepted(sent).map(drop)
    }

    /// Puts a release in use and waits until it is.
    pub(super) fn activate(&self, name: &str) -> Result<Activated, PublishError> {
        let request = self.agent.post(self.at(&format!("releases/{name}/activate")));
        let answer = self.accepted(self.with_key(request).send_empty())?;
        let Activation { state, previous } = self.parsed(answer)?;
        if state == "in_use" {
            return Ok(Activated { previous });
        }
        let until = Instant::now() + LOADING;
        loop {
            thread::sleep(POLL);
            let list = self.list()?;
            let refused = |release: ListedRelease| {
                release.refused.filter(|_| release.name == name).map(|refused| refused.reason)
            };
            if list.in_use == name {
                return Ok(Activated { previous: None });
            }
            if let Some(detail) = list.releases.into_iter().find_map(refused) {
                return Err(PublishError::ReleaseRefused { url: self.url.clone(), detail });
            }
            if list.loading.is_none() || Instant::now() > until {
                let detail = "the release was not put in use; see `GET /v1/releases`".to_owned();
                return Err(PublishError::ReleaseRefused { url: self.url.clone(), detail });
            }
        }
    }

    fn list(&self) -> Result<ReleaseList, PublishError> {
        let request = self.agent.get(self.at("releases"));
        let answer = self.accepted(self.with_key(request).call())?;
        self.parsed(answer)
    }

    fn at(&self, path: &str) -> String {
        format!("{}/v1/{path}", self.url)
    }

    fn with_key<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.key {
            Some(key) => request.header("authorization", format!("Bearer {key}")),
            None => request,
        }
    }

    /// The answer, if it is a successful one.
    fn accepted(
        &self,
        sent: Result<Response<Body>, ureq::Error>,
    ) -> Result<Response<Body>, PublishError> {
        let url = || self.url.clone();
        let mut answer = sent
            .map_err(|error| PublishError::Unreachable { url: url(), reason: error.to_string() })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let text = answer.body_mut().read_to_string().unwrap_or_default();
        let problem: Option<Problem> = serde_json::from_str(&text).ok();
        let code = problem.as_ref().map(|problem| problem.code);
        let detail = problem.map_or_else(
            || "expected an answer of cloud-server; check the address".to_owned(),
            |problem| problem.detail,
        );
        Err(match (status.as_u16(), code) {
            (401 | 403, _) => PublishError::KeyRefused { url: url(), detail },
            (_, Some(ErrorCode::ReleaseRefused | ErrorCode::PayloadTooLarge)) => {
                PublishError::ReleaseRefused { url: url(), detail }
            }
            (status, _) => PublishError::Answer { url: url(), status, detail },
        })
    }

    fn parsed<T: for<'de> Deserialize<'de>>(
        &self,
        mut answer: Response<Body>,
    ) -> Result<T, PublishError> {
        let status = answer.status().as_u16();
        let text = answer.body_mut().read_to_string().unwrap_or_default();
        serde_json::from_str(&text).map_err(|error| PublishError::Answer {
            url: self.url.clone(),
            status,
            detail: format!("expected an answer of this version of cloud-server: {error}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write},
        net::TcpListener,
        thread::JoinHandle,
    };

    use super::*;

    /// The first line of a request, and its key.
    type Seen = (String, Option<String>);

    /// A server that gives these answers, one for each connection. Returns its address, and what
    /// it has seen.
    fn server(answers: Vec<(u16, &'static str)>) -> (String, JoinHandle<Vec<Seen>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let run = move || {
            let mut seen = Vec::new();
            for (status, body) in answers {
                let (stream, _) = listener.accept().unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap());
                let (mut first, mut key, mut length) = (String::new(), None, 0);
                lines.read_line(&mut first).unwrap();
                loop {
                    let mut line = String::new();
                    lines.read_line(&mut line).unwrap();
                    let Some((name, value)) = line.trim().split_once(": ") else { break };
                    match name.to_ascii_lowercase().as_str() {
                        "authorization" => key = Some(value.to_owned()),
                        "content-length" => length = value.parse().unwrap(),
                        _ => {}
                    }
                }
                let mut sent = vec![0; length];
                lines.read_exact(&mut sent).unwrap();
                seen.push((first.trim().to_owned(), key));
                let mut stream = stream;
                write!(
                    stream,
                    "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                )
                .unwrap();
            }
            seen
        };
        (url, thread::spawn(run))
    }

    fn problem(code: &str) -> String {
        format!(
            r#"{{"type":"about:blank","title":"x","status":400,"detail":"why","code":"{code}"}}"#
        )
    }

    const LOADING_LIST: &str =
        r#"{"in_use":"a","loading":{"release":"b"},"releases":[{"name":"b","refused":null}]}"#;
    const IN_USE: &str = r#"{"in_use":"b","loading":null,"releases":[]}"#;
    const REFUSED: &str =
        r#"{"in_use":"a","loading":null,"releases":[{"name":"b","refused":{"reason":"broken"}}]}"#;
    const ACCEPTED: (u16, &str) = (202, r#"{"release":"b","state":"loading","previous":null}"#);

    #[test]
    fn a_release_is_sent_and_waited_for() {
        let (url, server) = server(vec![
            (200, r#"{"in_use":"a","loading":null,"releases":[]}"#),
            (201, "{}"),
            ACCEPTED,
            (200, LOADING_LIST),
            (200, IN_USE),
        ]);
        let client = Client::new(&url, Some("secret".to_owned())).unwrap();
        assert!(!client.has("b").unwrap());
        client.upload("b", 5, &mut &b"12345"[..]).unwrap();
        assert_eq!(client.activate("b").unwrap(), Activated { previous: None });
        let seen = server.join().unwrap();
        assert!(seen.iter().all(|(_, key)| key.as_deref() == Some("Bearer secret")), "{seen:?}");
        let lines: Vec<&str> = seen.iter().map(|(line, _)| line.as_str()).collect();
        assert_eq!(
            lines[..3],
            [
                "GET /v1/releases HTTP/1.1",
                "PUT /v1/releases/b HTTP/1.1",
                "POST /v1/releases/b/activate HTTP/1.1"
            ]
        );
    }

    #[test]
    fn every_refusal_is_told_apart() {
        let outcome = |answers: Vec<(u16, &'static str)>| {
            let (url, server) = server(answers);
            let error = Client::new(&url, None).unwrap().activate("b").unwrap_err();
            server.join().unwrap();
            error
        };
        let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
        let refused = outcome(vec![(401, leak(problem("unauthorized")))]);
        assert!(matches!(refused, PublishError::KeyRefused { .. }), "{refused}");
        assert!(refused.blames_input() && refused.to_string().contains("TANDEM_KEY"));
        let refused = outcome(vec![(422, leak(problem("release_refused")))]);
        assert!(matches!(&refused, PublishError::ReleaseRefused { detail, .. } if detail == "why"));
        let refused = outcome(vec![ACCEPTED, (200, REFUSED)]);
        assert!(
            matches!(&refused, PublishError::ReleaseRefused { detail, .. } if detail == "broken"),
            "{refused}"
        );
        let other = outcome(vec![(503, "<html>")]);
        assert!(matches!(other, PublishError::Answer { status: 503, .. }), "{other}");
        assert!(!other.blames_input());
        // A proxy that redirects does not get the key at another address.
        let redirect = outcome(vec![(301, "")]);
        assert!(matches!(redirect, PublishError::Answer { status: 301, .. }), "{redirect}");
    }

    #[test]
    fn a_server_that_is_gone_is_unreachable() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let error = Client::new(&url, None).unwrap().has("b").unwrap_err();
        assert!(matches!(error, PublishError::Unreachable { .. }), "{error}");
        assert!(!error.blames_input());
    }

    #[test]
    fn addresses_and_keys_are_checked_before_anything_is_sent() {
        for wrong in ["rec.example.com", "ftp://rec.example.com", "https://", "http://x/?a=b", ""] {
            let client = Client::new(wrong, None);
            assert!(matches!(client, Err(PublishError::Url { .. })), "{wrong}");
        }
        let key = |key: &str| Some(key.to_owned());
        assert!(matches!(Client::new("http://x", key("a\nb")), Err(PublishError::Key)));
        let shows = |url: &str, key| Client::new(url, key).unwrap().shows_the_key();
        assert!(shows("http://rec.example.com/", key("a")));
        assert!(!shows("https://rec.example.com", key("a")) && !shows("http://x", None));
        assert!(!shows("http://127.0.0.1:8080", key("a")) && !shows("http://[::1]:8080", key("a")));
        assert!(!shows("http://localhost", key("a")));
    }
}
