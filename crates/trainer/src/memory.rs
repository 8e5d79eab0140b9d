use std::fs;

/// `, peak memory N MB` of this process, or nothing if the system does not report it.
pub(crate) fn peak() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    high_water_mark(&status)
        .map_or_else(String::new, |kb| format!(", peak memory {} MB", kb * 1024 / 1_000_000))
}

/// Linux, `proc(5)`: `VmHWM:    1234 kB`.
fn high_water_mark(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_from_proc_status() {
        let status = "VmPeak:\t  900 kB\nVmHWM:\t  812345 kB\nVmRSS:\t 7 kB\n";
        assert_eq!(high_water_mark(status), Some(812_345));
        assert_eq!(high_water_mark("VmRSS:\t 7 kB\n"), None);
    }
}
