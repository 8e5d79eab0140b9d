//! `tandem capacity`: what a number of visitors needs.

use anyhow::Result;
use clap::{Args, ValueEnum};
use tandem_capacity::{
    Bill, Costs, Machine, Plan, Prices, Waiting, Workload, plan, simulate_waiting,
};

use crate::failure::BadInput;

const VISITORS: &str = "Visitors";
const SERVERS: &str = "Servers and prices";
/// Lists of a simulation: enough for a steady 99th percentile.
const SIMULATED_LISTS: usize = 200_000;
/// Servers of a simulation.
const MANY: u32 = 256;

/// Options of `tandem capacity`.
#[derive(Args, Debug)]
pub(crate) struct Capacity {
    /// Distinct visitors in a month.
    #[arg(long, default_value_t = Workload::default().visitors_per_month, help_heading = VISITORS)]
    visitors: f64,
    /// Visits of each visitor in a month.
    #[arg(long, default_value_t = Workload::default().visits_per_visitor, help_heading = VISITORS)]
    visits: f64,
    /// Clicks in a visit.
    #[arg(long, default_value_t = Workload::default().clicks_per_visit, help_heading = VISITORS)]
    clicks: f64,
    /// Lists that a device requests after a click, on average (the call budget).
    #[arg(long, default_value_t = Workload::default().calls_per_click, help_heading = VISITORS)]
    calls: f64,
    /// Load of the busiest hour divided by the mean load.
    #[arg(long, default_value_t = Workload::default().peak_factor, help_heading = VISITORS)]
    peak: f64,
    /// Items of the catalogue.
    #[arg(long, default_value_t = Workload::default().items, help_heading = VISITORS)]
    items: f64,
    /// Releases in a month.
    #[arg(long, default_value_t = Workload::default().releases_per_month, help_heading = VISITORS)]
    releases: f64,
    /// Days that events are kept.
    #[arg(long, default_value_t = Workload::default().keep_events_days, help_heading = VISITORS)]
    keep_events_days: f64,
    /// Processor time of a list in milliseconds, instead of the measured one: that of your model on
    /// your machine (`tandem_list_decode_seconds` in the server's metrics).
    #[arg(long, value_name = "MS", help_heading = SERVERS)]
    list_ms: Option<f64>,
    /// Cores of a server.
    #[arg(long, default_value_t = Machine::default().cores, help_heading = SERVERS)]
    cores: f64,
    /// Share of the cores that may be busy in the busiest hour.
    #[arg(long, default_value_t = Machine::default().utilisation, help_heading = SERVERS)]
    utilisation: f64,
    /// Open connections of a server (`--max-connections`).
    #[arg(long, default_value_t = Machine::default().connections, help_heading = SERVERS)]
    connections: f64,
    /// Price of a core-hour. All prices are assumptions, in one currency.
    #[arg(long, default_value_t = Prices::default().core_hour, help_heading = SERVERS)]
    core_hour: f64,
    /// Price of a gigabyte from the CDN.
    #[arg(long, default_value_t = Prices::default().cdn_gigabyte, help_heading = SERVERS)]
    cdn_gigabyte: f64,
    /// How to print the plan.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// A table beside the plan for a call at every click.
    Table,
    /// One JSON object.
    Json,
}

/// One column of the table.
struct Column {
    plan: Plan,
    waiting: Option<Waiting>,
    bill: Bill,
    clicks_per_month: f64,
}

pub(crate) fn run(args: &Capacity) -> Result<()> {
    let workload = Workload {
        visitors_per_month: args.visitors,
        visits_per_visitor: args.visits,
        clicks_per_visit: args.clicks,
        calls_per_click: args.calls,
        peak_factor: args.peak,
        items: args.items,
        releases_per_month: args.releases,
        keep_events_days: args.keep_events_days,
        ..Workload::default()
    };
    let machine = Machine {
        cores: args.cores,
        utilisation: args.utilisation,
        connections: args.connections,
        ..Machine::default()
    };
    let mut costs = Costs::default();
    if let Some(list_ms) = args.list_ms {
        if !(list_ms.is_finite() && list_ms > 0.0) {
            return Err(
                BadInput(format!("--list-ms: expected a number above 0, found {list_ms}")).into()
            );
        }
        (costs.list_ms, costs.list_ms_per_1000_items) = (list_ms, 0.0);
        costs.indexed_list_ms = list_ms;
    }
    let prices =
        Prices { core_hour: args.core_hour, cdn_gigabyte: args.cdn_gigabyte, ..Prices::default() };
    prices.check().map_err(|error| BadInput(error.to_string()))?;
    let column = |workload: &Workload| -> Result<Column> {
        let plan = plan(workload, &costs, &machine).map_err(|error| BadInput(error.to_string()))?;
        // Thousands of replicas take their lists as hundreds do.
        let replicas = (1..MANY).find(|&number| f64::from(number) >= plan.replicas).unwrap_or(MANY);
        let lists_per_s = plan.lists.peak * f64::from(replicas) / plan.replicas;
        let waiting = (lists_per_s > 0.0).then(|| {
            simulate_waiting(lists_per_s, plan.list_ms, replicas as usize, SIMULATED_LISTS, 7)
        });
        let bill = prices.bill(&plan);
        Ok(Column { plan, waiting, bill, clicks_per_month: workload.clicks_per_month() })
    };
    let budget = column(&workload)?;
    match args.format {
        Format::Json => {
            let json = serde_json::json!({
                "workload": workload, "costs": costs, "machine": machine, "prices": prices,
                "plan": budget.plan, "waiting": budget.waiting, "bill": budget.bill,
            });
            println!("{json}");
        }
        Format::Table => {
            // The lists after clicks replace nothing at the start of a visit.
            let every = column(&Workload { calls_per_click: 1.0, ..workload })?;
            print_table(&workload, &budget, &every);
        }
    }
    Ok(())
}

fn print_table(workload: &Workload, budget: &Column, every: &Column) {
    let share = format!("calls after {} % of clicks", short(workload.calls_per_click * 100.0));
    println!("{:42} {share:>26} {:>24}", "", "a call after every click");
    let row = |name: &str, value: &dyn Fn(&Column) -> String| {
        println!("{name:42} {:>26} {:>24}", value(budget), value(every));
    };
    let plan = |value: fn(&Plan) -> f64| move |column: &Column| short(value(&column.plan));
    row("clicks per second, busiest hour", &plan(|plan| plan.clicks.peak));
    row("lists per second, busiest hour", &plan(|plan| plan.lists.peak));
    row("processor time of a list, ms", &plan(|plan| plan.list_ms));
    row("busy cores: language model", &plan(|plan| plan.model_cores));
    row("busy cores: HTTP and events", &plan(|plan| plan.http_cores));
    row("servers", &|column| {
        let cores = column.plan.cores_per_replica;
        format!("{} of {} cores", short(column.plan.replicas), short(cores))
    });
    row("wait for the model, p50 and p99, ms", &|column| match &column.waiting {
        Some(waiting) => format!("{}, {}", short(waiting.p50_ms), short(waiting.p99_ms)),
        None => "no lists".to_owned(),
    });
    row("memory of a server, MB", &plan(|plan| plan.memory_per_replica / 1e6));
    row("open connections, busiest hour", &plan(|plan| plan.connections));
    row("events stored per second, busiest hour", &plan(|plan| plan.database_writes.peak));
    row("databases for these", &plan(|plan| plan.databases));
    row("events on the disk, GB", &plan(|plan| plan.stored_bytes / 1e9));
    row("servers' traffic in a month, GB", &plan(|plan| plan.server_bytes_per_month / 1e9));
    row("CDN traffic in a month, GB", &plan(|plan| plan.cdn_bytes_per_month / 1e9));
    row("CDN, busiest hour, Mbit/s", &plan(|plan| plan.cdn_peak_bits_per_s / 1e6));
    for (part, of) in [
        ("cores", (|bill| bill.cores) as fn(&Bill) -> f64),
        ("memory", |bill| bill.memory),
        ("servers' traffic", |bill| bill.network),
        ("CDN", |bill| bill.cdn),
        ("disk", |bill| bill.disk),
    ] {
        row(&format!("price of a month: {part}"), &|column| short(of(&column.bill)));
    }
    row("price of a month", &|column| short(column.bill.total()));
    row("price of 1,000,000 recommendations", &|column| {
        if column.clicks_per_month > 0.0 {
            short(column.bill.total() / column.clicks_per_month * 1e6)
        } else {
            "no clicks".to_owned()
        }
    });
    println!("\nUse of one server and one database with {share}:");
    for limit in &budget.plan.limits {
        let (name, full) = (limit.resource.name(), limit.share * 100.0);
        let remedy = if full > 100.0 { limit.resource.remedy() } else { "" };
        println!("  {name:30} {:>12} %  {remedy}", short(full));
    }
}

/// A number with three significant digits and separators of thousands.
fn short(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    // Decimals: two below ten, one below a hundred, one more for each zero behind the point.
    let digits = usize::try_from(2 - value.abs().log10().floor() as i32).unwrap_or(0);
    let text = format!("{value:.digits$}");
    if digits > 0 {
        let trimmed = text.trim_end_matches('0').trim_end_matches('.');
        return trimmed.to_owned();
    }
    let (sign, number) = text.strip_prefix('-').map_or(("", text.as_str()), |number| ("-", number));
    let mut grouped = String::from(sign);
    for (at, digit) in number.chars().enumerate() {
        if at > 0 && (number.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.012_345, "0.0123"),
            (0.5, "0.5"),
            (1.0, "1"),
            (12.345, "12.3"),
            (999.9, "1,000"),
            (1234.5, "1,234"),
            (1_234_567.0, "1,234,567"),
        ] {
            assert_eq!(short(value), text);
        }
    }
}
