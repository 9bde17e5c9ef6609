//! Waterbirds, the paper's data.

use super::StudyData;
use crate::data::{DataSet, OnUnreadable, Waterbirds};
use crate::{Error, Result};
use std::path::Path;
use std::sync::Arc;

/// The paper's words for the background.
const SPURIOUS: [&str; 9] = [
    "water", "ocean", "lake", "sky", "land", "forest", "trees", "bamboo", "leaves",
];

/// The paper's words for the bird.
const CORE: [&str; 8] = [
    "bird",
    "finch",
    "hummingbird",
    "crow",
    "sparrow",
    "swan",
    "albatross",
    "pelican",
];

/// Seed of the order and the parts of the training images.
const SEED: u64 = 0;

impl StudyData {
    /// The original Waterbirds (`waterbird_complete95_forest2water2`, with its `metadata.csv` and the splits it names),
    /// with the paper's words. The training images are shuffled, for the file lists them by species, and a probe that
    /// takes them in order would lean towards the last ones.
    ///
    /// # Errors
    /// As [`Waterbirds::open`]; when the folder is the cleaned one, which has no splits ([`Self::cleaned_waterbirds`]).
    pub fn waterbirds(root: impl AsRef<Path>, unreadable: OnUnreadable) -> Result<Self> {
        let root = root.as_ref();
        let set = Waterbirds::open(root, unreadable)?;
        if !set.label_columns().iter().any(|column| column == "split") {
            return Err(Error::data(
                root.display().to_string(),
                "it has no metadata.csv with the splits; the cleaned folders are opened by \
                 StudyData::cleaned_waterbirds(correlated, uncorrelated, OnUnreadable::Fail)?",
            ));
        }
        let set = Arc::new(set);
        let only = |name: &str| set.clone().only("split", name);
        let train = only("train")?.shuffled(SEED)?;
        Ok(
            Self::new(train, only("val")?, only("test")?, "class", "place")?
                .named(set.name())
                .with_the_papers_words(),
        )
    }

    /// The paper's cleaned Waterbirds: `correlated` images, of which a random 80 % are the training and the rest the
    /// validation split, and `uncorrelated` ones for the test; with the paper's words.
    ///
    /// # Errors
    /// As [`Waterbirds::open`]; when both are the same folder.
    pub fn cleaned_waterbirds(
        correlated: impl AsRef<Path>,
        uncorrelated: impl AsRef<Path>,
        unreadable: OnUnreadable,
    ) -> Result<Self> {
        let correlated = Waterbirds::open(correlated, unreadable)?;
        let test = Waterbirds::open(uncorrelated, unreadable)?;
        if correlated.key() == test.key() {
            let reason = "it is given for both the correlated and the uncorrelated images, which would be tested on what \
                          the probe was fitted on; give the folder of the other ones too";
            return Err(Error::data(test.name(), reason));
        }
        let name = format!("{} and {}", correlated.name(), test.name());
        let correlated = Arc::new(correlated);
        let shares = [0.8, 0.2];
        let train = correlated.clone().split(SEED, &shares)?.swap_remove(0);
        let validation = correlated.split(SEED, &shares)?.swap_remove(1);
        Ok(Self::new(train, validation, test, "class", "place")?
            .named(name)
            .with_the_papers_words())
    }

    fn with_the_papers_words(self) -> Self {
        self.spurious("background", &SPURIOUS).core("bird", &CORE)
    }
}
