//! One error type for the whole library: every message names the thing, the value and the remedy.

use std::path::{Path, PathBuf};

/// What went wrong. `Debug` prints the same text as `Display`, because that is what a prompt shows.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A model name that the zoo does not have.
    #[error(
        "unknown model \"{name}\"; known: {known}. A path to a .safetensors file or a folder is taken too.{nearest}"
    )]
    UnknownModel {
        name: String,
        known: String,
        nearest: String,
    },

    /// A published model of an architecture that this library does not have.
    #[error("model \"{name}\": {reason}")]
    Unbuilt { name: String, reason: String },

    /// A path at which there is nothing.
    #[error("reading {path}: there is no such file or folder (check the path){nearest}")]
    Missing { path: PathBuf, nearest: String },

    /// A weights file that is missing, truncated or not what it should be.
    #[error("weights {path}: {reason}")]
    Weights { path: PathBuf, reason: String },

    /// A weights file whose tensors do not fit the model, each listed by name.
    #[error("weights {path} do not fit {model}:{details}")]
    Keys {
        path: PathBuf,
        model: String,
        details: String,
    },

    /// A repository of the Hugging Face hub that cannot be had.
    #[error("model repository {repo}: {reason}")]
    Hub { repo: String, reason: String },

    /// An image that cannot be read or decoded.
    #[error("image {path}: {reason}")]
    Image { path: PathBuf, reason: String },

    /// A data set with nothing in it, or a malformed one.
    #[error("data set {name}: {reason}")]
    Data { name: String, reason: String },

    /// An argument outside its range.
    #[error("{name} = {value}: {expected}")]
    Argument {
        name: &'static str,
        value: String,
        expected: String,
    },

    /// A device that is not there.
    #[error("device \"{wanted}\": {reason}")]
    Device { wanted: String, reason: String },

    /// Reading or writing a file failed.
    #[error("{doing} {path}: {source}{remedy}")]
    Io {
        doing: &'static str,
        path: PathBuf,
        remedy: &'static str,
        source: std::io::Error,
    },

    /// Two values that were not made of the same model, images or texts, used together.
    #[error("{doing}: {one} and {other} do not belong together: {reason}; {remedy}")]
    Mismatch {
        doing: &'static str,
        one: String,
        other: String,
        reason: String,
        remedy: String,
    },

    /// A file that this library saved, and that is damaged, of another kind or of another format.
    #[error("{path}: {reason}; {remedy}")]
    Saved {
        path: PathBuf,
        reason: String,
        remedy: &'static str,
    },

    /// A run that was asked to stop; what is done is kept.
    #[error("interrupted: {what}; {kept}")]
    Interrupted { what: String, kept: String },

    /// A forward pass whose trace cannot be decomposed: a fault of a model file.
    #[error("trace: {0}")]
    Trace(String),

    /// A chart could not be drawn.
    #[error("chart: {0}")]
    Chart(String),

    /// An error of the tensor library, with the shapes it reports.
    #[error("tensor: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// `Result` of everything in this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An argument `name` had `value`; say what was `expected`.
    pub fn argument(name: &'static str, value: impl ToString, expected: impl Into<String>) -> Self {
        Self::Argument {
            name,
            value: value.to_string(),
            expected: expected.into(),
        }
    }

    /// A weights file at `path` is unusable for `reason`.
    pub fn weights(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Weights {
            path: path.as_ref().to_path_buf(),
            reason: reason.into(),
        }
    }

    /// The repository `repo` cannot be had for `reason`.
    pub fn hub(repo: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Hub {
            repo: repo.into(),
            reason: reason.into(),
        }
    }

    /// A data set called `name` is unusable for `reason`.
    pub fn data(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Data {
            name: name.into(),
            reason: reason.into(),
        }
    }

    /// The saved file at `path` is damaged or not what it should be, for `reason`.
    pub fn saved(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::unfit(path, reason, "delete it and make it again")
    }

    /// The saved file at `path` is unusable for `reason`, and this is what to do.
    pub fn unfit(path: impl AsRef<Path>, reason: impl Into<String>, remedy: &'static str) -> Self {
        Self::Saved {
            path: path.as_ref().to_path_buf(),
            reason: reason.into(),
            remedy,
        }
    }

    /// A trace cannot be decomposed for `reason`.
    pub fn trace(reason: impl Into<String>) -> Self {
        Self::Trace(reason.into())
    }

    /// `doing` ("reading", "writing") the file `path` failed.
    pub fn io(doing: &'static str, path: impl AsRef<Path>, source: std::io::Error) -> Self {
        use std::io::ErrorKind::*;
        let remedy = match source.kind() {
            NotFound => " (check the path)",
            PermissionDenied => " (check the permissions of the folder)",
            StorageFull | QuotaExceeded | FileTooLarge => {
                " (free some space and run it again; nothing was left half written)"
            }
            _ => "",
        };
        Self::Io {
            doing,
            path: path.as_ref().to_path_buf(),
            remedy,
            source,
        }
    }
}
