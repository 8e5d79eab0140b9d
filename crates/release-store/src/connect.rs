//! Clients of the services, with the settings of the environment.

use std::{env, sync::Arc, time::Duration};

use object_store::{
    ClientConfigKey, ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
    local::LocalFileSystem,
};
use url::Url;

use crate::{
    StoreUrl,
    address::{Kind, no_url},
    error::reason,
};

/// Maximum time of a request for a large object; its parts have a shorter one.
const LONG: &str = "6 hours";
/// Maximum time to connect.
const CONNECT: &str = "5 seconds";
/// Maximum time in which a failed request is sent again.
const RETRYING: Duration = Duration::from_secs(10);
const RETRIES: usize = 3;

/// # Errors
/// What is wrong with the settings, and what to do.
pub(crate) fn connect(url: &StoreUrl) -> Result<Arc<dyn ObjectStore>, String> {
    // Fails if another part of the program has chosen one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let retry =
        RetryConfig { max_retries: RETRIES, retry_timeout: RETRYING, ..RetryConfig::default() };
    let times = [
        (ClientConfigKey::ConnectTimeout, CONNECT),
        // Of a whole response; the default is too short for a language model.
        (ClientConfigKey::Timeout, LONG),
    ];
    let unusable = |error: object_store::Error| reason(&error);
    Ok(match url.kind() {
        // Folders that a removed release leaves empty are removed, too.
        Kind::Folder => {
            Arc::new(LocalFileSystem::new().with_fsync(true).with_automatic_cleanup(true))
        }
        Kind::S3 => {
            let builder = AmazonS3Builder::from_env().with_url(url.to_string()).with_retry(retry);
            check_endpoint(&builder)?;
            let with = |builder: AmazonS3Builder, (key, time)| {
                builder.with_config(AmazonS3ConfigKey::Client(key), time)
            };
            Arc::new(times.into_iter().fold(builder, with).build().map_err(unusable)?)
        }
        Kind::Google => {
            let builder =
                GoogleCloudStorageBuilder::from_env().with_url(url.to_string()).with_retry(retry);
            let with = |builder: GoogleCloudStorageBuilder, (key, time)| {
                builder.with_config(GoogleConfigKey::Client(key), time)
            };
            Arc::new(times.into_iter().fold(builder, with).build().map_err(unusable)?)
        }
        Kind::Azure => {
            let builder =
                MicrosoftAzureBuilder::from_env().with_url(url.to_string()).with_retry(retry);
            check_account(&builder)?;
            let with = |builder: MicrosoftAzureBuilder, (key, time)| {
                builder.with_config(AzureConfigKey::Client(key), time)
            };
            Arc::new(times.into_iter().fold(builder, with).build().map_err(unusable)?)
        }
    })
}

/// Checks the address of another service of S3, which is not repeated: it may have a password.
fn check_endpoint(builder: &AmazonS3Builder) -> Result<(), String> {
    let keys = [
        (AmazonS3ConfigKey::S3Endpoint, "AWS_ENDPOINT_URL_S3"),
        (AmazonS3ConfigKey::Endpoint, "AWS_ENDPOINT_URL"),
    ];
    let set =
        keys.into_iter().find_map(|(key, name)| Some((builder.get_config_value(&key)?, name)));
    let Some((endpoint, name)) = set else { return Ok(()) };
    let expected = format!("expected `https://HOST` or `http://HOST:PORT` in {name}, found");
    let url = Url::parse(&endpoint).map_err(|error| format!("{expected} {}", no_url(error)))?;
    let allows_http = || {
        let value =
            builder.get_config_value(&AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp));
        let value = value.unwrap_or_default().to_ascii_lowercase();
        ["1", "true", "on", "yes", "y"].contains(&value.as_str())
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if allows_http() => Ok(()),
        "http" => Err(format!(
            "{name} begins with `http://`, which is not encrypted; set AWS_ALLOW_HTTP=true to use it, or give an address with `https://`"
        )),
        scheme => Err(format!("{expected} the scheme `{scheme}`")),
    }
}

fn check_account(builder: &MicrosoftAzureBuilder) -> Result<(), String> {
    let value = |key| builder.get_config_value(&key);
    let has_account = value(AzureConfigKey::AccountName).is_some_and(|name| !name.is_empty());
    if has_account || value(AzureConfigKey::UseEmulator).as_deref() == Some("true") {
        return Ok(());
    }
    Err("there is no storage account: set AZURE_STORAGE_ACCOUNT_NAME, and credentials such as AZURE_STORAGE_ACCOUNT_KEY".to_owned())
}

/// What to do if the machine itself has no credentials, unless the environment has some.
pub(crate) fn hint(kind: Kind) -> Option<&'static str> {
    let (hint, variables): (_, &[&str]) = match kind {
        Kind::S3 => (
            "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            &[
                "AWS_ACCESS_KEY_ID",
                "AWS_WEB_IDENTITY_TOKEN_FILE",
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            ],
        ),
        Kind::Google => (
            "there are no credentials: set GOOGLE_APPLICATION_CREDENTIALS",
            &["GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT"],
        ),
        Kind::Folder | Kind::Azure => return None,
    };
    variables.iter().all(|name| env::var_os(name).is_none()).then_some(hint)
}
