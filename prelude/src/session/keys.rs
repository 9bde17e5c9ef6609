//! Content keys: what a result is made of, as a short hash by which it is found again.

use super::device::tf32;
use crate::data::DataSet;
use crate::identity::{Format, short};
use crate::models::Model;
use crate::models::weights::Precision;

/// Kinds of values that stay resident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Model,
    Contributions,
    /// Batches of a decomposition that was stopped.
    Unfinished,
    Images,
    Texts,
    Aligner,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Contributions => "contributions",
            Self::Unfinished => "unfinished contributions",
            Self::Images => "image embeddings",
            Self::Texts => "text embeddings",
            Self::Aligner => "aligner",
        }
    }

    /// The format numbers that stand in keys of this kind.
    fn formats(self) -> String {
        match self {
            // A model is kept for as long as the process that knows how to read it.
            Self::Model => String::new(),
            Self::Contributions | Self::Unfinished => Format::Contributions.with_its_parts(),
            Self::Images => Format::ImageEmbeddings.with_its_parts(),
            Self::Texts => Format::TextEmbeddings.with_its_parts(),
            Self::Aligner => Format::Aligner.with_its_parts(),
        }
    }
}

/// Digits of a key: 128 bits, so that no two results of a lifetime share one.
const DIGITS: usize = 32;

/// The content key of `parts`: a hash of the kind, its format numbers and each part with its length, so that no two lists
/// of parts run together (`["a\nb"]` is not `["a", "b"]`).
pub(super) fn key(kind: Kind, parts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    let count = parts.len().to_string();
    let head = [kind.name(), &kind.formats(), &count];
    for part in head.iter().chain(parts) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..DIGITS].to_string()
}

/// Where and in which type `model` computes, and what it sees: the same weights may be asked for at another size.
pub(super) fn place(model: &Model) -> String {
    let device = model.encoder().device();
    let products = match model.precision() {
        Precision::F32 if device.is_cuda() && tf32() => "TF32",
        Precision::F32 => "F32",
        half => half.name(),
    };
    format!("{:?} {products} {:?}", device.location(), model.input())
}

/// A data set in the label of what was made of it: its name and number of images.
pub(super) fn set_label(set: &dyn DataSet) -> String {
    crate::data::show::title(set)
}

/// What tells models of one name apart in a label: the size of their pictures and the beginning of their weights' hash.
pub(super) fn model_label(model: &Model) -> String {
    let (size, weights) = (model.encoder().image_size(), short(model.hash()));
    format!(", {size} px, weights {weights}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        let lists: [&[&str]; 6] = [
            &["a\nb"],
            &["a", "b"],
            &["ab"],
            &["a", "", "b"],
            &["b", "a"],
            &[],
        ];
        for (i, a) in lists.iter().enumerate() {
            for b in &lists[i + 1..] {
                assert_ne!(key(Kind::Texts, a), key(Kind::Texts, b), "{a:?} {b:?}");
            }
            assert_ne!(key(Kind::Texts, a), key(Kind::Images, a), "{a:?}");
        }
    }

    #[test]
    fn keys_hold_the_format_numbers_of_all_that_goes_in() {
        for format in [
            Format::Pixels,
            Format::Forward,
            Format::Contributions,
            Format::ImageEmbeddings,
            Format::Aligner,
        ] {
            let number = format!("{format:?} {}", format.number());
            assert!(Kind::Aligner.formats().contains(&number), "{number}");
        }
    }
}
