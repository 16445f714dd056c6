//! Sizes for people.

const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
const STEP: u64 = 1024;

/// `0 B`, `999 B`, `1.5 KiB`, `20 GiB`.
#[must_use]
pub fn brief(bytes: u64) -> String {
    let mut unit = 0;
    let mut divisor = 1_u64;
    while bytes / divisor >= STEP && unit + 1 < UNITS.len() {
        divisor *= STEP;
        unit += 1;
    }
    let whole = bytes / divisor;
    let tenth = bytes % divisor * 10 / divisor;
    let name = UNITS.get(unit).copied().unwrap_or("B");
    if unit == 0 || whole >= 10 || tenth == 0 {
        format!("{whole} {name}")
    } else {
        format!("{whole}.{tenth} {name}")
    }
}
