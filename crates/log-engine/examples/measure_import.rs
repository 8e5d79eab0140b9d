//! Imports a log and prints the time and the highest memory of the process, for measurements:
//! `cargo run --release -p tandem-log-engine --example measure_import -- log.parquet out 3000000000`.
//!
//! The last argument is a number of bytes, `memory` for the import in memory, or the address of a
//! cluster.

use std::{error::Error, path::Path, time::Instant};

use tandem_dataset::{ImportOptions, import};
use tandem_log_engine::{Engine, EngineOptions, Memory, import_log};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [log, out, how] = arguments.as_slice() else {
        return Err("expected FILE FOLDER BYTES|memory|df://HOST:PORT".into());
    };
    let options = ImportOptions::new("log", [log.into()]);
    let out = Path::new(out);
    let begin = Instant::now();
    let summary = if how == "memory" {
        let imported = import(&options)?;
        imported.save(out)?;
        imported.summary
    } else {
        let engine = match how.parse() {
            Ok(bytes) => Engine::Local(Memory::Total(bytes)),
            Err(_) => Engine::Cluster(how.parse()?),
        };
        import_log(&options, &EngineOptions::new(engine), out)?
    };
    println!("{summary}");
    println!("{:.0} s", begin.elapsed().as_secs_f64());
    // Linux only.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines().filter(|line| line.starts_with("VmHWM")) {
        println!("{line}");
    }
    Ok(())
}
