//! Token importance: which patches of an image a head, or several together, give a text for (paper section 5.2 and its
//! figures of token importance).
//!
//! A map is what the source tokens of the chosen heads give along a text in CLIP's space, without the aligner's bias. Heads
//! of windowed models answer on the whole image; where heads of several stages are summed, maps go to the finest grid of
//! them. The tokens that have no place in the image (class token, registers) are reported apart: what they hold is in no
//! map.

mod kinds;
mod pointing;
mod together;

pub use kinds::{HeadMaps, HeatScale, Heatmaps, head_maps, heatmaps};
pub use pointing::{PointingGame, PointingRow, pointing_game};
pub use together::token_importance;
