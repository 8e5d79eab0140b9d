//! The address of a client, also behind reverse proxies.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use actix_web::http::header::HeaderMap;
use ipnet::IpNet;

/// Header in which a reverse proxy names its client.
const FORWARDED_FOR: &str = "x-forwarded-for";
/// Leading bits of an IPv6 address that belong to one client: providers assign whole networks.
const IPV6_PREFIX: u32 = 64;

/// A client for limits and fair queues: an IPv4 address, or the first 64 bits of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Client(u128);

impl Client {
    /// The client at an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(v4.to_ipv6_mapped().to_bits()),
            IpAddr::V6(v6) => Self(v6.to_bits() & (u128::MAX << (128 - IPV6_PREFIX))),
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ipv6Addr::from_bits(self.0).to_canonical().fmt(f)
    }
}

/// The reverse proxies whose `X-Forwarded-For` is believed.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Trusts proxies of these networks.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether the address is that of a trusted proxy.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The address of the client of a request that arrived from `peer`: the last one in
    /// `X-Forwarded-For` that is no trusted proxy. Entries before it may be invented.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer;
        let values = headers.get_all(FORWARDED_FOR).filter_map(|value| value.to_str().ok());
        let entries: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
        for entry in entries.into_iter().rev() {
            if !self.contain(client) {
                break;
            }
            let Ok(address) = entry.parse() else { break };
            client = address;
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_is_an_ipv4_address_or_an_ipv6_network() {
        assert_eq!(Client::of(address("192.0.2.1")), Client::of(address("::ffff:192.0.2.1")));
        assert_ne!(Client::of(address("192.0.2.1")), Client::of(address("192.0.2.2")));
        assert_eq!(
            Client::of(address("2001:db8:0:1::1")),
            Client::of(address("2001:db8:0:1:ffff::"))
        );
        assert_ne!(Client::of(address("2001:db8:0:1::1")), Client::of(address("2001:db8:0:2::1")));
        assert_eq!(Client::of(address("192.0.2.1")).to_string(), "192.0.2.1");
    }

    #[test]
    fn only_entries_of_trusted_proxies_are_believed() {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let client = |peer: &str, forwarded: &str| {
            let mut headers = HeaderMap::new();
            if !forwarded.is_empty() {
                let name = HeaderName::from_static(FORWARDED_FOR);
                headers.append(name, HeaderValue::from_str(forwarded).unwrap());
            }
            proxies.client(address(peer), &headers).to_string()
        };
        assert_eq!(client("192.0.2.1", ""), "192.0.2.1");
        assert_eq!(client("192.0.2.1", "203.0.113.9"), "192.0.2.1", "not a proxy");
        assert_eq!(client("10.0.0.1", "203.0.113.9"), "203.0.113.9");
        assert_eq!(client("10.0.0.1", "198.51.100.1, 203.0.113.9"), "203.0.113.9", "invented");
        assert_eq!(client("10.0.0.1", "203.0.113.9, 10.0.0.2"), "203.0.113.9", "two proxies");
        assert_eq!(client("10.0.0.1", "nonsense"), "10.0.0.1");
        assert_eq!(client("10.0.0.1", ""), "10.0.0.1");
    }
}
