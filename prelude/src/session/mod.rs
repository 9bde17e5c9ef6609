//! What is resident: models, contributions, embeddings and aligners, found again by what they are made of.
//!
//! There is one session in a process, shared by all cells of a notebook and all lines of a prompt. Everything a
//! person asks for by these functions is kept under a key of its content (weights, data set, options), so that
//! asking twice costs nothing.

mod activations;
mod aligners;
mod cache;
mod classify;
mod contained;
mod contributions;
mod device;
mod disk;
mod folder;
mod keys;
mod limit;
mod loading;
mod models;
mod registry;
mod replay;
mod room;
mod shards;
mod texts;
mod units;

pub use crate::process::stop::request_stop;
pub use activations::{activation_gradients, activation_names, activations, intervene};
pub use aligners::align;
pub use cache::{cache, devices, drop_cached, limit_cache, limit_resident, memory, models};
pub(crate) use contributions::each_batch;
pub use contributions::{decompose, embed_images};
pub use device::{device, set_device, set_tf32};
pub use folder::set_cache_folder;
pub use loading::{loading, set_loading};
pub use models::{load, load_clip, load_with};
pub use registry::{Resident, forget, resident};
pub use shards::{RunOptions, RunProgress, RunReport, Shard, decompose_into, decompose_shard};
pub use texts::{class_embeddings, embed_texts};
