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

use crate::ReleaseClientError;

/// Time until a connection is made.
const CONNECT: Duration = Duration::from_secs(10);
/// Time until an answer begins: the server reads a whole release, or loads one.
const ANSWER: Duration = Duration::from_mins(15);
/// Time between two looks at whether a release is loaded.
const POLL: Duration = Duration::from_secs(1);
/// Time in which a server tries and loads a release.
const LOADING: Duration = Duration::from_mins(20);

/// The routes of a server for releases.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    /// The address without a slash at its end.
    address: String,
    /// The same as messages show it.
    url: String,
    key: Option<String>,
}

/// A release is in use.
#[derive(Debug, PartialEq, Eq)]
pub struct Activated {
    /// Its name.
    pub release: String,
    /// The release before it, if it was another one and the server said so in time.
    pub previous: Option<String>,
}

/// The part of `GET /v1/releases` that is read.
#[derive(Debug, Deserialize)]
pub struct ReleaseList {
    /// Name of the release in use.
    pub in_use: String,
    /// The release before it, which a roll-back puts in use, if one is known.
    #[serde(default)]
    pub previous: Option<String>,
    loading: Option<Loading>,
    /// All releases on the disk of the server, the newest first.
    pub releases: Vec<ListedRelease>,
}

impl ReleaseList {
    /// Name of the release that is being tried and loaded.
    #[must_use]
    pub fn loading(&self) -> Option<&str> {
        self.loading.as_ref().map(|loading| loading.release.as_str())
    }
}

#[derive(Debug, Deserialize)]
struct Loading {
    release: String,
}

/// A release on the disk of the server.
#[derive(Debug, Deserialize)]
pub struct ListedRelease {
    /// The name.
    pub name: String,
    /// Why it was refused, if the last attempt to use it failed since the start of the server.
    pub refused: Option<Refusal>,
    /// Name of the dataset, if it can be read.
    #[serde(default)]
    pub dataset: Option<String>,
    /// Number of items in the catalogue.
    #[serde(default)]
    pub items: Option<u64>,
    /// Size of all its files in bytes.
    #[serde(default)]
    pub bytes: u64,
    /// When it was written, in milliseconds since 1970.
    #[serde(default)]
    pub written: u64,
}

/// Why a release cannot be used.
#[derive(Debug, Deserialize)]
pub struct Refusal {
    /// What was expected and found.
    pub reason: String,
}

/// The answer of an activation.
#[derive(Deserialize)]
struct Activation {
    release: String,
    state: String,
    previous: Option<String>,
}

impl Client {
    /// The routes of the server at an address of HTTP, with an admin key if the server has keys.
    ///
    /// # Errors
    /// [`ReleaseClientError::Url`] or [`ReleaseClientError::Key`].
    pub fn new(url: &str, key: Option<String>) -> Result<Self, ReleaseClientError> {
        let shown = without_credentials(url);
        let wrong = || ReleaseClientError::Url { url: shown.clone() };
        let parsed: Uri = url.parse().map_err(|_| wrong())?;
        let is_http = matches!(parsed.scheme_str(), Some("http" | "https"));
        if !is_http || parsed.host().is_none() || parsed.query().is_some() {
            return Err(wrong());
        }
        if key.as_ref().is_some_and(|key| !key.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(ReleaseClientError::Key);
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A key is not sent to another address.
            .max_redirects(0)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .build();
        let [address, url] = [url, &shown].map(|it| it.trim_end_matches('/').to_owned());
        Ok(Self { agent: config.into(), address, url, key })
    }

    /// The address without a slash at its end, and without user and password.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether the key is sent over a network without encryption.
    #[must_use]
    pub fn shows_the_key(&self) -> bool {
        let host = self.address.strip_prefix("http://").map(|rest| {
            let authority = rest.split('/').next().unwrap_or_default();
            let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
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
    ///
    /// # Errors
    /// See [`ReleaseClientError`].
    pub fn has(&self, name: &str) -> Result<bool, ReleaseClientError> {
        Ok(self.list()?.releases.iter().any(|release| release.name == name))
    }

    /// Sends a release of `bytes` bytes.
    ///
    /// # Errors
    /// [`ReleaseClientError::ReleaseRefused`] with the reason if the server does not accept it.
    pub fn upload(
        &self,
        name: &str,
        bytes: u64,
        archive: &mut dyn Read,
    ) -> Result<(), ReleaseClientError> {
        let request = self
            .agent
            .put(self.at(&format!("releases/{}", checked(name)?)))
            .header("content-type", "application/x-tar")
            .header("content-length", bytes.to_string());
        let sent = self.with_key(request).send(SendBody::from_reader(archive));
        self.accepted(sent).map(drop)
    }

    /// Puts a release in use and waits until it is.
    ///
    /// # Errors
    /// [`ReleaseClientError::ReleaseRefused`] with the reason if the server cannot use it.
    pub fn activate(&self, name: &str) -> Result<Activated, ReleaseClientError> {
        self.put_in_use(&format!("releases/{}/activate", checked(name)?))
    }

    /// Puts the release in use that was in use before, and waits until it is.
    ///
    /// # Errors
    /// [`ReleaseClientError::Refused`] if no earlier release is known.
    pub fn roll_back(&self) -> Result<Activated, ReleaseClientError> {
        self.put_in_use("releases/rollback")
    }

    /// Deletes a release that is not in use.
    ///
    /// # Errors
    /// [`ReleaseClientError::Refused`] if it is in use or not there.
    pub fn delete(&self, name: &str) -> Result<(), ReleaseClientError> {
        let request = self.agent.delete(self.at(&format!("releases/{}", checked(name)?)));
        self.accepted(self.with_key(request).call()).map(drop)
    }

    fn put_in_use(&self, path: &str) -> Result<Activated, ReleaseClientError> {
        let request = self.agent.post(self.at(path));
        let answer = self.accepted(self.with_key(request).send_empty())?;
        let Activation { release: name, state, previous } = self.parsed(answer)?;
        if state == "in_use" {
            return Ok(Activated { release: name, previous });
        }
        let until = Instant::now() + LOADING;
        loop {
            thread::sleep(POLL);
            let list = self.list()?;
            let refused = |release: &ListedRelease| {
                let refusal = release.refused.as_ref().filter(|_| release.name == name);
                refusal.map(|refusal| refusal.reason.clone())
            };
            if list.in_use == name {
                return Ok(Activated { release: name, previous: None });
            }
            if let Some(detail) = list.releases.iter().find_map(refused) {
                return Err(ReleaseClientError::ReleaseRefused { url: self.url.clone(), detail });
            }
            if list.loading.is_none() || Instant::now() > until {
                let detail = "the release was not put in use; see `GET /v1/releases`".to_owned();
                return Err(ReleaseClientError::ReleaseRefused { url: self.url.clone(), detail });
            }
        }
    }

    /// The releases of the server.
    ///
    /// # Errors
    /// See [`ReleaseClientError`].
    pub fn list(&self) -> Result<ReleaseList, ReleaseClientError> {
        let request = self.agent.get(self.at("releases"));
        let answer = self.accepted(self.with_key(request).call())?;
        self.parsed(answer)
    }

    fn at(&self, path: &str) -> String {
        format!("{}/v1/{path}", self.address)
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
    ) -> Result<Response<Body>, ReleaseClientError> {
        let url = || self.url.clone();
        let mut answer = sent.map_err(|error| ReleaseClientError::Unreachable {
            url: url(),
            reason: error.to_string(),
        })?;
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
            (401 | 403, _) => ReleaseClientError::KeyRefused { url: url(), detail },
            (_, Some(ErrorCode::ReleaseRefused | ErrorCode::PayloadTooLarge)) => {
                ReleaseClientError::ReleaseRefused { url: url(), detail }
            }
            (_, Some(ErrorCode::Conflict | ErrorCode::NotFound | ErrorCode::InvalidField)) => {
                ReleaseClientError::Refused { url: url(), detail }
            }
            (status, _) => ReleaseClientError::Answer { url: url(), status, detail },
        })
    }

    fn parsed<T: for<'de> Deserialize<'de>>(
        &self,
        mut answer: Response<Body>,
    ) -> Result<T, ReleaseClientError> {
        let status = answer.status().as_u16();
        let text = answer.body_mut().read_to_string().unwrap_or_default();
        serde_json::from_str(&text).map_err(|error| ReleaseClientError::Answer {
            url: self.url.clone(),
            status,
            detail: format!("expected an answer of this version of cloud-server: {error}"),
        })
    }
}

/// A name that can be a part of the path of a route.
fn checked(name: &str) -> Result<&str, ReleaseClientError> {
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_name.then_some(name).ok_or_else(|| ReleaseClientError::Name { name: name.to_owned() })
}

/// An address, which may be a wrong one, without what may be a user, a password or a token: all
/// before the last `@`, and the query.
fn without_credentials(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let (address, rest) = url.split_at(end);
    let cut = if rest.is_empty() { "" } else { "…" };
    let Some((before, host)) = address.rsplit_once('@') else { return format!("{address}{cut}") };
    let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
    let separator = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{separator}…@{host}{cut}")
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
        let activated = client.activate("b").unwrap();
        assert_eq!(activated, Activated { release: "b".to_owned(), previous: None });
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
        assert!(matches!(refused, ReleaseClientError::KeyRefused { .. }), "{refused}");
        assert!(refused.blames_input() && refused.to_string().contains("TANDEM_KEY"));
        let refused = outcome(vec![(422, leak(problem("release_refused")))]);
        assert!(
            matches!(&refused, ReleaseClientError::ReleaseRefused { detail, .. } if detail == "why")
        );
        let refused = outcome(vec![ACCEPTED, (200, REFUSED)]);
        assert!(
            matches!(&refused, ReleaseClientError::ReleaseRefused { detail, .. } if detail == "broken"),
            "{refused}"
        );
        let other = outcome(vec![(503, "<html>")]);
        assert!(matches!(other, ReleaseClientError::Answer { status: 503, .. }), "{other}");
        assert!(!other.blames_input());
        let conflict = outcome(vec![(409, leak(problem("conflict")))]);
        assert!(matches!(conflict, ReleaseClientError::Refused { .. }), "{conflict}");
        // A proxy that redirects does not get the key at another address.
        let redirect = outcome(vec![(301, "")]);
        assert!(matches!(redirect, ReleaseClientError::Answer { status: 301, .. }), "{redirect}");
    }

    #[test]
    fn releases_are_listed_rolled_back_and_deleted() {
        const LIST: &str = r#"{"in_use":"b","previous":"a","loading":{"release":"c","since":5},
            "releases":[{"name":"b","in_use":true,"refused":null,"dataset":"shop","items":300,
            "bytes":5,"written":7}],"refused":[],"activations":[]}"#;
        let (url, server) = server(vec![
            (200, LIST),
            (200, r#"{"release":"a","state":"in_use","previous":"b"}"#),
            (204, ""),
        ]);
        let client = Client::new(&url, None).unwrap();
        let list = client.list().unwrap();
        assert_eq!((list.previous.as_deref(), list.loading()), (Some("a"), Some("c")));
        let release = &list.releases[0];
        assert_eq!((release.dataset.as_deref(), release.items), (Some("shop"), Some(300)));
        let activated = client.roll_back().unwrap();
        let previous = Some("b".to_owned());
        assert_eq!(activated, Activated { release: "a".to_owned(), previous });
        client.delete("b").unwrap();
        let wrong = client.delete("../b").unwrap_err();
        assert!(matches!(wrong, ReleaseClientError::Name { .. }), "{wrong}");
        let lines: Vec<String> = server.join().unwrap().into_iter().map(|(line, _)| line).collect();
        assert_eq!(
            lines,
            [
                "GET /v1/releases HTTP/1.1",
                "POST /v1/releases/rollback HTTP/1.1",
                "DELETE /v1/releases/b HTTP/1.1"
            ]
        );
    }

    #[test]
    fn a_server_that_is_gone_is_unreachable() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let error = Client::new(&url, None).unwrap().has("b").unwrap_err();
        assert!(matches!(error, ReleaseClientError::Unreachable { .. }), "{error}");
        assert!(!error.blames_input());
    }

    #[test]
    fn addresses_and_keys_are_checked_before_anything_is_sent() {
        for wrong in ["rec.example.com", "ftp://rec.example.com", "https://", "http://x/?a=b", ""] {
            let client = Client::new(wrong, None);
            assert!(matches!(client, Err(ReleaseClientError::Url { .. })), "{wrong}");
        }
        for wrong in [
            "anna:s3cret@rec.example.com",
            "ftp://anna:s3cret@x",
            "http://anna:s3 cret@x",
            "http://x?token=s3cret",
            "http://anna:a/s3cret@x?",
        ] {
            let error = Client::new(wrong, None).unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
        // Nothing listens on port 1.
        let client = Client::new("http://anna:s3cret@127.0.0.1:1/", None).unwrap();
        assert_eq!(client.url(), "http://…@127.0.0.1:1");
        let error = client.list().unwrap_err().to_string();
        assert!(error.contains("127.0.0.1:1") && !error.contains("s3cret"), "{error}");
        let key = |key: &str| Some(key.to_owned());
        assert!(matches!(Client::new("http://x", key("a\nb")), Err(ReleaseClientError::Key)));
        let shows = |url: &str, key| Client::new(url, key).unwrap().shows_the_key();
        assert!(shows("http://rec.example.com/", key("a")));
        assert!(!shows("https://rec.example.com", key("a")) && !shows("http://x", None));
        assert!(!shows("http://127.0.0.1:8080", key("a")) && !shows("http://[::1]:8080", key("a")));
        assert!(!shows("http://localhost", key("a")));
    }
}
