use serde::Deserialize;
use tandem_collaboration::BucketLimits;
use tandem_protocol::ErrorCode;
use tandem_session::SearchMode;

use crate::error::ClientError;

const DEFAULT_TIMEOUT_MS: u32 = 20_000;

/// Largest memory for cells in bytes: what WebAssembly can address.
const MAX_SEARCH_MEMORY: f64 = 4_294_967_295.0;

/// Options of `Client.open`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(optional_fields))]
#[serde(rename_all = "camelCase")]
pub(crate) struct OpenConfig {
    /// Address of the server, with or without a slash at the end; empty: this page's own.
    server: String,
    /// The backend that is expected; refused if the module was built for the other.
    #[serde(default)]
    #[cfg_attr(feature = "typescript", ts(type = "'cpu' | 'webgpu'"))]
    device: Option<String>,
    /// How long a request may take, in milliseconds (20,000).
    #[serde(default)]
    timeout_ms: Option<f64>,
    /// Makes the jitter of retries repeatable.
    #[serde(default)]
    pub(crate) seed: Option<f64>,
    /// Limit of requests for lists, in place of the manifest's.
    #[serde(default)]
    budget: Option<Budget>,
    /// How the device searches the catalogue (`auto`: as the manifest says).
    #[serde(default)]
    pub(crate) search: SearchMode,
    /// Memory for cells of the item table, in bytes (8 MB).
    #[serde(default)]
    search_memory: Option<f64>,
    /// Whether the counts of the release take part in the ranking (yes).
    #[serde(default)]
    counts: Option<bool>,
    /// Whether items of the history may be recommended again (as the manifest says).
    #[serde(default)]
    pub(crate) repeats: Option<bool>,
}

/// A call budget: a token bucket.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub(crate) struct Budget {
    /// Lists that may be requested at once, at least 1.
    burst: u32,
    /// Requests regained per minute.
    per_minute: f32,
}

impl OpenConfig {
    /// The server's address without a slash at the end.
    pub(crate) fn server(&self) -> &str {
        self.server.trim_end_matches('/')
    }

    /// Whether the counts of the release take part in the ranking.
    pub(crate) fn counts(&self) -> bool {
        self.counts.unwrap_or(true)
    }

    /// How long a request may take, in milliseconds.
    pub(crate) fn timeout_ms(&self) -> Result<u32, ClientError> {
        match self.timeout_ms {
            None => Ok(DEFAULT_TIMEOUT_MS),
            #[allow(clippy::cast_sign_loss, reason = "the range is checked")]
            // `setTimeout` counts in 31 bits.
            Some(ms) if (1.0..=2_147_483_647.0).contains(&ms) => Ok(ms as u32),
            Some(ms) => Err(ClientError::new(
                ErrorCode::InvalidArgument,
                format!("timeoutMs: expected milliseconds from 1 to 2147483647, found {ms}"),
            )),
        }
    }

    /// Memory for cells of the item table in bytes, if the page sets it.
    pub(crate) fn search_memory(&self) -> Result<Option<usize>, ClientError> {
        match self.search_memory {
            None => Ok(None),
            #[allow(clippy::cast_sign_loss, reason = "the range is checked")]
            Some(bytes) if (1.0..=MAX_SEARCH_MEMORY).contains(&bytes) => Ok(Some(bytes as usize)),
            Some(bytes) => Err(ClientError::new(
                ErrorCode::InvalidArgument,
                format!(
                    "searchMemory: expected bytes from 1 to {MAX_SEARCH_MEMORY}, found {bytes}"
                ),
            )),
        }
    }

    /// The page's call budget, if it has one.
    pub(crate) fn budget(&self) -> Result<Option<BucketLimits>, ClientError> {
        let Some(Budget { burst, per_minute }) = self.budget else { return Ok(None) };
        let limits = BucketLimits { capacity: burst, refill_per_minute: per_minute };
        limits.validate().map_err(|error| {
            ClientError::new(ErrorCode::InvalidArgument, format!("budget: {error}"))
        })?;
        Ok(Some(limits))
    }

    /// Refuses a device that this module was not built for.
    pub(crate) fn check_device(&self, built_for: &str) -> Result<(), ClientError> {
        match self.device.as_deref() {
            None => Ok(()),
            Some(device) if device == built_for => Ok(()),
            Some(device) => Err(ClientError::new(
                ErrorCode::InvalidArgument,
                format!(
                    "expected device '{built_for}', for which this module was built, found '{device}'; load the module of that device"
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_of_the_manifest_is_the_default() {
        assert_eq!(config(r#"{"server":""}"#).search, SearchMode::Auto);
        let cells = config(r#"{"server":"","search":"cells","searchMemory":1000}"#);
        assert_eq!((cells.search, cells.search_memory()), (SearchMode::Cells, Ok(Some(1000))));
    }

    fn config(json: &str) -> OpenConfig {
        serde_json::from_str(json).unwrap()
    }

    fn config_of(budget: &str) -> OpenConfig {
        config(&format!(r#"{{"server":"","budget":{budget}}}"#))
    }

    #[test]
    fn only_the_server_is_required() {
        let config = config(r#"{"server":"http://127.0.0.1:8080/"}"#);
        assert_eq!(config.server(), "http://127.0.0.1:8080");
        assert_eq!(config.timeout_ms(), Ok(DEFAULT_TIMEOUT_MS));
        assert!(config.check_device("cpu").is_ok());
    }

    #[test]
    fn a_budget_is_a_burst_and_a_rate() {
        let config = config(r#"{"server":"","budget":{"burst":2,"perMinute":0.5}}"#);
        let limits = BucketLimits { capacity: 2, refill_per_minute: 0.5 };
        assert_eq!(config.budget(), Ok(Some(limits)));
        let none = super::OpenConfig { budget: None, ..config };
        assert_eq!(none.budget(), Ok(None));
    }

    #[test]
    fn an_invalid_option_is_named() {
        for timeout in ["0", "-5", "1e300"] {
            let config = config(&format!(r#"{{"server":"","timeoutMs":{timeout}}}"#));
            let error = config.timeout_ms().unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidArgument);
            assert!(error.message.contains("timeoutMs"));
        }
        for memory in ["0", "1e12"] {
            let config = config(&format!(r#"{{"server":"","searchMemory":{memory}}}"#));
            let error = config.search_memory().unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidArgument);
            assert!(error.message.contains("searchMemory"), "{}", error.message);
        }
        let config = config(r#"{"server":"","device":"webgpu"}"#);
        assert!(config.check_device("webgpu").is_ok());
        let error = config.check_device("cpu").unwrap_err();
        assert!(error.message.contains("found 'webgpu'"));
        let budget = config_of(r#"{"burst":0,"perMinute":1}"#).budget().unwrap_err();
        assert_eq!(budget.code, ErrorCode::InvalidArgument);
    }
}
