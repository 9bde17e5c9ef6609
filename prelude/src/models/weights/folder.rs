//! A folder as the Hugging Face hub serves it: weights, configuration, tokenizer.

use super::read::shards;
use crate::{Error, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Names of weights files, the first there is taken: open_clip's own before the same weights in transformers' names,
/// safetensors before pickles, one file before several with an index.
pub const WEIGHTS: [&str; 10] = [
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.bin.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "model.pth",
];

/// Files beside weights that say how a model is built and fed.
pub const CONFIGURATIONS: [&str; 3] = [
    "config.json",
    "open_clip_config.json",
    "preprocessor_config.json",
];

/// The endings of weights files.
pub const ENDINGS: [&str; 5] = ["safetensors", "bin", "pth", "pt", "ckpt"];

/// The tokenizer of a CLIP.
pub const TOKENIZER: &str = "tokenizer.json";

/// The files that are read with the weights file `weights`, whether they are there or not: its index and shards,
/// configuration and tokenizer.
pub fn beside(weights: &Path) -> Vec<PathBuf> {
    let mut all = match shards::of(weights) {
        Ok(Some(shards)) => shards.files,
        _ => Vec::new(),
    };
    all.push(weights.to_path_buf());
    let names = CONFIGURATIONS.iter().chain([&TOKENIZER]);
    all.extend(names.map(|name| weights.with_file_name(name)));
    all
}

/// The weights file in `folder`: one of the usual names, or the only one there, or the first of shards that belong
/// together.
///
/// # Errors
/// When there is none (the message says where the folder is of a kind that has to be converted first), or several of
/// other names.
pub fn weights(folder: &Path) -> Result<PathBuf> {
    if let Some(usual) = WEIGHTS
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.exists())
    {
        return Ok(usual);
    }
    let io = |e| Error::io("reading", folder, e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let ending = path.extension().and_then(|e| e.to_str());
        if ending.is_some_and(|e| ENDINGS.contains(&e)) {
            found.push(path)
        }
    }
    found.sort();
    // Shards are one weights file.
    let mut first: BTreeSet<String> = BTreeSet::new();
    found.retain(|path: &PathBuf| {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or("");
        match shards::stem(name) {
            Some(stem) => first.insert(stem),
            None => true,
        }
    });
    match found.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Error::weights(folder, none_in(folder))),
        several => {
            let names: Vec<_> = several
                .iter()
                .filter_map(|path| path.file_name()?.to_str())
                .collect();
            let reason = format!(
                "there are several weights files ({}); load one of them by its path",
                names.join(", ")
            );
            Err(Error::weights(folder, reason))
        }
    }
}

/// Why there are no weights in `folder`.
fn none_in(folder: &Path) -> String {
    let shown = folder.display();
    if folder.join(".metadata").exists() {
        return format!(
            "it is a distributed checkpoint of PyTorch's; convert it: python -m torch.distributed.checkpoint.format_utils dcp_to_torch \"{shown}\" \"{shown}/model.pth\""
        );
    }
    if folder.join("zero_to_fp32.py").exists() {
        return format!(
            "it is a checkpoint of DeepSpeed's ZeRO; convert it: python \"{shown}/zero_to_fp32.py\" \"{shown}\" \"{shown}\""
        );
    }
    if folder.join("saved_model.pb").exists() {
        return "it is a model of TensorFlow's; take the PyTorch or safetensors file of the model"
            .into();
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let has = |folder: PathBuf| WEIGHTS.iter().any(|name| folder.join(name).exists());
    let inner = entries.filter(|entry| has(entry.path()));
    let mut inner: Vec<_> = inner
        .map(|entry| entry.path().display().to_string())
        .collect();
    inner.sort();
    let more = match inner.first() {
        Some(first) => format!("; there are weights in {first}"),
        None => String::new(),
    };
    format!("there is no weights file in this folder: model.safetensors or the like{more}")
}
