//! What is where in a shard.

use super::fields::Fields;
use crate::data::decode::compressed;
use crate::data::listing::is_no_data;
use crate::data::shard::Shard;
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::Path;
use tar::EntryType;

/// The members of one key.
pub(super) struct Sample {
    pub shard: usize,
    pub key: String,
    /// By the number of the field in [`Fields`].
    pub members: Vec<(u32, Member)>,
}

impl Sample {
    /// Where the bytes of its field number `field` lie.
    pub fn member(&self, field: u32) -> Option<Member> {
        let found = self.members.iter().find(|(known, _)| *known == field);
        found.map(|(_, member)| *member)
    }
}

/// Where a member's bytes lie in its shard.
#[derive(Clone, Copy)]
pub(super) struct Member {
    pub start: u64,
    pub len: usize,
}

/// Zeros behind the last member that a writer may have put there. Programs fill up to 10 kB, or some hundreds; a
/// download that reserves its place before it has the content leaves more.
const MOST_ZEROS: u64 = 4 << 20;

/// Add the samples of `shard`, in the order of their first members. Members of one key are one sample wherever in the
/// shard they stand.
///
/// # Errors
/// When it is cut off, compressed or no tar file, a member is there twice, or one is stored in a way that is not read.
pub(super) fn index(
    shard: &Shard,
    number: usize,
    fields: &mut Fields,
    samples: &mut Vec<Sample>,
) -> Result<()> {
    let broken = |reason: String| Error::data(shard.path.display().to_string(), reason);
    let damaged = |e: std::io::Error| {
        broken(format!(
            "it is no whole tar file ({e}); download or write it again"
        ))
    };
    if let Some(reason) = packed(shard) {
        return Err(broken(reason));
    }
    let mut archive = ::tar::Archive::new(shard.reader(0));
    // Archives that were joined by `cat` have zeros between them.
    archive.set_ignore_zeros(true);
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut end = 0;
    for entry in archive.entries_with_seek().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        let path = entry.path().map_err(damaged)?;
        let path = path.to_string_lossy().into_owned();
        let (start, len) = (entry.raw_file_position(), entry.size());
        let kind = entry.header().entry_type();
        let stored = kind.is_file();
        if stored && start.saturating_add(len) > shard.len {
            return Err(broken(format!(
                "it is cut off in the member {path}; download it again"
            )));
        }
        end = end.max(if stored { start + len } else { start });
        let Some((key, field)) = split(&path) else {
            continue;
        };
        let member = match kind {
            _ if stored => Member {
                start,
                len: len as usize,
            },
            EntryType::Link => {
                let target = entry.link_name().map_err(damaged)?.unwrap_or_default();
                let target = target.to_string_lossy();
                let linked = split(&target).and_then(|(key, field)| {
                    let sample = &samples[*places.get(&key)?];
                    sample.member(fields.known(&field)?)
                });
                linked.ok_or_else(|| {
                    broken(format!(
                        "the member {path} is a link to {target}, which is not before it; write the shard with --hard-dereference"
                    ))
                })?
            }
            EntryType::Symlink => {
                return Err(broken(format!(
                    "the member {path} is a symbolic link; write the shard with --dereference"
                )));
            }
            EntryType::GNUSparse => {
                return Err(broken(format!(
                    "the member {path} is stored with holes; write the shard without --sparse"
                )));
            }
            // Folders, devices and headers of other kinds hold nothing.
            _ => continue,
        };
        let place = *places.entry(key).or_insert_with_key(|key| {
            samples.push(Sample {
                shard: number,
                key: key.clone(),
                members: Vec::new(),
            });
            samples.len() - 1
        });
        let field = fields.number(field);
        if samples[place].member(field).is_some() {
            return Err(broken(format!(
                "the member {path} is in it twice, and may be two things; write the shard again with one of them"
            )));
        }
        samples[place].members.push((field, member));
    }
    // A tar file ends in zeros; without them something is missing.
    let last = shard.bytes(shard.len.saturating_sub(512), shard.len.min(512) as usize);
    if !last.is_ok_and(|last| last.len() == 512 && last.iter().all(|&byte| byte == 0)) {
        return Err(broken(
            "it is cut off, or no tar file; download it again".to_string(),
        ));
    }
    if shard.len - end.min(shard.len) > MOST_ZEROS {
        return Err(broken(format!(
            "its last {} bytes are zeros, as a download leaves them that was not finished; download it again",
            shard.len - end
        )));
    }
    Ok(())
}

/// Why `shard` must be unpacked first, if so.
fn packed(shard: &Shard) -> Option<String> {
    let begin = shard.bytes(0, shard.len.min(8) as usize).ok()?;
    let (how, unpack) = compressed(&begin)?;
    let name = shard.path.display();
    if how == "zip" {
        return Some(format!(
            "it is no whole tar file but a zip archive; unpack it, and open its folder with FolderSet::open: unzip {name} -d {}",
            shard.path.with_extension("").display()
        ));
    }
    Some(format!(
        "it is no whole tar file but compressed with {how}; unpack it first: {unpack} {name} > {}",
        unpacked(&shard.path)
    ))
}

/// A name for what is unpacked from the file at `path`.
fn unpacked(path: &Path) -> String {
    let stem = path.with_extension("");
    let inner = Path::new(&stem).extension();
    match inner.is_some_and(|e| e.eq_ignore_ascii_case("tar")) {
        true => stem.display().to_string(),
        false => format!("{}-unpacked.tar", stem.display()),
    }
}

/// The key of the member's sample and the field: what stands before and behind the first dot of the last part of its
/// path. None where it belongs to no sample: there is no dot, or a part of the path is no data.
fn split(path: &str) -> Option<(String, String)> {
    let parts: Vec<_> = path
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    if parts.iter().any(|part| is_no_data(part)) {
        return None;
    }
    let (file, folders) = parts.split_last()?;
    let (stem, field) = file.split_once('.')?;
    let mut key = folders.join("/");
    if !key.is_empty() {
        key.push('/')
    }
    Some((key + stem, field.to_lowercase()))
}
