//! What is resident: models, contributions, embeddings and aligners, found again by what they are made of.
//!
//! There is one session in a process, shared by all cells of a notebook and all lines of a prompt. Everything a
//! person asks for by these functions is kept under a key of its content (weights, data set, options), so that
//! asking twice costs nothing.

mod aligners;
mod contributions;
mod device;
mod models;
mod progress;
mod registry;
mod stop;
mod texts;

pub use aligners::{Alignment, align};
pub use contributions::{decompose, embed_images};
pub use device::{device, set_device};
pub use models::{load, load_clip, load_with};
pub use registry::{Resident, forget, resident};
pub use stop::request_stop;
pub use texts::{class_embeddings, embed_texts};
