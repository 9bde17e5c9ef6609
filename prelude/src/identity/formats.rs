//! The format number of each kind of result.

/// A kind of result that outlives the call which made it: in a cache, or in a file that a person saved.
///
/// Its number stands in content keys and in files. **Raise the number of a kind in the same commit that changes the
/// values or the layout of that kind**; what was made before is then made anew (in the cache), or named with a remedy
/// (in a file). A kind that is made of others need not be raised with them: its keys hold their numbers too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// From a file or a seed to the pixels that a model sees: decoding, resizing, cropping, drawing.
    Pixels,
    /// A model's forward pass, as far as configurations and shared layers decide it.
    Forward,
    /// The decomposition of a representation, and the layout of a piece on disk. Pieces without a number are of format 1.
    Contributions,
    /// The embeddings of images.
    ImageEmbeddings,
    /// The embeddings of texts: tokenizer, text tower, prompt templates and their mean.
    TextEmbeddings,
    /// The fit of an aligner, its file and its checkpoint. Files without a number are of format 1.
    Aligner,
    /// The measures of [`crate::score::Scores`], and their file.
    Scores,
}

impl Format {
    pub const fn number(self) -> u32 {
        match self {
            Self::Pixels => 1,
            Self::Forward => 1,
            Self::Contributions => 2,
            Self::ImageEmbeddings => 1,
            Self::TextEmbeddings => 1,
            Self::Aligner => 2,
            Self::Scores => 1,
        }
    }

    /// The number of this kind and of every kind that goes into it, for a content key.
    pub fn with_its_parts(self) -> String {
        let parts: &[Self] = match self {
            Self::Pixels | Self::Forward | Self::TextEmbeddings => &[],
            Self::Contributions | Self::ImageEmbeddings => &[Self::Pixels, Self::Forward],
            Self::Aligner => &[
                Self::Pixels,
                Self::Forward,
                Self::Contributions,
                Self::ImageEmbeddings,
            ],
            Self::Scores => &[
                Self::Pixels,
                Self::Forward,
                Self::Contributions,
                Self::ImageEmbeddings,
                Self::TextEmbeddings,
                Self::Aligner,
            ],
        };
        let each = [&[self], parts].concat();
        let each = each
            .iter()
            .map(|kind| format!("{kind:?} {}", kind.number()));
        each.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aligner_is_made_anew_when_the_decomposition_changes() {
        let contributions = format!("Contributions {}", Format::Contributions.number());
        assert!(Format::Aligner.with_its_parts().contains(&contributions));
        assert!(Format::Scores.with_its_parts().contains(&contributions));
        assert!(
            !Format::TextEmbeddings
                .with_its_parts()
                .contains(&contributions)
        );
    }
}
