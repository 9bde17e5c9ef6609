//! Parts of one image's forward pass in place of another's: activation patching ("Interpretability in the Wild", Wang et
//! al. 2022; `patching` of TransformerLens), beside the same swap of contributions.
//!
//! Image A is run with a part of image B. The *direct* effect takes B's contribution of a component to the representation
//! in place of A's, everything else as it was: `z_A - c_i(A) + c_i(B)`. The *total* effect puts B's activation in the
//! component's place in A's forward pass, so that later layers read it too. Where the two differ, later layers made up for
//! the swap, or carried it on.
//!
//! What is measured is the difference of two logits, of the class predicted for B less that predicted for A unless
//! [`Swap::between`] names others, and how far it goes from A's (0) to B's (1).

mod effects;
mod pair;

pub use effects::{SwapEffect, SwapEffects, Swapped};
pub use pair::{Swap, swap};
