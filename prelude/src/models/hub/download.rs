//! Fetching what the cache does not have.

use super::fault::Fault;
use super::{Hub, Source, Watch, unbuilt};
use crate::models::weights::read::shards::{self, INDEX};
use crate::{Error, Result};
use hf_hub::api::Progress;
use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Tries of one file while the connection breaks; each goes on where the last ended.
const TRIES: u32 = 5;

/// Names of a repository's files that a message lists.
const FILES: usize = 12;

impl Hub {
    /// The path of `source`'s weights in the cache, with its configuration and tokenizer beside them; what is missing
    /// is fetched. Nothing is asked of the network where all is there, or where the hub is offline.
    ///
    /// # Errors
    /// When the network is needed and cannot be had (the message says which files to put where), the repository does
    /// not exist or may not be read, the disk is full, or a file arrives damaged.
    pub fn weights(&self, source: &Source, watch: &dyn Watch) -> Result<PathBuf> {
        let cached = self.cached(source);
        match (cached, self.offline) {
            (Some(cached), true) => Ok(cached.weights),
            (Some(cached), _) if cached.complete => Ok(cached.weights),
            // The weights are what counts: without the network they do alone.
            (Some(cached), _) => match self.fetch(source, watch) {
                Err(stopped @ Error::Interrupted { .. }) => Err(stopped),
                fetched => Ok(fetched.unwrap_or(cached.weights)),
            },
            (None, true) => Err(self.unreachable(
                source,
                "it is not in the cache, and HF_HUB_OFFLINE forbids fetching it",
                None,
            )),
            (None, false) => self.fetch(source, watch),
        }
    }

    fn fetch(&self, source: &Source, watch: &dyn Watch) -> Result<PathBuf> {
        let api = ApiBuilder::from_cache(self.layout())
            .with_endpoint(self.endpoint.clone())
            .with_token(self.token.clone())
            .with_progress(false)
            .build();
        let there: RefCell<Option<Vec<String>>> = RefCell::new(None);
        let final_of = |fault| match fault {
            Fault::Final(error) => error,
            Fault::Connection(why) => self.unreachable(
                source,
                &format!("{} cannot be reached ({why})", self.endpoint),
                there.borrow().as_deref(),
            ),
            Fault::Part => Error::hub(
                &source.repo,
                "the hub refused to go on with a download; try again",
            ),
        };
        let api = api.map_err(|e| final_of(self.fault(source, e)))?;
        let repo = api.repo(source.repository());
        let about = self
            .tries(source, watch, || repo.info())
            .map_err(final_of)?;
        let names = about.siblings.iter().map(|file| file.rfilename.clone());
        there.replace(Some(names.collect()));
        let has = |name: &str| about.siblings.iter().any(|file| file.rfilename == name);
        let Some(weights) = source.choose(has) else {
            let names = source.weights().join(", ");
            let mut there: Vec<_> = about
                .siblings
                .iter()
                .map(|file| file.rfilename.as_str())
                .collect();
            let more = if there.len() > FILES { ", ..." } else { "" };
            there.truncate(FILES);
            let reason = format!(
                "it has no weights under a name that is known ({names}); it has {}{more}: download what you need and load it by its path",
                there.join(", ")
            );
            return Err(Error::hub(&source.repo, reason));
        };
        let snapshot = self
            .layout()
            .repo(source.repository())
            .pointer_path(&about.sha);
        let fetch = |name: &str| match snapshot.join(name).exists() {
            true => Ok(()),
            false => self
                .file(source, &api, &repo, name, watch)
                .map_err(final_of),
        };
        // The weights last: where they are, all is there.
        for name in source.besides() {
            match has(name) {
                true => fetch(name)?,
                false => self.note_absent(source, &about.sha, name),
            }
        }
        self.is_built(source, &snapshot)?;
        fetch(weights)?;
        let path = snapshot.join(weights);
        if weights.ends_with(INDEX) {
            let io = |e| Error::io("reading", &path, e);
            let index = std::fs::read(&path).map_err(io)?;
            let index = serde_json::from_slice(&index).unwrap_or_default();
            let shards = shards::files(&index).map_err(|e| Error::weights(&path, e))?;
            for shard in &shards {
                fetch(shard)?
            }
        }
        Ok(path)
    }

    /// Refuse a model whose configuration says that it is of another architecture, before its weights are fetched.
    fn is_built(&self, source: &Source, snapshot: &Path) -> Result<()> {
        let Ok(bytes) = std::fs::read(snapshot.join("config.json")) else {
            return Ok(());
        };
        let json = serde_json::from_slice(&bytes).unwrap_or_default();
        match unbuilt::by_configuration(&json) {
            Some(reason) => Err(Error::hub(&source.repo, reason)),
            None => Ok(()),
        }
    }

    /// Ask again while the connection breaks.
    fn tries<T>(
        &self,
        source: &Source,
        watch: &dyn Watch,
        ask: impl Fn() -> std::result::Result<T, ApiError>,
    ) -> std::result::Result<T, Fault> {
        let mut tried = 0;
        loop {
            tried += 1;
            let fault = match ask() {
                Ok(got) => return Ok(got),
                Err(error) => self.fault(source, error),
            };
            match fault {
                Fault::Connection(_) if tried < TRIES && !watch.stopped() => {
                    std::thread::sleep(Duration::from_millis(100 << tried))
                }
                fault => return Err(fault),
            }
        }
    }

    /// Fetch one file, going on where an earlier try ended, and check it.
    fn file(
        &self,
        source: &Source,
        api: &Api,
        repo: &ApiRepo,
        name: &str,
        watch: &dyn Watch,
    ) -> std::result::Result<(), Fault> {
        let download = || {
            let bar = Bar {
                watch,
                name: format!("{}: {name}", source.repo),
                done: 0,
                total: 0,
            };
            // hf-hub's progress cannot say "stop", so it unwinds, past nothing but open files.
            catch_unwind(AssertUnwindSafe(|| repo.download_with_progress(name, bar)))
        };
        let mut fresh = false;
        loop {
            let stopped = std::cell::Cell::new(false);
            let fetched = self.tries(source, watch, || match download() {
                Ok(fetched) => fetched.map(Some),
                Err(cause) if cause.is::<Stop>() => {
                    stopped.set(true);
                    Ok(None)
                }
                // Where the answer is not the hub's, hf-hub may panic.
                Err(_) => Err(std::io::Error::other("an answer that is not the hub's").into()),
            });
            let path = match fetched {
                Ok(Some(path)) => path,
                Ok(None) => {
                    let what = format!("fetching {name} of {}", source.repo);
                    let kept =
                        "what has arrived is kept, and loading it again goes on from there".into();
                    return Err(Fault::Final(Error::Interrupted { what, kept }));
                }
                Err(Fault::Part) if !fresh => {
                    // A part that is whole, or of another file: from the start.
                    fresh = true;
                    let about = api
                        .metadata(&repo.url(name))
                        .map_err(|e| self.fault(source, e))?;
                    let blob = self
                        .layout()
                        .repo(source.repository())
                        .blob_path(about.etag());
                    let _ = std::fs::remove_file(blob.with_extension("part"));
                    continue;
                }
                Err(fault) => return Err(fault),
            };
            return match intact(&path) {
                Ok(true) => Ok(()),
                Ok(false) if !fresh => {
                    fresh = true;
                    continue;
                }
                Ok(false) => {
                    let reason = format!(
                        "{name} arrived damaged twice: its SHA-256 is not the hub's; try again later"
                    );
                    Err(Fault::Final(Error::hub(&source.repo, reason)))
                }
                Err(error) => Err(Fault::Final(Error::io("reading", path, error))),
            };
        }
    }

    /// Note that a commit has no file `name`, as huggingface_hub does. Where that fails it is asked again.
    fn note_absent(&self, source: &Source, commit: &str, name: &str) {
        let folder = self.absent(source, commit);
        let _ = std::fs::create_dir_all(&folder);
        let _ = std::fs::write(folder.join(name), b"");
    }
}

/// Whether a fetched file is what its name in the cache says: large files are stored under their SHA-256. A damaged
/// one is removed.
fn intact(path: &Path) -> std::io::Result<bool> {
    let blob = path.canonicalize()?;
    let name = blob
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("");
    if name.len() != 64 || !name.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(true);
    }
    let mut hasher = Sha256::new();
    std::io::copy(&mut std::fs::File::open(&blob)?, &mut hasher)?;
    let hash = hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    let whole = hash == name.to_lowercase();
    if !whole {
        std::fs::remove_file(path)?;
        std::fs::remove_file(&blob)?
    }
    Ok(whole)
}

/// What unwinds a download that is to stop.
struct Stop;

struct Bar<'a> {
    watch: &'a dyn Watch,
    name: String,
    done: u64,
    total: u64,
}

impl Progress for Bar<'_> {
    fn init(&mut self, size: usize, _: &str) {
        (self.done, self.total) = (0, size as u64);
        self.watch.at(&self.name, 0, self.total)
    }

    fn update(&mut self, size: usize) {
        self.done += size as u64;
        self.watch.at(&self.name, self.done, self.total);
        if self.watch.stopped() {
            resume_unwind(Box::new(Stop))
        }
    }

    fn finish(&mut self) {
        self.watch.at(&self.name, self.total, self.total)
    }
}
