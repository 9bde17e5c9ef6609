//! The embedded zoo: small models of every family, trained by `vitrepl-prelude`'s own `train` command on the
//! generated image set, and part of the library.

use crate::facts::{self, Facts};

/// A model that is part of the library.
pub struct Embedded {
    pub name: &'static str,
    /// What it stands for.
    pub about: &'static str,
    pub(super) weights: &'static [u8],
    pub(super) card: &'static str,
}

facts::shows!(Embedded, |it| Facts::new(format!(
    "embedded model \"{}\"",
    it.name
))
.row("about", it.about)
.row("weights", facts::size(it.weights.len())));

impl Embedded {
    /// The weights file.
    pub(crate) fn bytes(&self) -> &'static [u8] {
        self.weights
    }
}

macro_rules! embedded {
    ($($name:literal: $about:literal;)*) => {
        &[$(Embedded {
            name: $name,
            about: $about,
            weights: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/zoo/", $name, ".safetensors")),
            card: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/zoo/", $name, ".json")),
        }),*]
    };
}

/// The embedded models.
pub const EMBEDDED: &[Embedded] = embedded! {
    "tiny_vit": "class token, as DeiT and DINO";
    "tiny_dinov2": "LayerScale and register tokens, as DINOv2";
    "tiny_swin": "shifted windows and patch merging, as Swin";
    "tiny_maxvit": "convolution, window and grid attention, as MaxViT";
    "tiny_clip": "image and text towers, as open_clip";
};

/// The embedded model called `name` (`-` and `_` are one).
pub fn find(name: &str) -> Option<&'static Embedded> {
    let name = name.replace('-', "_");
    EMBEDDED.iter().find(|model| model.name == name)
}

/// The names of the embedded models.
pub fn names() -> Vec<&'static str> {
    EMBEDDED.iter().map(|model| model.name).collect()
}
