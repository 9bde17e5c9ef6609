//! What is in the cache already.

use super::names::published;
use super::{Hub, Library, Source, named};
use crate::models::weights::folder;
use crate::models::weights::read::shards::{self, INDEX};
use hf_hub::{Repo, RepoType};
use std::path::{Path, PathBuf};

/// A snapshot of a repository that holds weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Cached {
    pub weights: PathBuf,
    /// Whether all that is wanted besides is there too, or known not to exist.
    pub complete: bool,
}

impl Source {
    pub(super) fn repository(&self) -> Repo {
        Repo::with_revision(self.repo.clone(), RepoType::Model, self.revision.clone())
    }

    /// Names of weights files, the first there is taken.
    pub(super) fn weights(&self) -> &'static [&'static str] {
        match self.library {
            Library::Timm => &[
                "model.safetensors",
                "model.safetensors.index.json",
                "pytorch_model.bin",
            ],
            Library::OpenClip => &[
                "open_clip_model.safetensors",
                "open_clip_pytorch_model.safetensors",
                "open_clip_pytorch_model.bin",
                "model.safetensors",
                "model.safetensors.index.json",
                "pytorch_model.bin",
            ],
            Library::Any => &folder::WEIGHTS,
        }
    }

    /// Small files that are wanted besides.
    pub(super) fn besides(&self) -> &'static [&'static str] {
        match self.library {
            Library::Timm => &["config.json"],
            Library::OpenClip => &["open_clip_config.json", "config.json", folder::TOKENIZER],
            Library::Any => &[
                "config.json",
                "open_clip_config.json",
                "preprocessor_config.json",
                folder::TOKENIZER,
            ],
        }
    }

    /// The first name of weights that `has` is true for.
    pub(super) fn choose(&self, has: impl Fn(&str) -> bool) -> Option<&'static str> {
        self.weights().iter().copied().find(|name| has(name))
    }
}

impl Hub {
    /// The folder of a repository.
    pub fn folder(&self, source: &Source) -> PathBuf {
        self.cache.join(source.repository().folder_name())
    }

    /// What the cache has of `source`: the snapshot its revision stands for, or any that was put there by hand.
    pub fn cached(&self, source: &Source) -> Option<Cached> {
        let folder = self.folder(source);
        let reference = folder.join("refs").join(&source.revision);
        let commit = std::fs::read_to_string(reference).unwrap_or(source.revision.clone());
        let snapshots = folder.join("snapshots");
        let wanted = snapshots.join(commit.trim());
        if let Some(cached) = self.snapshot(source, &wanted) {
            return Some(cached);
        }
        let mut others: Vec<_> = std::fs::read_dir(snapshots).ok()?.flatten().collect();
        others.sort_by_key(|entry| entry.path());
        others
            .iter()
            .find_map(|entry| self.snapshot(source, &entry.path()))
    }

    fn snapshot(&self, source: &Source, snapshot: &Path) -> Option<Cached> {
        let there = |name: &str| {
            let path = snapshot.join(name);
            // An index is as good as its shards.
            path.exists() && (!name.ends_with(INDEX) || shards::of(&path).is_ok())
        };
        let weights = source.choose(there)?;
        let absent = self.absent(source, snapshot.file_name()?.to_str()?);
        let there = |name: &&str| snapshot.join(name).exists() || absent.join(name).exists();
        Some(Cached {
            weights: snapshot.join(weights),
            complete: source.besides().iter().all(there),
        })
    }

    /// Where huggingface_hub notes files that a commit does not have.
    pub(super) fn absent(&self, source: &Source, commit: &str) -> PathBuf {
        self.folder(source).join(".no_exist").join(commit)
    }

    /// The published models in the cache, by the names that load them, and their weights. Other repositories, which
    /// may hold anything, are left out.
    pub fn all_cached(&self) -> Vec<(String, PathBuf)> {
        let Ok(folders) = std::fs::read_dir(&self.cache) else {
            return Vec::new();
        };
        let names = folders.flatten().filter_map(|entry| {
            let folder = entry.file_name().into_string().ok()?;
            published(&folder.strip_prefix("models--")?.replacen("--", "/", 1))
        });
        let mut found: Vec<_> = names
            .filter_map(|name| {
                let source = named(&name).ok()??;
                Some((name, self.cached(&source)?.weights))
            })
            .collect();
        found.sort();
        found
    }
}
