//! Which requests from this machine are those of the operator's own programs, on a server without
//! keys. Others arrive from this machine, too: those of visitors through a reverse proxy, and those
//! of web pages in a browser of the operator.

use actix_web::http::{
    Uri, Version,
    header::{self, HeaderMap, HeaderValue},
};

use crate::origin::Origin;

/// Headers that reverse proxies and content delivery networks add.
const FORWARDED: [&str; 11] = [
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-server",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "forwarded",
    "via",
];

/// Whether a request from a loopback address is that of a program on this machine or of the
/// server's own pages.
///
/// It is not if a proxy has forwarded it (also nginx without any configuration, which speaks
/// HTTP/1.0), if a page of an origin that is not in `allowed` by its name has sent it, or if it names another host: the name of a
/// foreign page may resolve to this machine (DNS rebinding).
pub(super) fn is_local_program(version: Version, headers: &HeaderMap, allowed: &[Origin]) -> bool {
    let is_forwarded = FORWARDED.iter().any(|name| headers.contains_key(*name));
    if is_forwarded || version < Version::HTTP_11 {
        return false;
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let is_named = |origin: &HeaderValue| {
        let mut named = allowed.iter().filter(|allowed| **allowed != Origin::Any);
        origin.to_str().is_ok_and(|origin| named.any(|allowed| allowed.allows(origin)))
    };
    let mut origins = headers.get_all(header::ORIGIN);
    if origins.next().is_some_and(is_named) && origins.next().is_none() {
        return is_loopback(host);
    }
    // Each of several values must be right.
    let is_own_page = headers.get_all(header::ORIGIN).all(|origin| {
        let of = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://"));
        of.is_some_and(|of| of.eq_ignore_ascii_case(host))
    });
    let is_same_site = headers
        .get_all("sec-fetch-site")
        .all(|site| matches!(site.as_bytes(), b"same-origin" | b"none"));
    is_own_page && is_same_site && is_loopback(host)
}

/// Whether `host[:port]` is a name of this machine.
fn is_loopback(host: &str) -> bool {
    let Ok(uri) = host.parse::<Uri>() else { return false };
    let name = uri.host().unwrap_or_default();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|it| it.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderName;

    use super::*;

    fn is_local(version: Version, lines: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let value = HeaderValue::from_str(value).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
        let allowed = [Origin::Any, "http://localhost:5173".parse().unwrap()];
        is_local_program(version, &headers, &allowed)
    }

    #[test]
    fn programs_and_own_pages_are_local() {
        for host in ["127.0.0.1:8080", "localhost:8080", "LOCALHOST", "[::1]:8080", "127.9.9.9"] {
            assert!(is_local(Version::HTTP_11, &[("host", host)]), "{host}");
            let origin = format!("http://{host}");
            let page = [("host", host), ("origin", &origin), ("sec-fetch-site", "same-origin")];
            assert!(is_local(Version::HTTP_11, &page), "{host}");
        }
        // An address in the browser's bar.
        let typed = [("host", "localhost:8080"), ("sec-fetch-site", "none")];
        assert!(is_local(Version::HTTP_11, &typed));
    }

    #[test]
    fn what_a_proxy_forwards_is_not_local() {
        let host = ("host", "127.0.0.1:8080");
        for name in FORWARDED {
            assert!(!is_local(Version::HTTP_11, &[host, (name, "203.0.113.9")]), "{name}");
        }
        assert!(!is_local(Version::HTTP_10, &[host]));
    }

    #[test]
    fn pages_of_others_are_not_local() {
        let host = ("host", "127.0.0.1:8080");
        for origin in [
            "http://evil.example",
            "https://127.0.0.1:8080",
            "http://127.0.0.1:9090",
            "http://localhost:8080",
            "null",
        ] {
            assert!(!is_local(Version::HTTP_11, &[host, ("origin", origin)]), "{origin}");
        }
        // The operator has named this one.
        let named = [host, ("origin", "http://localhost:5173"), ("sec-fetch-site", "same-site")];
        assert!(is_local(Version::HTTP_11, &named));
        let both = [host, ("origin", "http://127.0.0.1:8080"), ("origin", "http://evil.example")];
        assert!(!is_local(Version::HTTP_11, &both));
        for site in ["cross-site", "same-site", "?"] {
            assert!(!is_local(Version::HTTP_11, &[host, ("sec-fetch-site", site)]), "{site}");
        }
    }

    #[test]
    fn another_host_is_not_local() {
        for host in
            ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", "a b", "192.0.2.1"]
        {
            assert!(!is_local(Version::HTTP_11, &[("host", host)]), "{host}");
        }
        assert!(!is_local(Version::HTTP_11, &[]));
    }
}
