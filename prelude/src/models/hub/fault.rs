//! What can go wrong with the hub, said with a remedy.

use super::{Hub, Library, Source};
use crate::Error;
use crate::models::weights::read::shards::{self, INDEX};
use hf_hub::api::sync::ApiError;
use std::io::ErrorKind;

/// What to do about a failed request.
pub(super) enum Fault {
    /// The connection: worth another try.
    Connection(String),
    /// The part file of an earlier download is of another file, or whole.
    Part,
    /// Final.
    Final(Error),
}

impl Hub {
    /// Sort an error of a request for `source`.
    pub(super) fn fault(&self, source: &Source, error: ApiError) -> Fault {
        let hub = |reason: String| Fault::Final(Error::hub(&source.repo, reason));
        let page = format!("{}/{}", self.endpoint, source.repo);
        match error {
            ApiError::RequestError(e) => match *e {
                ureq::Error::StatusCode(code @ (401 | 403)) => hub(match self.token {
                    None => format!(
                        "it does not exist, or is private or gated (status {code}); check the name, accept its terms at {page}, and set HF_TOKEN to a token of yours"
                    ),
                    Some(_) => format!(
                        "your token may not read it, or it does not exist (status {code}); check the name and accept its terms at {page}"
                    ),
                }),
                ureq::Error::StatusCode(404) => hub(format!(
                    "there is no such repository or no revision \"{}\" at {}; check the name",
                    source.revision, self.endpoint
                )),
                ureq::Error::StatusCode(416) => Fault::Part,
                ureq::Error::StatusCode(code) if code < 500 && code != 429 && code != 408 => {
                    hub(format!("{} answered with status {code}", self.endpoint))
                }
                other => Fault::Connection(other.to_string()),
            },
            ApiError::InvalidResume => Fault::Part,
            ApiError::IoError(e) => match e.kind() {
                ErrorKind::StorageFull
                | ErrorKind::QuotaExceeded
                | ErrorKind::FileTooLarge
                | ErrorKind::PermissionDenied
                | ErrorKind::ReadOnlyFilesystem
                | ErrorKind::NotADirectory
                | ErrorKind::NotFound => Fault::Final(Error::io("writing in", &self.cache, e)),
                _ => Fault::Connection(e.to_string()),
            },
            ApiError::LockAcquisition(path) => hub(format!(
                "another program is fetching it; wait for that one, or remove {}",
                path.display()
            )),
            ApiError::TooManyRetries(inner) => self.fault(source, *inner),
            other => hub(format!(
                "{} gave an answer that is not the hub's: {other}",
                self.endpoint
            )),
        }
    }

    /// The network cannot be had, because `why`: what to download and where to put it. `there` are the names of the
    /// repository's files, where the hub has told them.
    pub(super) fn unreachable(
        &self,
        source: &Source,
        why: &str,
        there: Option<&[String]>,
    ) -> Error {
        let (weights, besides): (String, Vec<String>) = match there {
            Some(there) => {
                let has = |name: &str| there.iter().any(|file| file == name);
                let besides = source.besides().iter().filter(|name| has(name));
                let weights = source.choose(has).unwrap_or(source.usual()[0]);
                let shards = there
                    .iter()
                    .filter(|name| weights.ends_with(INDEX) && shards::stem(name).is_some());
                let besides = besides.map(|name| name.to_string()).chain(shards.cloned());
                (weights.into(), besides.collect())
            }
            None => {
                let besides = source.besides().iter().filter(|name| source.needs(name));
                (
                    source.usual().join("  or  "),
                    besides.map(|name| name.to_string()).collect(),
                )
            }
        };
        let besides: Vec<_> = besides.iter().map(|name| format!("  {name}")).collect();
        let reason = format!(
            "{why}. Download from {}/{}/tree/{} on another machine\n  {weights}\n{}\n{}and put them into\n  {}\nor into any folder, and load(\"that folder\")",
            self.endpoint,
            source.repo,
            source.revision,
            besides.join("\n"),
            if there.is_some() {
                ""
            } else {
                "(what there is of them) "
            },
            self.folder(source)
                .join("snapshots")
                .join("by-hand")
                .display(),
        );
        Error::hub(&source.repo, reason)
    }
}

impl Source {
    /// What such repositories call their weights, of which there are more names in [`Source::weights`].
    fn usual(&self) -> [&'static str; 2] {
        match self.library {
            // open_clip `HF_SAFE_WEIGHTS_NAME`, `HF_WEIGHTS_NAME`.
            Library::OpenClip => ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"],
            Library::Timm | Library::Any => ["model.safetensors", "pytorch_model.bin"],
        }
    }

    /// Whether a file besides is one that such repositories have and that is read.
    fn needs(&self, name: &str) -> bool {
        match self.library {
            Library::OpenClip => name != "config.json",
            Library::Timm => true,
            Library::Any => name != "open_clip_config.json",
        }
    }
}
