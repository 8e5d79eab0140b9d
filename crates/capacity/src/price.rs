use serde::Serialize;

use crate::{
    error::{CapacityError, check},
    plan::Plan,
    workload::MONTH_S,
};

/// Prices in one currency. The defaults are assumptions for examples, not offers of anybody.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Prices {
    /// One core for an hour.
    pub core_hour: f64,
    /// A gigabyte of memory for an hour.
    pub gigabyte_hour: f64,
    /// A gigabyte that a server sends.
    pub server_gigabyte: f64,
    /// A gigabyte that a CDN sends.
    pub cdn_gigabyte: f64,
    /// A gigabyte on a disk for a month.
    pub disk_gigabyte_month: f64,
}

impl Default for Prices {
    fn default() -> Self {
        Self {
            core_hour: 0.04,
            gigabyte_hour: 0.005,
            server_gigabyte: 0.05,
            cdn_gigabyte: 0.02,
            disk_gigabyte_month: 0.1,
        }
    }
}

/// The costs of a month, by part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Bill {
    /// Cores of the servers, at the busiest hour's number for the whole month.
    pub cores: f64,
    /// Memory of the servers.
    pub memory: f64,
    /// Bytes that the servers send.
    pub network: f64,
    /// Bytes that a CDN sends.
    pub cdn: f64,
    /// Disk of the database.
    pub disk: f64,
}

impl Prices {
    /// # Errors
    /// If a price is negative or not a number.
    pub fn check(&self) -> Result<(), CapacityError> {
        for (name, price) in [
            ("price of a core-hour", self.core_hour),
            ("price of a gigabyte-hour of memory", self.gigabyte_hour),
            ("price of a gigabyte from the server", self.server_gigabyte),
            ("price of a gigabyte from the CDN", self.cdn_gigabyte),
            ("price of a gigabyte on the disk", self.disk_gigabyte_month),
        ] {
            check(name, price, 0.0..=1e6, "0 or more")?;
        }
        Ok(())
    }

    /// The costs of a plan in a month of 30 days.
    #[must_use]
    pub fn bill(&self, plan: &Plan) -> Bill {
        let hours = MONTH_S / 3600.0;
        Bill {
            cores: plan.replicas * plan.cores_per_replica * hours * self.core_hour,
            memory: plan.replicas * plan.memory_per_replica / 1e9 * hours * self.gigabyte_hour,
            network: plan.server_bytes_per_month / 1e9 * self.server_gigabyte,
            cdn: plan.cdn_bytes_per_month / 1e9 * self.cdn_gigabyte,
            disk: plan.stored_bytes / 1e9 * self.disk_gigabyte_month,
        }
    }
}

impl Bill {
    /// The sum.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.cores + self.memory + self.network + self.cdn + self.disk
    }
}
