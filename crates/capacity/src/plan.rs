use serde::Serialize;

use crate::{
    costs::Costs,
    error::CapacityError,
    limits::{Limit, Machine, Resource},
    workload::{MONTH_S, Workload},
};

/// Events per second: on average, and in the busiest hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rate {
    /// Mean of the month.
    pub mean: f64,
    /// Mean of the busiest hour.
    pub peak: f64,
}

impl Rate {
    fn of(per_month: f64, peak_factor: f64) -> Self {
        let mean = per_month / MONTH_S;
        Self { mean, peak: mean * peak_factor }
    }
}

/// What a workload needs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// Clicks, each of which is ranked on the device.
    pub clicks: Rate,
    /// Candidate lists.
    pub lists: Rate,
    /// Processor time of one list in the model, in milliseconds.
    pub list_ms: f64,
    /// Cores that language models need in the busiest hour, all of them busy.
    pub model_cores: f64,
    /// Cores that HTTP and events need in the busiest hour, all of them busy.
    pub http_cores: f64,
    /// Servers, at least one.
    pub replicas: f64,
    /// Cores of a server.
    pub cores_per_replica: f64,
    /// Bytes of memory of a server.
    pub memory_per_replica: f64,
    /// Open connections in the busiest hour, of all servers together.
    pub connections: f64,
    /// Events that the database writes in a second.
    pub database_writes: Rate,
    /// Databases that take these writes in the busiest hour.
    pub databases: f64,
    /// Bytes of the events that are kept.
    pub stored_bytes: f64,
    /// Bytes that servers send and receive in a month.
    pub server_bytes_per_month: f64,
    /// Bytes of package, weights, rows and cells in a month, which a CDN can serve.
    pub cdn_bytes_per_month: f64,
    /// Bits per second of the CDN in the busiest hour.
    pub cdn_peak_bits_per_s: f64,
    /// What is full first if one server and one database carry everything, the fullest first.
    pub limits: Vec<Limit>,
}

/// What a workload needs at these costs, on servers of this kind.
///
/// # Errors
/// If a number of the workload or the machine is not in its range.
pub fn plan(workload: &Workload, costs: &Costs, machine: &Machine) -> Result<Plan, CapacityError> {
    workload.check()?;
    machine.check()?;
    let rate = |per_month| Rate::of(per_month, workload.peak_factor);
    let (clicks, lists) = (rate(workload.clicks_per_month()), rate(workload.lists_per_month()));
    let list_ms = costs.list_ms_for(workload.items);
    let model_cores = lists.peak * list_ms / 1e3;
    let http_cores = (lists.peak * costs.list_http_ms + clicks.peak * costs.event_ms) / 1e3;
    // A visitor holds a connection from one request to the next if they are near, and for the
    // keep-alive time after the last one: at most one for each visitor of the last seconds.
    let connections = (clicks.peak + lists.peak) * costs.keep_alive_s;
    // A replica has one thread for the model.
    let by_model = model_cores / machine.utilisation;
    let by_cores = (model_cores + http_cores) / (machine.cores * machine.utilisation);
    let by_connections = connections / machine.connections;
    let server_bytes_per_month = workload.lists_per_month() * costs.list_bytes;
    let network = lists.peak * costs.list_bytes * 8.0 / machine.network_bits_per_s;
    let replicas = by_model.max(by_cores).max(by_connections).max(network).ceil().max(1.0);
    let memory_per_replica = costs.server_memory
        + costs.memory_per_item * workload.items
        + costs.memory_per_connection * (connections / replicas).min(machine.connections);
    let database_writes = clicks;
    let stored_bytes =
        workload.clicks_per_month() * workload.keep_events_days / 30.0 * costs.stored_event_bytes;
    let cdn_bytes_per_month =
        workload.visitors_per_month * workload.visits_per_visitor.min(1.0) * costs.package_bytes
            + workload.model_loads_per_month() * costs.release_bytes(workload.items)
            + workload.visits_per_month() * costs.cell_bytes(workload.items);
    let mut limits = vec![
        Limit { resource: Resource::ModelThread, share: by_model },
        Limit { resource: Resource::Processors, share: by_cores },
        Limit { resource: Resource::Connections, share: by_connections },
        Limit { resource: Resource::Network, share: network },
        Limit { resource: Resource::Memory, share: memory_per_replica / machine.memory },
        Limit {
            resource: Resource::DatabaseWrites,
            share: database_writes.peak / costs.database_events_per_s,
        },
        Limit { resource: Resource::Disk, share: stored_bytes / machine.disk },
    ];
    limits.sort_by(|one, other| other.share.total_cmp(&one.share));
    Ok(Plan {
        clicks,
        lists,
        list_ms,
        model_cores,
        http_cores,
        replicas,
        cores_per_replica: machine.cores,
        memory_per_replica,
        connections,
        database_writes,
        databases: (database_writes.peak / costs.database_events_per_s).ceil().max(1.0),
        stored_bytes,
        server_bytes_per_month,
        cdn_bytes_per_month,
        cdn_peak_bits_per_s: cdn_bytes_per_month / MONTH_S * workload.peak_factor * 8.0,
        limits,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Round numbers, so that results can be computed by hand.
    const COSTS: Costs = Costs {
        list_ms: 1.0,
        list_ms_per_1000_items: 0.1,
        indexed_items: 200_000.0,
        indexed_list_ms: 3.0,
        list_http_ms: 0.5,
        event_ms: 0.2,
        database_events_per_s: 1000.0,
        list_bytes: 2000.0,
        stored_event_bytes: 100.0,
        package_bytes: 300_000.0,
        body_bytes: 100_000.0,
        item_bytes: 100.0,
        whole_table_items: 20_000.0,
        index_bytes_per_item: 0.15,
        cells_bytes_per_visit: 500_000.0,
        server_memory: 50e6,
        memory_per_item: 1000.0,
        memory_per_connection: 30_000.0,
        keep_alive_s: 10.0,
    };

    /// 2,592,000 clicks in a month, one in a second, and 518,400 lists, one in five seconds.
    fn workload() -> Workload {
        Workload {
            visitors_per_month: 129_600.0,
            visits_per_visitor: 2.0,
            clicks_per_visit: 10.0,
            lists_at_start: 1.0,
            calls_per_click: 0.1,
            peak_factor: 3.0,
            items: 10_000.0,
            releases_per_month: 0.0,
            keep_events_days: 90.0,
        }
    }

    fn near(found: f64, expected: f64) {
        assert!((found / expected - 1.0).abs() < 1e-9, "expected {expected}, found {found}");
    }

    #[test]
    fn a_plan_by_hand() {
        let plan = plan(&workload(), &COSTS, &Machine::default()).unwrap();
        near(plan.clicks.mean, 1.0);
        near(plan.lists.peak, 0.6);
        // 1 ms + 10 · 0.1 ms.
        near(plan.list_ms, 2.0);
        near(plan.model_cores, 0.6 * 0.002);
        near(plan.http_cores, 0.6 * 0.0005 + 3.0 * 0.0002);
        near(plan.connections, 36.0);
        near(plan.stored_bytes, 3.0 * 2_592_000.0 * 100.0);
        near(plan.server_bytes_per_month, 518_400.0 * 2000.0);
        // Without new releases each visitor loads package, weights and rows once.
        near(plan.cdn_bytes_per_month, 129_600.0 * (300_000.0 + 100_000.0 + 1_000_000.0));
        near(plan.memory_per_replica, 50e6 + 10e6 + 36.0 * 30_000.0);
        near(plan.replicas, 1.0);
        assert_eq!(plan.limits[0].resource, Resource::Connections);
    }

    #[test]
    fn large_catalogues_load_an_index_and_cells() {
        let large = Workload { items: 1e6, ..workload() };
        let plan = plan(&large, &COSTS, &Machine::default()).unwrap();
        let per_visitor = 300_000.0 + 100_000.0 + 150_000.0 + 2.0 * 500_000.0;
        near(plan.cdn_bytes_per_month, 129_600.0 * per_visitor);
        near(plan.list_ms, 3.0);
        near(COSTS.list_ms_for(199_999.0), 1.0 + 19.9999);
    }

    #[test]
    fn a_machine_out_of_range_is_refused() {
        let machine = Machine { utilisation: 1.0, ..Machine::default() };
        let error = plan(&workload(), &COSTS, &machine).unwrap_err().to_string();
        assert_eq!(error, "utilisation: expected 0.01 to 0.95, found 1");
    }

    proptest! {
        #[test]
        fn more_visitors_never_need_less(visitors in 0.0..1e10_f64, more in 1.0..10.0_f64) {
            let with = |visitors_per_month| {
                let workload = Workload { visitors_per_month, ..workload() };
                plan(&workload, &COSTS, &Machine::default()).unwrap()
            };
            let (few, many) = (with(visitors), with(visitors * more));
            prop_assert!(many.replicas >= few.replicas);
            prop_assert!(many.databases >= few.databases);
            prop_assert!(many.cdn_bytes_per_month >= few.cdn_bytes_per_month);
        }

        #[test]
        fn replicas_are_enough(visitors in 0.0..1e10_f64, calls in 0.0..1.0_f64) {
            let workload = Workload {
                visitors_per_month: visitors, calls_per_click: calls, ..workload()
            };
            let machine = Machine::default();
            let plan = plan(&workload, &COSTS, &machine).unwrap();
            let each = 1.0 / plan.replicas;
            prop_assert!(plan.model_cores * each <= machine.utilisation * (1.0 + 1e-9));
            let cores = (plan.model_cores + plan.http_cores) * each;
            prop_assert!(cores <= machine.cores * machine.utilisation * (1.0 + 1e-9));
            prop_assert!(plan.connections * each <= machine.connections * (1.0 + 1e-9));
        }
    }
}
