//! What is where in a shard.

use crate::data::decode::EXTENSIONS;
use crate::data::shard::Shard;
use crate::{Error, Result};

/// The members of one key.
pub(super) struct Sample {
    pub shard: usize,
    pub key: String,
    pub image: Option<Member>,
    pub cls: Option<Member>,
    pub json: Option<Member>,
    pub txt: Option<Member>,
}

/// Where a member's bytes lie in its shard.
#[derive(Clone, Copy)]
pub(super) struct Member {
    pub start: u64,
    pub len: usize,
}

/// Add the samples of `shard`, in order. Members of a sample stand together, as WebDataset writes them.
pub(super) fn index(shard: &Shard, number: usize, samples: &mut Vec<Sample>) -> Result<()> {
    let broken = |reason: String| Error::data(shard.path.display().to_string(), reason);
    let damaged = |e: std::io::Error| {
        broken(format!(
            "it is no whole tar file ({e}); download or unpack it again (a compressed one must be unpacked)"
        ))
    };
    let mut archive = ::tar::Archive::new(shard.reader(0));
    let before = samples.len();
    for entry in archive.entries_with_seek().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry
            .path()
            .map_err(damaged)?
            .to_string_lossy()
            .into_owned();
        let (start, len) = (entry.raw_file_position(), entry.size());
        if start.saturating_add(len) > shard.len {
            return Err(broken(format!(
                "it is cut off in the member {path}; download it again"
            )));
        }
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", &path));
        // A name that begins with a dot is none of a sample's (macOS leaves such files).
        let Some((stem, kind)) = file.split_once('.').filter(|(stem, _)| !stem.is_empty()) else {
            continue;
        };
        let key = if folder.is_empty() {
            stem.to_string()
        } else {
            format!("{folder}/{stem}")
        };
        let known = samples[before..]
            .last()
            .is_some_and(|sample| sample.key == key);
        if !known {
            samples.push(Sample {
                shard: number,
                key,
                image: None,
                cls: None,
                json: None,
                txt: None,
            })
        }
        let Some(sample) = samples.last_mut() else {
            continue;
        };
        let member = Some(Member {
            start,
            len: len as usize,
        });
        match kind.to_lowercase().as_str() {
            "cls" => sample.cls = member,
            "json" => sample.json = member,
            "txt" => sample.txt = member,
            kind if EXTENSIONS.contains(&kind) => sample.image = member,
            _ => {}
        }
    }
    // A tar file ends in zeros; without them something is missing.
    let end = shard.bytes(shard.len.saturating_sub(512), shard.len.min(512) as usize);
    if !end.is_ok_and(|end| end.len() == 512 && end.iter().all(|&byte| byte == 0)) {
        return Err(broken(
            "it is cut off, or no tar file; download it again".to_string(),
        ));
    }
    Ok(())
}
