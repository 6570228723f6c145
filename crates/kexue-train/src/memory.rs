//! The machine's memory.

/// The machine's memory in bytes; `None` on systems without `/proc/meminfo`.
pub fn machine_memory() -> Option<f64> {
    total(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

fn total(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024.0 * kibibytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read_in_bytes() {
        let text = "MemFree:  1 kB\nMemTotal:       24689764 kB\nMemAvailable: 3 kB\n";
        assert_eq!(total(text), Some(24_689_764.0 * 1024.0));
        assert_eq!((total(""), total("MemTotal: many kB")), (None, None));
    }
}
