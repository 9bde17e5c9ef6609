//! What is resident: models, contributions, embeddings and aligners, found again by what they are made of.
//!
//! There is one session in a process, shared by all cells of a notebook and all lines of a prompt. Everything a
//! person asks for by these functions is kept under a key of its content (weights, data set, options), so that
//! asking twice costs nothing.

mod activations;
mod aligners;
mod available;
mod cache;
mod classify;
mod contained;
mod contributions;
mod device;
mod disk;
mod folder;
mod keys;
mod loading;
mod models;
pub(crate) mod progress;
mod registry;
mod replay;
mod room;
pub(crate) mod stop;
mod texts;
mod units;

pub use activations::{activation_gradients, activation_names, activations, intervene};
pub use aligners::align;
pub use cache::{cache, devices, drop_cached, limit_cache, memory, models};
pub(crate) use contributions::each_batch;
pub use contributions::{decompose, embed_images};
pub use device::{device, set_device};
pub use folder::set_cache_folder;
pub use loading::{loading, set_loading};
pub use models::{load, load_clip, load_with};
pub use registry::{Resident, forget, resident};
pub use stop::request_stop;
pub use texts::{class_embeddings, embed_texts};
