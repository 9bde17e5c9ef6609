//! Whether a process, or one that it has started, waits for something from a pipe.

use std::path::Path;

/// More processes than this below a cell are not looked at.
const MOST: usize = 256;

/// Whether a thread of the process `id`, or of its descendants, waits in a call that reads from `pipe`. Nothing where
/// the system does not tell.
#[cfg(target_os = "linux")]
pub fn is_awaited(id: u32, pipe: &Path) -> Option<bool> {
    let mut open = vec![id];
    let mut seen = 0;
    let mut told = false;
    while let Some(id) = open.pop() {
        seen += 1;
        let Ok(threads) = std::fs::read_dir(format!("/proc/{id}/task")) else {
            continue;
        };
        for thread in threads.flatten().map(|entry| entry.path()) {
            if let Ok(call) = std::fs::read_to_string(thread.join("syscall")) {
                told = true;
                if let Some(file) = read_from(&call)
                    && std::fs::read_link(format!("/proc/{id}/fd/{file}"))
                        .is_ok_and(|target| target == pipe)
                {
                    return Some(true);
                }
            }
            if seen < MOST {
                let children = std::fs::read_to_string(thread.join("children"));
                let children = children.unwrap_or_default();
                open.extend(children.split_whitespace().flat_map(str::parse::<u32>));
            }
        }
    }
    told.then_some(false)
}

#[cfg(not(target_os = "linux"))]
pub fn is_awaited(_: u32, _: &Path) -> Option<bool> {
    None
}

/// The number of the file from which a call reads, of a line `NUMBER ARGUMENT ...` of `/proc/ID/task/ID/syscall`.
fn read_from(call: &str) -> Option<u64> {
    use nix::libc::{SYS_read, SYS_readv};
    let mut words = call.split_whitespace();
    let number: i64 = words.next()?.parse().ok()?;
    if number != SYS_read && number != SYS_readv {
        return None;
    }
    u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_calls_that_read_are_taken() {
        let reads = format!(
            "{} 0x3 0x7f 0x20 0x0 0x0 0x0 0x7f 0x7f",
            nix::libc::SYS_read
        );
        assert_eq!(read_from(&reads), Some(3));
        let writes = format!("{} 0x1 0x7f 0x20", nix::libc::SYS_write);
        for other in ["running", "-1 0x7f 0x7f", &writes] {
            assert_eq!(read_from(other), None, "{other}");
        }
    }
}
