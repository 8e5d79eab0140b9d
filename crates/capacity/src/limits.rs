use serde::Serialize;

use crate::error::{CapacityError, check};

/// One server of a site, and its database.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Machine {
    /// Cores of the server.
    pub cores: f64,
    /// Share of the cores that may be busy in the busiest hour.
    pub utilisation: f64,
    /// Bytes of memory.
    pub memory: f64,
    /// Bits per second that its network carries.
    pub network_bits_per_s: f64,
    /// Open connections (`--max-connections`).
    pub connections: f64,
    /// Bytes of the database's disk.
    pub disk: f64,
}

impl Default for Machine {
    /// Two cores as used for the measurements, 4 GiB, 1 Gbit/s, the server's default number of
    /// connections, 100 GB.
    fn default() -> Self {
        Self {
            cores: 2.0,
            utilisation: 0.6,
            memory: 4.0 * 1024.0 * 1024.0 * 1024.0,
            network_bits_per_s: 1e9,
            connections: 1024.0,
            disk: 100e9,
        }
    }
}

impl Machine {
    /// # Errors
    /// If a number is not in its range.
    pub fn check(&self) -> Result<(), CapacityError> {
        const POSITIVE: &str = "a number above 0";
        check("utilisation", self.utilisation, 0.01..=0.95, "0.01 to 0.95")?;
        for (name, value) in [
            ("cores", self.cores),
            ("memory", self.memory),
            ("network", self.network_bits_per_s),
            ("connections", self.connections),
            ("disk", self.disk),
        ] {
            check(name, value, f64::MIN_POSITIVE..=f64::MAX, POSITIVE)?;
        }
        Ok(())
    }
}

/// What a server or its database can run out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Processor of the language model's thread: each replica has one thread for each model.
    ModelThread,
    /// Processors of the server, for lists, HTTP and events together.
    Processors,
    /// Open connections.
    Connections,
    /// Bandwidth of the server, without the files that a CDN serves.
    Network,
    /// Memory of the server.
    Memory,
    /// Durable events that a database writes in a second.
    DatabaseWrites,
    /// Disk of the database.
    Disk,
}

impl Resource {
    /// A name for tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ModelThread => "thread of the language model",
            Self::Processors => "processors",
            Self::Connections => "open connections",
            Self::Network => "network",
            Self::Memory => "memory",
            Self::DatabaseWrites => "writes of the database",
            Self::Disk => "disk of the database",
        }
    }

    /// What to do when it is full.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::ModelThread => "more replicas, or a smaller call budget of the devices",
            Self::Processors => "more cores or replicas",
            Self::Connections => "raise --max-connections, or let a proxy hold idle connections",
            Self::Network => "more replicas",
            Self::Memory => "more memory: it grows with the catalogue, not with the visitors",
            Self::DatabaseWrites => "a queue that writes larger batches, or several databases",
            Self::Disk => "a smaller --keep-events-days, or export and delete",
        }
    }
}

/// How full a resource is if one server and one database carry all of the load.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Limit {
    /// The resource.
    pub resource: Resource,
    /// What the busiest hour needs divided by what one machine has: 1 is full.
    pub share: f64,
}
