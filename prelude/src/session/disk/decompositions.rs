//! One decomposition in the cache: a store as [`Contributions::save`] makes them, which other programs can read.

use super::{evict, refuse, remove_folder, tell, touch};
use crate::decompose::{ChunkedContributions, Contributions};
use crate::store::{ContributionStore, Cutter, StoreOptions, StorePlan};
use crate::{Error, Result};
use candle_core::Device;
use std::collections::BTreeSet;
use std::path::PathBuf;

pub(super) const ENDING: &str = "zarr";

/// Images of a chunk, at most: what is lost of a call that is stopped and whose process ends.
const CHUNK: usize = 32;

/// Source tokens are kept if they take at most this part of what may be kept on disk.
const TOKEN_PART: u64 = 4;

/// Bytes that are written between two looks at the limit.
const BETWEEN_LOOKS: usize = 64_000_000;

/// The store of one decomposition.
pub(in crate::session) struct KeptDecomposition {
    folder: PathBuf,
    plan: StorePlan,
    state: State,
    /// Chunks that are there and cannot be read now; they are not written either.
    unreadable: BTreeSet<usize>,
    cutter: Option<Cutter>,
    written: usize,
}

enum State {
    /// Nothing was looked at yet, or nothing is there.
    Unknown,
    Open(Box<ContributionStore>),
    /// It cannot be read or written now and is left as it is.
    LeftAlone,
}

impl KeptDecomposition {
    /// The store of a content key, which must be of `plan`; none where there is no cache folder, or its source tokens would
    /// fill the cache.
    pub fn of(key: &str, label: &str, plan: StorePlan) -> Option<Self> {
        let folder = super::contributions().map_err(|e| tell(&e)).ok()?;
        let tokens = 4 * plan.token_numbers() as u64 * plan.images as u64;
        if tokens > super::limit()? / TOKEN_PART {
            return None;
        }
        Some(Self {
            folder: folder.join(format!("{key}.{ENDING}")),
            plan: StorePlan {
                label: Some(label.to_string()),
                ..plan
            },
            state: State::Unknown,
            unreadable: BTreeSet::new(),
            cutter: None,
            written: 0,
        })
    }

    /// Whether anything is kept under a content key.
    pub fn is_there(key: &str) -> bool {
        let folder = super::contributions();
        folder.is_ok_and(|folder| folder.join(format!("{key}.{ENDING}")).exists())
    }

    /// Hands what is there to `f`, chunk by chunk with the number of its first image.
    ///
    /// A store that is damaged, of another format or of another decomposition is named and removed, and a damaged chunk is
    /// named and made again. What cannot be read now is named and left as it is. The images of both are missing.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn read(
        &mut self,
        device: &Device,
        mut f: impl FnMut(usize, &Contributions) -> Result<()>,
    ) -> Result<()> {
        self.open();
        let State::Open(store) = &self.state else {
            return Ok(());
        };
        let finished = match store.finished() {
            Ok(finished) => finished,
            Err(error) => {
                refuse(&self.folder, &error);
                self.state = State::LeftAlone;
                return Ok(());
            }
        };
        touch(&self.folder.join("zarr.json"));
        for chunk in finished {
            match store.read_chunk(chunk).and_then(|c| c.to_device(device)) {
                Ok(contributions) => f(store.range(chunk).start, &contributions)?,
                Err(error @ Error::Saved { .. }) => {
                    eprintln!("{}; it is set aside and made again", reason(&error));
                    if let Err(error) = store.unmark(chunk) {
                        tell(&error);
                    }
                }
                Err(error) => {
                    eprintln!("{error}; it is left as it is and made again for now");
                    self.unreadable.insert(chunk);
                }
            }
        }
        Ok(())
    }

    /// Opens what is there, if it is of this decomposition.
    fn open(&mut self) {
        let found = ContributionStore::in_folder(&self.folder).and_then(|found| match found {
            Some(store) => match store.differs(&self.plan) {
                None => Ok(Some(store)),
                Some(reason) => Err(Error::saved(&self.folder, reason)),
            },
            None => Ok(None),
        });
        match found {
            Ok(Some(store)) => self.state = State::Open(Box::new(store)),
            Ok(None) => {}
            Err(error @ Error::Saved { .. }) => {
                eprintln!("{}; it is set aside and made again", reason(&error));
                if !remove_folder(&self.folder) {
                    self.state = State::LeftAlone;
                }
            }
            Err(error) => {
                refuse(&self.folder, &error);
                self.state = State::LeftAlone;
            }
        }
    }

    /// Takes a batch of the images from `start` on; chunks that are complete are written. A refusal of the disk is told
    /// and otherwise left alone.
    pub fn add(&mut self, start: usize, batch: &Contributions) {
        if let Err(error) = self.try_add(start, batch) {
            tell(&error);
            self.state = State::LeftAlone;
        }
    }

    fn try_add(&mut self, start: usize, batch: &Contributions) -> Result<()> {
        if matches!(self.state, State::Unknown) {
            self.open();
        }
        if matches!(self.state, State::Unknown) {
            let address = self.folder.display().to_string();
            let fitting = self.plan.images_of_chunk(&StoreOptions::default())?;
            let options = StoreOptions {
                chunk: Some(fitting.min(CHUNK)),
                ..StoreOptions::default()
            };
            let store = self.plan.clone().join(&address, &options)?;
            self.state = State::Open(Box::new(store));
        }
        let State::Open(store) = &self.state else {
            return Ok(());
        };
        let images = self.plan.images;
        let cutter = self
            .cutter
            .get_or_insert_with(|| Cutter::new(store.images_of_chunk(), images));
        let (unreadable, written) = (&self.unreadable, &mut self.written);
        cutter.add(start, batch.clone(), |chunk, images| {
            write(store, unreadable, chunk, images, written)
        })?;
        if self.written >= BETWEEN_LOOKS {
            self.written = 0;
            evict(&self.folder);
        }
        Ok(())
    }

    /// Writes the chunks of `all` that are not there, such as those whose images came in pieces.
    pub fn finish(&mut self, all: &Contributions) {
        if let State::Open(store) = &self.state {
            let missing = store.finished().map(|finished| {
                let all = 0..store.chunks();
                all.filter(|chunk| !finished.contains(chunk))
                    .collect::<Vec<_>>()
            });
            let ended = missing.and_then(|missing| {
                for chunk in missing {
                    let images = all.select_images(store.range(chunk))?;
                    write(store, &self.unreadable, chunk, &images, &mut self.written)?;
                }
                Ok(())
            });
            if let Err(error) = ended {
                tell(&error);
            }
        }
        evict(&self.folder);
    }

    /// All of them, read when they are used, where every image is there.
    pub fn whole(&mut self) -> Option<ChunkedContributions> {
        self.open();
        match std::mem::replace(&mut self.state, State::Unknown) {
            State::Open(store) => match store.missing() {
                Ok(missing) if missing.is_empty() => store.all().ok(),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Writes a chunk that is whole and can be written.
fn write(
    store: &ContributionStore,
    unreadable: &BTreeSet<usize>,
    chunk: usize,
    images: &Contributions,
    written: &mut usize,
) -> Result<()> {
    if unreadable.contains(&chunk) || images.images() != store.range(chunk).len() {
        return Ok(());
    }
    *written += images.bytes();
    store.write(chunk, images)
}

/// What is wrong with a file, by its name.
fn reason(error: &Error) -> String {
    match error {
        Error::Saved { path, reason, .. } => format!("{}: {reason}", path.display()),
        other => other.to_string(),
    }
}
