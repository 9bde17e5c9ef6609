//! One head, or some units of an MLP, looked at closely: the images they answer to most and least, their words, and where
//! they look.

mod head;
mod neurons;
mod words;

pub use head::{HeadImage, HeadStudy, head_study};
pub use neurons::{Neuron, NeuronImage, Neurons, neurons};
