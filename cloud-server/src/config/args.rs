use std::{net::IpAddr, path::PathBuf, time::Duration};

use clap::{
    Args as ArgsTrait, Parser, ValueEnum,
    builder::{RangedU64ValueParser, TypedValueParser},
};
use ipnet::IpNet;
use tandem_storage::{Location, Retention};

use super::{Limits, ReleasePlace};
use crate::{
    access::Rates,
    connection::ConnectionLimits,
    event_stream::EventStreamUrl,
    events::MAX_FILE_BYTES,
    generators::GeneratorUrl,
    models::ModelFile,
    origin::Origin,
    secrets::Secret,
    shared::{ListSharing, RedisUrl},
    traces::OtlpEndpoint,
};

/// Time that is added to the longest wait of a request before its connection counts as stalled.
const STALL_MARGIN: Duration = Duration::from_secs(30);
const MIB: usize = 1 << 20;
/// Default of `--release-max-size`.
pub(super) const RELEASE_MAX_MIB: usize = 8192;
/// Default of `--otlp-sample`.
pub(super) const ALL_TRACES: u8 = 100;
/// Default of `--shared-lists-items`.
pub(super) const SHARED_ITEMS: usize = 3;
/// The script of the npm package for pages without a bundler, in its folder.
pub(crate) const CLIENT_SCRIPT: &str = "dist/tandem.global.js";

/// The commands, which are not part of [`Args`].
const COMMANDS: &str = "\
Commands, each with its own --help:
  keys      Make, list and revoke keys, in a file or a database
  releases  List, upload, activate, roll back and delete the releases of a running server
  consume   Store the events of an event stream in a database
  export    Write the events of the storage to a file for `tandem import`
  backup    Write the storage to one file
  restore   Read such a file into an empty storage";

/// Serves candidate lists of GGUF language models, item rows, artefacts and a static site.
///
/// Options are read from the command line, from environment variables (`TANDEM_` and the name of
/// the option, as in `TANDEM_MAX_CONNECTIONS`; commas separate several values) and from the file
/// that `--config` names. The first of them that sets an option wins.
#[derive(Clone, Debug, Parser)]
#[command(name = "cloud-server", version, max_term_width = 100, after_help = COMMANDS)]
#[expect(clippy::struct_excessive_bools, reason = "each flag of the command line is one")]
pub struct Args {
    /// Folder of a recommender written by `tandem quickstart`; a new release of `tandem retrain`
    /// is used without a restart. Or an object store to which `tandem publish` uploads:
    /// `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://CONTAINER/PREFIX` or `file:///FOLDER`, with
    /// credentials in the environment. Replaces --data, --artifacts and --gguf.
    #[arg(long, value_name = "DIR|URL", value_parser = Secret::<ReleasePlace>::new(), help_heading = "Input and output")]
    pub release: Option<ReleasePlace>,
    /// Folder in which this server keeps the releases of an object store [required with the URL of
    /// one].
    #[arg(long, value_name = "DIR", help_heading = "Input and output")]
    pub release_cache: Option<PathBuf>,
    /// Maximum size of a release that is uploaded in MiB, 1 to 1048576.
    #[arg(long, value_name = "MIB", default_value_t = RELEASE_MAX_MIB, value_parser = number(1, 1 << 20), help_heading = "Input and output")]
    pub release_max_size: usize,
    /// Dataset folder written by `tandem import` [required without --release].
    #[arg(long, value_name = "DIR", help_heading = "Input and output")]
    pub data: Option<PathBuf>,
    /// Artefact folder written by `tandem export`; a new export is used without a restart
    /// [required without --release].
    #[arg(long, value_name = "DIR", help_heading = "Input and output")]
    pub artifacts: Option<PathBuf>,
    /// Folder of a built static site, served at `/`. Symbolic links in it are followed, also out
    /// of it [default: a page with the catalogue and live recommendations].
    #[arg(long, value_name = "DIR", help_heading = "Input and output")]
    pub site: Option<PathBuf>,
    /// Folder of the built npm package, served at `/client`: the default page then runs the
    /// small model in the browser [default: the page shows the lists of the server].
    #[arg(long, value_name = "DIR", help_heading = "Input and output")]
    pub client: Option<PathBuf>,
    /// Folder for the event log [default: events are not accepted].
    #[arg(long, value_name = "DIR", help_heading = "Input and output")]
    pub events: Option<PathBuf>,
    /// Database of items and activations: a file of `SQLite` (`shop.db`, `sqlite:shop.db`) or
    /// `postgres://USER:PASSWORD@HOST/DATABASE` [default: none].
    #[arg(long, value_name = "URL", value_parser = Secret::<Location>::new(), hide_env_values = true, help_heading = "Storage")]
    pub storage: Option<Location>,
    /// Maximum time in seconds to wait at the start for a database, an object store or an event stream
    /// that does not answer, 0 to 3600; then the start fails.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = RangedU64ValueParser::<u64>::new().range(0..=3_600), help_heading = "Storage")]
    pub storage_wait: u64,
    /// Accept events and store them in the database of --storage instead of files of --events.
    #[arg(long, help_heading = "Storage")]
    pub store_events: bool,
    /// Stream of NATS `JetStream` to which events are published instead:
    /// `nats://USER:PASSWORD@HOST:PORT/NAME`, or `tls://…` for a connection with TLS, of which user,
    /// password, port and name may be left out. `cloud-server consume` stores them in the database of
    /// --storage; needs --store-events
    /// [default: events are stored at once].
    #[arg(long, value_name = "URL", value_parser = Secret::<EventStreamUrl>::new(), hide_env_values = true, help_heading = "Storage")]
    pub event_stream: Option<EventStreamUrl>,
    /// Remove events of the database after this number of days, 1 to 36500; needs --store-events
    /// [default: keep them].
    #[arg(long, value_name = "DAYS", value_parser = RangedU64ValueParser::<u32>::new().range(1..=36_500), help_heading = "Storage")]
    pub keep_events_days: Option<u32>,
    /// Remove the oldest events of the database beyond this estimated size in MiB, 1 to 1048576; needs
    /// --store-events [default: keep them].
    #[arg(long, value_name = "MIB", value_parser = number(1, 1 << 20), help_heading = "Storage")]
    pub keep_events_size: Option<usize>,
    /// Maximum size of each file of the event log in MiB, 1 to 1048576.
    #[arg(long, value_name = "MIB", default_value_t = (MAX_FILE_BYTES as usize) / MIB, value_parser = number(1, 1 << 20), help_heading = "Input and output")]
    pub events_max_size: usize,

    /// Address to listen on. An address of other machines needs --keys, --stored-keys or
    /// --insecure.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", help_heading = "Network")]
    pub host: String,
    /// Port to listen on; 0 selects a free port.
    #[arg(long, value_name = "N", default_value_t = 8080, help_heading = "Network")]
    pub port: u16,
    /// Origin whose pages may call this server (CORS), for example `https://shop.example`, or
    /// `*` for all; may be repeated. Origins of keys are added [default: only pages of this
    /// server].
    #[arg(long, value_name = "URL", value_delimiter = ',', value_parser = Secret::<Origin>::new(), help_heading = "Network")]
    pub allow_origin: Vec<Origin>,
    /// Address or network of a reverse proxy whose X-Forwarded-For is believed, for example
    /// `127.0.0.1` or `10.0.0.0/8`; may be repeated [default: none].
    #[arg(long, value_name = "NETWORK", value_delimiter = ',', value_parser = network, help_heading = "Network")]
    pub trusted_proxy: Vec<IpNet>,

    /// File of keys written by `cloud-server keys new`; clients without a key are refused
    /// [default: no keys].
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    pub keys: Option<PathBuf>,
    /// Use the keys of the database of --storage, made by `cloud-server keys new --storage`, instead
    /// of a file; new and revoked keys count on all its servers within a second. Clients without a
    /// key are refused.
    #[arg(long, help_heading = "Access")]
    pub stored_keys: bool,
    /// Listen on an address of other machines without keys: anyone may call what a public key
    /// may.
    #[arg(long, help_heading = "Access")]
    pub insecure: bool,

    /// GGUF language model; may be repeated. Requests select a model by NAME, which defaults
    /// to the file name without its extension. The first model answers requests without one
    /// [required without --release].
    #[arg(long, value_name = "[NAME=]FILE", value_delimiter = ',', help_heading = "Models")]
    pub gguf: Vec<ModelFile>,
    /// Folder of ranking signals written by `tandem fit-signals`, for the first model
    /// [default: with --release, the folder `signals` of the release, if there is one].
    #[arg(long, value_name = "DIR", help_heading = "Models")]
    pub signals: Option<PathBuf>,
    /// Embedding model (GGUF) of the text vectors of the ranking signals: items that are stored
    /// with --storage and that no model knows become candidates by their texts
    /// [default: such items are not candidates of item-token models].
    #[arg(long, value_name = "FILE", help_heading = "Models")]
    pub embedder: Option<PathBuf>,
    /// Another cloud-server with the same release that makes the lists, `http://HOST:PORT` in a
    /// private network; may be repeated. This server then loads no language model, and --gguf is
    /// left out [default: this server makes the lists].
    #[arg(long, value_name = "URL", value_delimiter = ',', value_parser = Secret::<GeneratorUrl>::new(), help_heading = "Models")]
    pub generator: Vec<GeneratorUrl>,
    /// Admin key of the servers of --generator, which it needs; give it in the environment
    /// (`TANDEM_GENERATOR_KEY`) [default: they have no keys].
    #[arg(long, value_name = "KEY", hide_env_values = true, help_heading = "Models")]
    pub generator_key: Option<String>,
    /// Redis server with which several servers count the rates of clients together,
    /// `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]` without TLS. While it does not answer, each
    /// server counts by itself [default: each server counts by itself].
    #[arg(long, value_name = "URL", value_parser = Secret::<RedisUrl>::new(), hide_env_values = true, help_heading = "Several servers")]
    pub redis: Option<RedisUrl>,
    /// Make the list of equal requests once for all servers of --redis and keep it for this time in
    /// seconds, 1 to 3600. Events and new items are on such a list after this time at the latest
    /// [default: lists are not shared].
    #[arg(long, value_name = "SECONDS", value_parser = seconds(1, 3_600), help_heading = "Several servers")]
    pub shared_lists: Option<Duration>,
    /// Maximum number of items in history and exclusions of a request whose list is shared, 0 to 100:
    /// the time of a shared list tells others that somebody has the same items.
    #[arg(long, value_name = "N", default_value_t = SHARED_ITEMS, value_parser = number(0, 100), help_heading = "Several servers")]
    pub shared_lists_items: usize,
    /// Threads of each language model, 1 to 512 [default: number of cores].
    #[arg(long, value_name = "N", value_parser = number(1, 512), help_heading = "Models")]
    pub threads: Option<usize>,
    /// Read the files of language models into memory instead of mapping them. A mapped file must
    /// be replaced by renaming, never overwritten, while the server runs.
    #[arg(long, help_heading = "Models")]
    pub no_mmap: bool,
    /// Number of items from which lists of item-token models come from an index: they take a
    /// fraction of the time, and lack a few of the exact best items. 0 for exact lists of any
    /// catalogue.
    #[arg(long, value_name = "N", default_value = "200000", value_parser = number(0, 4_000_000_000), help_heading = "Models")]
    pub index_from: usize,

    /// Maximum number of requests waiting for each language model, 1 to 10000; further
    /// requests get 503.
    #[arg(long, value_name = "N", default_value = "16", value_parser = number(1, 10_000), help_heading = "Limits")]
    pub queue: usize,
    /// Maximum time of a request for candidates in seconds, 1 to 600; then it gets 504.
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = seconds(1, 600), help_heading = "Limits")]
    pub timeout: Duration,
    /// Maximum number of open connections, 1 to 1000000; a further one takes the place of the
    /// oldest one that waits for its client, or gets 503.
    #[arg(long, value_name = "N", default_value = "1024", value_parser = number(1, 1_000_000), help_heading = "Limits")]
    pub max_connections: usize,
    /// Maximum number of open connections of one client address, 1 to 1000000.
    #[arg(long, value_name = "N", default_value = "128", value_parser = number(1, 1_000_000), help_heading = "Limits")]
    pub max_connections_per_client: usize,
    /// Maximum time for the head of a request in seconds, 1 to 600, from the opening of the
    /// connection or the end of the response before. A connection that is idle between two requests
    /// is closed after 5 seconds.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds(1, 600), help_heading = "Limits")]
    pub head_timeout: Duration,
    /// Maximum time for the body of a request in seconds, 1 to 600.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds(1, 600), help_heading = "Limits")]
    pub body_timeout: Duration,
    /// Time in which a client has to read at least 16 KiB of a response in seconds, 1 to 600.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds(1, 600), help_heading = "Limits")]
    pub write_timeout: Duration,
    /// Maximum memory of all request bodies that are arriving in MiB, 4 to 65536; one client may
    /// use a quarter.
    #[arg(long, value_name = "MIB", default_value = "64", value_parser = number(4, 1 << 16), help_heading = "Limits")]
    pub body_memory: usize,
    /// Requests per minute of one client with a public key, up to 1000000; 0 for no limit.
    #[arg(long, value_name = "N", default_value = "1200", value_parser = rate(), help_heading = "Limits")]
    pub rate_requests: u32,
    /// Requests for candidates per minute of one client with a public key, up to 1000000; 0 for
    /// no limit.
    #[arg(long, value_name = "N", default_value = "120", value_parser = rate(), help_heading = "Limits")]
    pub rate_candidates: u32,
    /// Logged events per minute of one client with a public key, up to 1000000; 0 for no limit.
    #[arg(long, value_name = "N", default_value = "1200", value_parser = rate(), help_heading = "Limits")]
    pub rate_events: u32,

    /// Maximum time of a shutdown in seconds, 1 to 600, in which waiting requests are answered.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds(1, 600), help_heading = "Operation")]
    pub shutdown_timeout: Duration,
    /// Format of the log on stderr.
    #[arg(long, value_name = "FORMAT", default_value = "auto", help_heading = "Operation")]
    pub log_format: LogFormat,
    /// Address of an OTLP collector, to which a span of each request is sent over HTTP, for
    /// example `http://127.0.0.1:4318` [default: no traces].
    #[arg(long, value_name = "URL", value_parser = Secret::<OtlpEndpoint>::new(), help_heading = "Operation")]
    pub otlp_endpoint: Option<OtlpEndpoint>,
    /// Share of the traces that begin at this server and are sent, in percent, 0 to 100. A request
    /// with the header `traceparent` follows its caller instead.
    #[arg(long, value_name = "PERCENT", default_value_t = ALL_TRACES, value_parser = clap::value_parser!(u8).range(0..=100), help_heading = "Operation")]
    pub otlp_sample: u8,
    /// Do not serve the page `/docs/api`, which shows the description of the API.
    #[arg(long, help_heading = "Operation")]
    pub no_api_docs: bool,
    /// Do not serve the page `/admin`.
    #[arg(long, help_heading = "Operation")]
    pub no_admin: bool,
    /// File to write the port number to when the server listens [default: none].
    #[arg(long, value_name = "FILE", help_heading = "Operation")]
    pub port_file: Option<PathBuf>,
    /// TOML file of options: `max-connections = 512` [default: none].
    #[arg(long, value_name = "FILE", help_heading = "Operation")]
    pub config: Option<PathBuf>,
    /// Print all options as a TOML file, with the source of each, without keys and passwords, and
    /// exit.
    #[arg(long, help_heading = "Operation")]
    pub print_config: bool,
    /// Check options, dataset, artefacts, keys, folders and language models, and exit.
    #[arg(long, help_heading = "Operation")]
    pub check: bool,
    /// All options and their values, by [`Args::describe`].
    #[arg(skip)]
    pub(super) description: String,
}

/// Format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

impl Args {
    /// The limits of requests and connections.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            timeout: self.timeout,
            body_timeout: self.body_timeout,
            body_memory: self.body_memory * MIB,
            connections: ConnectionLimits {
                total: self.max_connections,
                per_address: self.max_connections_per_client,
                head: self.head_timeout,
                write: self.write_timeout,
                stalled: self.timeout.max(self.body_timeout) + STALL_MARGIN,
                ..ConnectionLimits::default()
            },
            rates: Rates {
                requests: self.rate_requests,
                candidates: self.rate_candidates,
                events: self.rate_events,
            },
            ..Limits::default()
        }
    }

    /// Maximum size of a file of the event log in bytes.
    #[must_use]
    pub fn events_max_bytes(&self) -> u64 {
        (self.events_max_size * MIB) as u64
    }

    /// Maximum size of an uploaded release in bytes.
    #[must_use]
    pub fn release_max_bytes(&self) -> u64 {
        (self.release_max_size * MIB) as u64
    }

    /// Which lists are shared, if any.
    pub(crate) fn list_sharing(&self) -> Option<ListSharing> {
        let items = self.shared_lists_items;
        self.shared_lists.map(|lifetime| ListSharing { lifetime, items })
    }

    /// How long events stay in the database.
    pub(crate) fn retention(&self) -> Retention {
        Retention {
            days: self.keep_events_days,
            bytes: self.keep_events_size.map(|size| (size * MIB) as u64),
        }
    }

    /// The command with its options, without those of the configuration file.
    pub(super) fn plain_command() -> clap::Command {
        <Self as ArgsTrait>::augment_args(clap::Command::new("cloud-server"))
    }
}

fn number(min: u64, max: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(min..=max)
}

fn rate() -> RangedU64ValueParser<u32> {
    RangedU64ValueParser::new().range(0..=1_000_000)
}

fn seconds(min: u64, max: u64) -> impl TypedValueParser<Value = Duration> {
    RangedU64ValueParser::<u64>::new().range(min..=max).map(Duration::from_secs)
}

fn network(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    address.or_else(|_| text.parse()).map_err(|_| {
        format!("expected an address or a network such as `10.0.0.0/8`, found `{text}`")
    })
}
