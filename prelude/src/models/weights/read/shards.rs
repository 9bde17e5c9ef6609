//! Weights in several files: transformers' `model.safetensors.index.json` or `pytorch_model.bin.index.json` says which
//! tensor is in which; without one, the names of the files say how many there are.

use crate::{Error, Result};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The ending of an index.
pub const INDEX: &str = ".index.json";

/// The files of sharded weights.
pub(in crate::models) struct Shards {
    pub files: Vec<PathBuf>,
    /// The file of each tensor, where there is an index.
    pub of: BTreeMap<String, PathBuf>,
}

/// The files that belong together with `path`: those of an index, or of the index or the other shards beside a shard.
/// None where it is a file of its own.
///
/// # Errors
/// When the index is no index or files of it are missing.
pub(in crate::models) fn of(path: &Path) -> Result<Option<Shards>> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Ok(None);
    };
    if name.ends_with(INDEX) {
        return indexed(path).map(Some);
    }
    let Some((stem, count, ending)) = numbered(name) else {
        return Ok(None);
    };
    let index = path.with_file_name(format!("{stem}.{ending}{INDEX}"));
    if index.exists() {
        let shards = indexed(&index)?;
        if shards
            .files
            .iter()
            .any(|file| file.file_name() == path.file_name())
        {
            return Ok(Some(shards));
        }
    }
    let files = (1..=count)
        .map(|i| path.with_file_name(format!("{stem}-{i:05}-of-{count:05}.{ending}")))
        .collect();
    let shards = Shards {
        files,
        of: BTreeMap::new(),
    };
    shards.all_there(path)?;
    Ok(Some(shards))
}

/// Stem, number of shards and ending of `STEM-00001-of-00003.ENDING`.
fn numbered(name: &str) -> Option<(&str, usize, &str)> {
    let (rest, ending) = name.rsplit_once('.')?;
    let (rest, count) = rest.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
    let count: usize = Some(count).filter(|count| digits(count))?.parse().ok()?;
    (digits(number) && count > 0).then_some((stem, count, ending))
}

/// What the names of all shards of which `name` is one have in common.
pub(in crate::models) fn stem(name: &str) -> Option<String> {
    let (stem, count, ending) = numbered(name)?;
    Some(format!("{stem}-of-{count}.{ending}"))
}

/// The names of the files that the index `json` names, in order.
///
/// # Errors
/// When it is no index, or names something else than files beside it: the reason.
pub(in crate::models) fn files(json: &Value) -> std::result::Result<BTreeSet<String>, String> {
    let map = json["weight_map"].as_object().filter(|map| !map.is_empty());
    let map = map.ok_or("not an index of weights: it has no weight_map; fetch it again")?;
    let file = |(key, file): (&String, &Value)| match file.as_str() {
        Some(name) if !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\']) => {
            Ok(name.to_string())
        }
        _ => Err(format!(
            "\"{key}\" is in {file}, which is no file beside it"
        )),
    };
    map.iter().map(file).collect()
}

fn indexed(path: &Path) -> Result<Shards> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) => return Err(Error::io("reading", path, e)),
    };
    let json: Value = serde_json::from_slice(&bytes)
        .map_err(|e| Error::weights(path, format!("not JSON ({e}); fetch it again")))?;
    let names = files(&json).map_err(|reason| Error::weights(path, reason))?;
    let map = json["weight_map"].as_object().into_iter().flatten();
    let beside = |name: &str| path.with_file_name(name);
    let of = map.filter_map(|(key, name)| Some((key.clone(), beside(name.as_str()?))));
    let shards = Shards {
        files: names.iter().map(|name| beside(name)).collect(),
        of: of.collect(),
    };
    shards.all_there(path)?;
    Ok(shards)
}

impl Shards {
    fn all_there(&self, path: &Path) -> Result<()> {
        let missing: Vec<_> = (self.files.iter())
            .filter(|file| !file.exists())
            .filter_map(|file| file.file_name()?.to_str())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let (shown, more) = missing.split_at(missing.len().min(8));
        let more = match more.len() {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        let reason = format!(
            "it is one of {} files that belong together, and {}{more} {} missing beside it; fetch what is missing into the same folder",
            self.files.len() + usize::from(path.to_string_lossy().ends_with(INDEX)),
            shown.join(", "),
            if missing.len() == 1 { "is" } else { "are" }
        );
        Err(Error::weights(path, reason))
    }
}
