//! How much memory this process can still take.
//!
//! On Linux that is what the kernel calls available (`MemAvailable` of `/proc/meminfo`), or less where a control group of
//! the process (a container's, a job's of a cluster) has a limit: then its limit less what is used, of which file pages
//! that can be given back do not count. Elsewhere it is not known.

use candle_core::Device;
use std::fs;
use std::path::{Path, PathBuf};

/// Bytes; none where that is not known.
pub(crate) fn available() -> Option<u64> {
    under(Path::new("/"))
}

/// Bytes that are free on a GPU; none for another device, and where its driver does not say.
pub(crate) fn available_on(device: &Device) -> Option<u64> {
    #[cfg(feature = "cuda")]
    if let Device::Cuda(device) = device {
        let free = device.cuda_stream().context().mem_get_info();
        return free.ok().map(|(free, _)| free as u64);
    }
    let _ = device;
    None
}

/// [`available`] with `/proc` and `/sys` below `root`.
fn under(root: &Path) -> Option<u64> {
    let meminfo = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let system = field(&meminfo, "MemAvailable:")? * 1024;
    let groups = groups(root).into_iter().flatten();
    Some(groups.fold(system, u64::min))
}

/// What each control group that the process is in leaves; none for one without limit.
fn groups(root: &Path) -> Vec<Option<u64>> {
    let Ok(own) = fs::read_to_string(root.join("proc/self/cgroup")) else {
        return Vec::new();
    };
    let mut left = Vec::new();
    for line in own.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let (mount, files) = match controllers {
            "" => ("sys/fs/cgroup", &UNIFIED),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("sys/fs/cgroup/memory", &LEGACY)
            }
            _ => continue,
        };
        let mount = root.join(mount);
        // A limit holds for all groups below. In a container the path may be the host's, which is not there.
        let mut group: PathBuf = mount.join(path.trim_start_matches('/'));
        while group.starts_with(&mount) {
            left.push(left_in(&group, files));
            if !group.pop() {
                break;
            }
        }
    }
    left
}

/// The files of a control group, and what its statistics call file pages that can be given back.
struct Names {
    limit: &'static str,
    used: &'static str,
    file_pages: &'static str,
}

const UNIFIED: Names = Names {
    limit: "memory.max",
    used: "memory.current",
    file_pages: "inactive_file",
};

const LEGACY: Names = Names {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    file_pages: "total_inactive_file",
};

fn left_in(group: &Path, names: &Names) -> Option<u64> {
    let number = |name| -> Option<u64> {
        let text = fs::read_to_string(group.join(name)).ok()?;
        // No limit is the word "max".
        text.trim().parse().ok()
    };
    let (limit, used) = (number(names.limit)?, number(names.used)?);
    let pages = fs::read_to_string(group.join("memory.stat")).ok();
    let pages = pages.and_then(|stat| field(&stat, names.file_pages));
    Some(limit.saturating_sub(used.saturating_sub(pages.unwrap_or(0))))
}

/// The number after `name` in lines of a name and a number.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        match words.next() == Some(name) {
            true => words.next()?.parse().ok(),
            false => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root folder with these files.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        root
    }

    const MEMINFO: (&str, &str) = (
        "proc/meminfo",
        "MemTotal:       2000 kB\nMemAvailable:   1000 kB\n",
    );

    #[test]
    fn the_least_of_system_and_control_groups_counts() {
        let free = |files: &[(&str, &str)]| {
            let files = [&[MEMINFO], files].concat();
            under(root(&files).path())
        };
        assert_eq!(free(&[]), Some(1_024_000));
        // Of a unified hierarchy, the limit of a group further up, less what is used but for pages of files.
        assert_eq!(
            free(&[
                ("proc/self/cgroup", "0::/jobs/seven\n"),
                ("sys/fs/cgroup/jobs/seven/memory.max", "max\n"),
                ("sys/fs/cgroup/jobs/seven/memory.current", "5\n"),
                ("sys/fs/cgroup/jobs/memory.max", "500000\n"),
                ("sys/fs/cgroup/jobs/memory.current", "400000\n"),
                (
                    "sys/fs/cgroup/jobs/memory.stat",
                    "anon 1\ninactive_file 50000\n"
                ),
            ]),
            Some(150_000)
        );
        // Of the older kind, in a container that does not see its own path.
        assert_eq!(
            free(&[
                (
                    "proc/self/cgroup",
                    "4:cpu:/x\n3:cpuset,memory:/docker/abc\n"
                ),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "300000\n"),
                ("sys/fs/cgroup/memory/memory.usage_in_bytes", "100000\n"),
            ]),
            Some(200_000)
        );
        // More is used than the limit allows for a moment.
        assert_eq!(
            free(&[
                ("proc/self/cgroup", "0::/\n"),
                ("sys/fs/cgroup/memory.max", "10\n"),
                ("sys/fs/cgroup/memory.current", "20\n"),
            ]),
            Some(0)
        );
        assert_eq!(under(root(&[]).path()), None);
    }

    #[test]
    fn a_linux_machine_says_how_much_there_is() {
        if cfg!(target_os = "linux") {
            assert!(available().expect("it is known") > 1 << 20);
        }
    }
}
