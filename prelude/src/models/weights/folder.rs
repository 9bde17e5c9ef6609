//! A folder as the Hugging Face hub serves it: weights, configuration, tokenizer.

use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Names of weights files, the first there is taken: open_clip's own before the same weights in transformers' names,
/// safetensors before pickles.
pub const WEIGHTS: [&str; 7] = [
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "model.safetensors",
    "pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "pytorch_model.bin",
    "model.pth",
];

/// The endings of weights files.
pub const ENDINGS: [&str; 5] = ["safetensors", "bin", "pth", "pt", "ckpt"];

/// The tokenizer of a CLIP.
pub const TOKENIZER: &str = "tokenizer.json";

/// The weights file in `folder`: one of the usual names, or the only one there.
///
/// # Errors
/// When there is none, or several of other names.
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
    match found.as_slice() {
        [only] => Ok(only.clone()),
        [] => {
            let reason = format!(
                "there is no weights file in this folder: {} or the like",
                WEIGHTS[2]
            );
            Err(Error::weights(folder, reason))
        }
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
