//! Keys, origins, proxies and rates: as the options say at the start, and again on SIGHUP.

use tandem_storage::Storage;

use crate::{
    access::{AccessControl, KeyFollower, KeySet},
    client::TrustedProxies,
    config::Args,
    start_error::StartError,
    state::AppState,
};

/// The rules of a server that starts, and what follows its keys if they are in the database. Blocks.
///
/// # Errors
/// If the keys cannot be read, or if there are none where the options say that there are.
pub(crate) fn access(
    args: &Args,
    storage: Option<&Storage>,
) -> Result<(AccessControl, Option<KeyFollower>), StartError> {
    let Some(storage) = storage.filter(|_| args.stored_keys) else {
        return Ok((access_of(args)?, None));
    };
    let (follower, keys) = KeyFollower::start(storage)?;
    // A server without keys is open to programs on its machine: nobody has asked for that.
    if keys.is_empty() {
        return Err(StartError::NoStoredKeys { location: storage.location().clone() });
    }
    Ok((rules(args, Some(keys)), Some(follower)))
}

/// The rules with the keys of a file, if the options name one.
fn access_of(args: &Args) -> Result<AccessControl, StartError> {
    let keys = args.keys.as_deref().map(KeySet::read).transpose()?;
    Ok(rules(args, keys))
}

fn rules(args: &Args, keys: Option<KeySet>) -> AccessControl {
    let proxies = TrustedProxies::new(args.trusted_proxy.clone());
    AccessControl::new(keys, args.allow_origin.clone(), proxies, &args.limits().rates)
}

/// Uses keys, origins, proxies and rates of new options; the others need a restart. Keys of the
/// database are read afterwards, by the task that follows them.
///
/// A server with keys keeps them if the new options have none: a file that is half written or
/// empty must not open it to everyone.
pub(crate) fn reload_access(started: &Args, new: &Args, state: &AppState) {
    if started.stored_keys != new.stored_keys {
        tracing::error!(
            "--stored-keys has changed, which needs a restart; the old keys, origins, proxies and \
             rates stay"
        );
        return;
    }
    match access_of(new) {
        Ok(access) if new.stored_keys => {
            state.update_access(|old| access.with_keys_of(old));
            if let Some(follower) = &state.key_follower {
                follower.read_again();
            }
            tracing::info!("origins, proxies and rates were read again, and the keys will be");
        }
        Ok(access) if access.keys().is_none() && state.access().keys().is_some() => {
            tracing::error!(
                "the new configuration names no keys; the old keys, origins, proxies and rates \
                 stay. Restart the server to run it without keys"
            );
            return;
        }
        Ok(access) => {
            state.set_access(access);
            tracing::info!("keys, origins, proxies and rates were read again");
        }
        Err(error) => {
            tracing::error!(%error, "the keys are not used; the old ones stay");
            return;
        }
    }
    let changed = started.changed_options(new).join(", ");
    if !changed.is_empty() {
        tracing::warn!(changed, "these options have changed and need a restart");
    }
}
