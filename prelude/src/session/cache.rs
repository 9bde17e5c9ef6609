//! What a person asks of the session: which models are there, what is kept and where, how much memory that takes.

use super::device::known_devices;
use super::keys::Kind;
use super::limit;
use super::registry::{self, resident};
use super::units::{duration, size};
use super::{device, disk};
use crate::charts::Table;
use crate::{Error, Result, facts};

/// The resident models, as a table.
pub fn models() -> Table {
    let header = ["model", "size", "device", "loaded"];
    let table = Table::new("models").columns(header);
    let resident = resident();
    let rows = resident.rows_of(|kind| kind == Kind::Model);
    rows.fold(table, |table, row| {
        table.row([
            row.label.clone(),
            size(row.bytes as u64),
            row.device.clone(),
            duration(row.age),
        ])
    })
}

/// What is kept beside models, in memory and on disk, as a table: asking for it again costs nothing, or reading it.
pub fn cache() -> Table {
    let disk: u64 = disk::entries().iter().map(|entry| entry.bytes).sum();
    let limit = match disk::limit() {
        Some(limit) => format!("of {}", size(limit)),
        None => "its limit cannot be read; limit_cache(\"20 GB\")? sets it".to_string(),
    };
    let title = format!("cache (on disk: {} {limit})", size(disk));
    let header = ["kind", "what", "size", "device", "age"];
    let table = Table::new(&title).columns(header);
    let resident = resident();
    let rows = resident.rows_of(|kind| kind != Kind::Model);
    let table = rows.fold(table, |table, row| {
        table.row([
            row.kind.name().to_string(),
            row.label.clone(),
            size(row.bytes as u64),
            row.device.clone(),
            duration(row.age),
        ])
    });
    disk::rows(table)
}

/// Drop what is kept under a kind or label that contains `pattern`, in which `*` is any characters (`"*"`: everything but
/// models) and `?` one, in memory and on disk; says how much that was.
pub fn drop_cached(pattern: &str) -> String {
    let here = registry::forget_but_models(pattern);
    let there = disk::remove(pattern);
    format!("dropped: {here} in memory, {there} on disk")
}

/// Keep at most `limit` ("500 MB", "20 GB") on disk; what was not used for longest goes first.
///
/// # Errors
/// When this is no size, or the cache folder cannot be written.
pub fn limit_cache(limit: &str) -> Result<String> {
    let bytes = parse_size(limit)?;
    disk::set_limit(bytes)?;
    Ok(format!("at most {} on disk", size(bytes)))
}

/// Keep at most `limit` ("8 GB") of contributions, embeddings and aligners in memory; what was not used for longest goes
/// first. It is found again on disk, or made again, when it is asked for; variables keep what they hold, and models stay.
/// Where nothing is set, the limit is half of the memory that there would be without them.
///
/// # Errors
/// When this is no size.
pub fn limit_resident(limit: &str) -> Result<String> {
    let bytes = parse_size(limit)?;
    limit::set(bytes);
    let dropped = match registry::keep_within(bytes, None) {
        0 => String::new(),
        bytes => format!("; dropped: {}", size(bytes)),
    };
    Ok(format!("at most {} in memory{dropped}", size(bytes)))
}

/// Memory of this process and of the device that models are loaded onto, as a table.
pub fn memory() -> Table {
    let kept: usize = resident().rows_of(|_| true).map(|row| row.bytes).sum();
    let mut rows = vec![["kept by the session".to_string(), size(kept as u64)]];
    if let Some(limit) = limit::limit(registry::kept()) {
        rows.push(["of it, but for models, at most".to_string(), size(limit)]);
    }
    for (name, file, line) in [
        ("this process", "/proc/self/status", "VmRSS:"),
        ("at its peak", "/proc/self/status", "VmHWM:"),
        ("host, free", "/proc/meminfo", "MemAvailable:"),
        ("host, in all", "/proc/meminfo", "MemTotal:"),
    ] {
        if let Some(bytes) = kilobytes(file, line) {
            rows.push([name.to_string(), size(1024 * bytes)]);
        }
    }
    if device().is_ok_and(|device| device.is_cuda()) {
        rows.extend(cuda_memory());
    }
    let table = Table::new("memory").columns(["where", "bytes"]);
    rows.into_iter().fold(table, Table::row)
}

/// The device models are loaded onto, and those there are.
pub fn devices() -> Table {
    let chosen = device().map(|device| facts::place(&device));
    let table = Table::new("devices").columns(["device", "for models loaded from now on"]);
    known_devices().into_iter().fold(table, |table, name| {
        let is_chosen = chosen.as_ref().is_ok_and(|chosen| *chosen == name);
        table.row([name, if is_chosen { "yes" } else { "" }.to_string()])
    })
}

fn kilobytes(file: &str, line: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|l| l.strip_prefix(line))?;
    value.split_whitespace().next()?.parse().ok()
}

/// As the driver's own tool tells it.
fn cuda_memory() -> Vec<[String; 2]> {
    let output = std::process::Command::new("nvidia-smi")
        .args([
            "--query-gpu=index,memory.used,memory.total",
            "--format=csv,noheader",
        ])
        .output();
    let Ok(output) = output else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows = text.lines().filter_map(|line| {
        let (index, memory) = line.split_once(", ")?;
        Some([format!("cuda:{index}, used and in all"), memory.to_string()])
    });
    rows.collect()
}

/// "500 MB", "2GB", "1.5 TB".
fn parse_size(text: &str) -> Result<u64> {
    let wrong = || {
        Error::argument(
            "limit",
            text,
            "write a size such as \"500 MB\" or \"20 GB\"",
        )
    };
    let text = text.trim();
    let digits = text
        .find(|c: char| c.is_ascii_alphabetic())
        .ok_or_else(wrong)?;
    let number: f64 = text[..digits].trim().parse().map_err(|_| wrong())?;
    let unit = match text[digits..].to_lowercase().as_str() {
        "kb" | "k" => 1e3,
        "mb" | "m" => 1e6,
        "gb" | "g" => 1e9,
        "tb" | "t" => 1e12,
        _ => return Err(wrong()),
    };
    if !(number >= 0.0 && number * unit < 1e18) {
        return Err(wrong());
    }
    Ok((number * unit) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_written() {
        assert_eq!(parse_size("1.5 GB").unwrap(), 1_500_000_000);
        assert_eq!(parse_size("500mb").unwrap(), 500_000_000);
        assert_eq!(size(1_500_000_000), "1.5 GB");
        for text in ["", "12", "x GB", "-1 GB", "3 bits", "NaN MB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
