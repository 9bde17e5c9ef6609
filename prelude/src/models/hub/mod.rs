//! The Hugging Face hub: what a published name stands for, and its files from the cache or over the network.
//!
//! The cache is the one all of that ecosystem shares, so that what Python has fetched is found here and the other way
//! round, and the same variables are understood: `HF_HOME`, `HF_HUB_CACHE`, `HF_TOKEN`, `HF_ENDPOINT`,
//! `HF_HUB_OFFLINE`.

mod cache;
mod download;
mod fault;
mod names;
mod settings;
mod unbuilt;

pub use cache::Cached;
pub use names::{ALIASES, Library, Source, named, nearest};
pub use settings::Hub;

/// Told how far a download is, and asked whether to go on.
pub trait Watch {
    /// `done` of `total` bytes of `file` are there.
    fn at(&self, file: &str, done: u64, total: u64) {
        let _ = (file, done, total);
    }

    /// Whether to stop; what is fetched is kept.
    fn stopped(&self) -> bool {
        false
    }
}

/// Nobody watches.
impl Watch for () {}
