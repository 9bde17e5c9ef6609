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
    use crate::align::{Aligner, FitOptions};
    use crate::data::{DataSet, FolderSet, GeneratedSet, GeneratedSpec, OnUnreadable};
    use crate::decompose::{DecomposeOptions, Decomposer, Sharing};
    use crate::models::Model;
    use crate::{Result, score};
    use candle_core::{DType, Device, Tensor};
    use serde_json::json;

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

    /// One number that changes when a value or its place does, about 1 for values about 1.
    fn digest(t: &Tensor) -> Result<f64> {
        let values: Vec<f64> = t.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
        let turned = values.iter().zip(0u32..);
        let sum: f64 = turned.map(|(v, i)| v * (f64::from(i) * 0.37).cos()).sum();
        Ok(sum / (values.len() as f64).sqrt())
    }

    fn waves(shape: &[usize], step: f32) -> Result<Tensor> {
        let values = (0..shape.iter().product::<usize>()).map(|i| (i as f32 * step).sin());
        Ok(Tensor::from_vec(values.collect(), shape, &Device::Cpu)?)
    }

    /// Results as they were when the numbers were last raised. Whoever changes what is computed fails here, raises the
    /// number of that kind, and writes both down.
    #[test]
    fn values_change_with_their_numbers() -> Result<()> {
        let (vit, clip) = (
            Model::open("tiny_vit", &json!({}), &Device::Cpu)?,
            Model::open("tiny_clip", &json!({}), &Device::Cpu)?,
        );
        let drawn = GeneratedSet::new(GeneratedSpec::unbiased(1, 3))?;
        let pixels = drawn.pixels(&[0, 1, 2], vit.input())?;
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pictures/pillow");
        let decoded = FolderSet::open(folder, OnUnreadable::Fail)?.pixels(&[1, 5], vit.input())?;
        let normalised = vit.encoder().normalisation().apply(&pixels)?;
        let options = DecomposeOptions {
            sharing: Sharing::Equal,
            ..DecomposeOptions::default()
        };
        let contributions = Decomposer::new(vit.encoder(), options)?.run(&normalised)?;
        let (c, targets) = (waves(&[3, 30, 4], 0.7)?, waves(&[30, 5], 1.3)?);
        let (aligner, _) = Aligner::fit(&c, &targets, &FitOptions::default())?;
        let Some(maps) = aligner.weights() else {
            panic!("an aligner of plain tensors has maps");
        };
        let scores = score::variance_attributed(&c, &waves(&[2, 4], 2.1)?)?;
        let scores = Tensor::new(scores, &Device::Cpu)?;
        let found = [
            (Format::Pixels, digest(&pixels)? + digest(&decoded)?),
            (Format::Forward, digest(contributions.representation())?),
            (Format::Contributions, digest(contributions.values())?),
            (
                Format::ImageEmbeddings,
                digest(&vit.encoder().encode(&pixels)?)?,
            ),
            (
                Format::TextEmbeddings,
                digest(&clip.encode_text(&["a red circle"])?)?,
            ),
            (Format::Aligner, digest(maps)?),
            (Format::Scores, digest(&scores)?),
        ];
        let recorded = [
            (1, 0.0632),
            (1, -0.7211),
            (2, 0.0352),
            (1, -0.7211),
            (1, -1.1329),
            (2, -0.1578),
            (1, 0.1400),
        ];
        let mut changed = Vec::new();
        for ((format, value), (number, then)) in found.into_iter().zip(recorded) {
            if format.number() != number || (value - then).abs() > 1e-3 {
                changed.push(format!(
                    "{format:?}: ({}, {value:.6}), recorded ({number}, {then})",
                    format.number()
                ));
            }
        }
        assert!(
            changed.is_empty(),
            "raise the number of what has changed, and record the new values:\n{}",
            changed.join("\n")
        );
        Ok(())
    }
}
