//! Features by the words that instantiate them.

use crate::data::Factor;
use crate::identity::TextEmbeddings;
use crate::models::Model;
use crate::{Error, Result, session};
use std::sync::Arc;

/// A feature ("location") and the words that instantiate it ("sea", "forest", ...). Their order matters to the paper's
/// score ([`variance_attributed`](crate::score::variance_attributed)) and where the first few are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureWords {
    pub name: String,
    pub words: Vec<String>,
}

impl FeatureWords {
    /// A feature called `name`, by these words.
    pub fn new(name: impl Into<String>, words: &[impl AsRef<str>]) -> Self {
        Self {
            name: name.into(),
            words: words.iter().map(|w| w.as_ref().to_string()).collect(),
        }
    }

    /// A factor of generated images, by the names of its values.
    pub fn of_factor(factor: Factor) -> Self {
        Self::new(factor.name(), factor.names())
    }

    /// Every factor of generated images, whose words the embedded CLIP knows.
    pub fn generated() -> Vec<Self> {
        Factor::ALL.into_iter().map(Self::of_factor).collect()
    }

    /// The seven features of the paper's table of rank correlations with the published code's words, in its order.
    pub fn published() -> Vec<Self> {
        let each = |name: &str, words: &[&str], ending: &str| {
            let words: Vec<String> = words.iter().map(|w| format!("{w}{ending}")).collect();
            Self::new(name, &words)
        };
        let mut shape = each(
            "shape",
            &["triangular", "rectangular", "circular"],
            " shape",
        );
        shape.words.push("octagon".to_string());
        vec![
            each(
                "color",
                &["blue", "green", "red", "yellow", "black", "white"],
                " color",
            ),
            each(
                "texture",
                &[
                    "rough", "smooth", "furry", "sleek", "slimy", "spiky", "glossy",
                ],
                " texture",
            ),
            each(
                "animal",
                &[
                    "cat", "dog", "camel", "elephant", "giraffe", "zebra", "cheetah",
                ],
                "",
            ),
            each(
                "person",
                &["face", "head", "man", "woman", "human", "arms", "legs"],
                "",
            ),
            each(
                "location",
                &["beach", "forest", "desert", "sea", "city", "sky", "marsh"],
                "",
            ),
            each(
                "pattern",
                &["spotted", "striped", "polka dot", "plain", "checkered"],
                " pattern",
            ),
            shape,
        ]
    }

    /// The same feature by its first `count` words (all of them where there are fewer): the published table takes four.
    pub fn first(&self, count: usize) -> Self {
        Self {
            name: self.name.clone(),
            words: self.words.iter().take(count).cloned().collect(),
        }
    }

    /// The words in the 80 prompt templates, as `clip` embeds them.
    ///
    /// # Errors
    /// As [`session::class_embeddings`].
    pub fn embed(&self, clip: impl AsRef<Model>) -> Result<Arc<TextEmbeddings>> {
        let clip = clip.as_ref();
        session::class_embeddings(clip, &self.words)
    }
}

/// Refuses fewer than `least` features, and two of one name.
pub(super) fn check_features(features: &[FeatureWords], least: usize) -> Result<()> {
    if features.len() < least {
        return Err(Error::argument(
            "features",
            features.len(),
            format!("{least} or more, to be compared: FeatureWords::generated() has six"),
        ));
    }
    for (i, feature) in features.iter().enumerate() {
        if features[..i].iter().any(|f| f.name == feature.name) {
            let expected = "names that differ: FeatureWords::new(name, &words) gives one";
            return Err(Error::argument("features", &feature.name, expected));
        }
    }
    Ok(())
}
