//! Who may call what, and how often: keys, roles, origins and rates.
//!
//! A **public key** is part of a web page and no secret. It names the shop's pages, so that other
//! origins cannot use the server, and carries its rate. An **admin key** is a secret of the
//! operator's own programs. A browser never needs one.

mod commands;
mod generate;
mod key_file;
mod key_follower;
mod key_place;
mod key_set;
mod key_store;
mod local;
mod rates;

use std::{net::IpAddr, slice, sync::Arc};

use actix_web::http::{
    Version,
    header::{self, HeaderMap},
};
use tandem_storage::StoredKey;

pub use commands::KeysCommand;
pub use key_file::{KeyFileError, KeyKind};
pub(crate) use key_follower::KeyFollower;
pub use key_set::{Key, KeySet};
pub use key_store::KeysError;
pub use rates::Rates;

use crate::{
    client::{Client, TrustedProxies},
    error::ApiError,
    origin::Origin,
    shared::{Quota, Shared, Unavailable},
};
use local::is_local_program;
use rates::ClientRates;

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Candidates, lists of items, rows, artefacts and events, within rates.
    Public,
    /// Everything.
    Admin,
}

/// What a request costs of the rates of its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cost {
    /// A request.
    Request,
    /// A request and a list of candidates.
    Candidates,
}

/// The sender of a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) role: Role,
    pub(crate) client: Client,
    key: Option<Arc<Key>>,
}

impl Caller {
    /// The id of the caller's key; `local` for a caller on the machine of a server without keys.
    pub(crate) fn id(&self) -> &str {
        self.key.as_ref().map_or("local", |key| &key.id)
    }
}

/// Keys, origins, proxies and rates. Replaced as a whole when the configuration is read again.
#[derive(Debug, Default)]
pub struct AccessControl {
    /// `None`: the server has no keys.
    keys: Option<Arc<KeySet>>,
    origins: Vec<Origin>,
    proxies: TrustedProxies,
    rates: Arc<ClientRates>,
}

impl AccessControl {
    /// Rules with these keys; without keys, programs on this machine may do everything and others
    /// what a public key may.
    #[must_use]
    pub fn new(
        keys: Option<KeySet>,
        origins: Vec<Origin>,
        proxies: TrustedProxies,
        rates: &Rates,
    ) -> Self {
        let rates = Arc::new(ClientRates::new(rates));
        Self { keys: keys.map(Arc::new), origins, proxies, rates }
    }

    /// These rules with the keys of others.
    #[must_use]
    pub(crate) fn with_keys_of(self, other: &Self) -> Self {
        Self { keys: other.keys.clone(), ..self }
    }

    /// The same rules with the keys that a database has now. All rates go on, except those of keys
    /// whose rate was changed. Without any key, nobody is admitted.
    #[must_use]
    pub(crate) fn with_stored_keys(&self, stored: &[StoredKey]) -> Self {
        let keys = KeySet::stored(stored, self.keys.as_deref());
        Self {
            keys: Some(Arc::new(keys)),
            origins: self.origins.clone(),
            proxies: self.proxies.clone(),
            rates: Arc::clone(&self.rates),
        }
    }

    /// Whether pages of this origin may call the server, with some key.
    pub(crate) fn allows_origin(&self, origin: &str) -> bool {
        let keys = self.keys.iter().flat_map(|keys| keys.keys());
        let mut origins = self.origins.iter().chain(keys.flat_map(|key| &key.origins));
        origins.any(|allowed| allowed.allows(origin))
    }

    /// The keys, in the order of their names; `None` if the server has none.
    pub(crate) fn keys(&self) -> Option<Vec<&Key>> {
        let mut keys: Vec<&Key> = self.keys.as_ref()?.keys().collect();
        keys.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        Some(keys)
    }

    /// Whether a peer is a trusted proxy.
    pub(crate) fn is_proxy(&self, peer: IpAddr) -> bool {
        self.proxies.contain(peer)
    }

    /// The sender of a request that arrived from `peer`.
    ///
    /// # Errors
    /// [`ApiError::Unauthorized`] without a valid key, if there are keys, and
    /// [`ApiError::ForeignOrigin`] for a page that may not use the key.
    pub(crate) fn caller(
        &self,
        peer: Option<IpAddr>,
        version: Version,
        headers: &HeaderMap,
    ) -> Result<Caller, ApiError> {
        let address = peer.unwrap_or(IpAddr::from([127, 0, 0, 1]));
        let client = Client::of(self.proxies.client(address, headers));
        let Some(keys) = &self.keys else {
            let is_local = address.to_canonical().is_loopback();
            let is_local = is_local && is_local_program(version, headers, &self.origins);
            let role = if is_local { Role::Admin } else { Role::Public };
            return Ok(Caller { role, client, key: None });
        };
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let presented = bearer.and_then(|value| {
            let (scheme, key) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
        });
        let key = presented.and_then(|text| keys.find(text)).ok_or(ApiError::Unauthorized)?;
        if let Some(origin) = headers.get(header::ORIGIN)
            && !key.origins.is_empty()
        {
            // What is no text is none of them.
            let origin = origin.to_str().map_err(|_| ApiError::ForeignOrigin)?;
            if !key.origins.iter().any(|allowed| allowed.allows(origin)) {
                return Err(ApiError::ForeignOrigin);
            }
        }
        let role = match key.kind {
            KeyKind::Public => Role::Public,
            KeyKind::Admin => Role::Admin,
        };
        Ok(Caller { role, client, key: Some(Arc::clone(key)) })
    }

    /// Whether callers need a key.
    pub(crate) fn has_keys(&self) -> bool {
        self.keys.is_some()
    }

    /// Charges a request to the rates of its key and its client, which servers with the same
    /// Redis count together.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`] if a rate is exceeded.
    pub(crate) async fn charge(
        &self,
        caller: &Caller,
        cost: Cost,
        shared: Option<&Shared>,
    ) -> Result<(), ApiError> {
        let key = caller.key.as_ref().and_then(|key| Some((key.rate.as_ref()?, &key.id)));
        let client = (caller.role == Role::Public).then_some(caller.client);
        if let Some(shared) = shared {
            let key = key.map(|(rate, id)| rate.quota(id));
            let client = client.into_iter().flat_map(|client| self.rates.quotas(client, cost));
            let quotas: Vec<_> = key.into_iter().chain(client).collect();
            if let Ok(charged) = charge_together(shared, &quotas).await {
                return charged;
            }
        }
        key.map_or(Ok(()), |(rate, _)| rate.charge())?;
        client.map_or(Ok(()), |client| self.rates.charge(client, cost))
    }

    /// Charges events to the rates of their client.
    ///
    /// # Errors
    /// As [`AccessControl::charge`].
    pub(crate) async fn charge_events(
        &self,
        caller: &Caller,
        events: usize,
        shared: Option<&Shared>,
    ) -> Result<(), ApiError> {
        if caller.role == Role::Admin {
            return Ok(());
        }
        let Some(quota) = self.rates.event_quota(caller.client, events)? else { return Ok(()) };
        if let Some(shared) = shared
            && let Ok(charged) = charge_together(shared, slice::from_ref(&quota)).await
        {
            return charged;
        }
        self.rates.charge_events(caller.client, &quota)
    }

    /// Forgets clients that have not called for a while.
    pub(crate) fn forget_idle_clients(&self) {
        self.rates.forget_idle_clients();
    }
}

/// Charges a request in Redis.
async fn charge_together(
    shared: &Shared,
    quotas: &[Quota],
) -> Result<Result<(), ApiError>, Unavailable> {
    if quotas.is_empty() {
        return Ok(Ok(()));
    }
    Ok(match shared.charge(quotas).await? {
        None => Ok(()),
        Some(retry_after_s) => Err(ApiError::RateLimited { retry_after_s }),
    })
}
