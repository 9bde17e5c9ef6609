//! The texts of every component, found in three ways.

use crate::align::AlignedContributions;
use crate::decompose::Component;
use crate::identity::ModelId;
use crate::models::Model;
use crate::process::{progress::Progress, stop};
use crate::score::{matching_pursuit, sparse_code, text_span};
use crate::session;
use crate::{Error, Result};
use candle_core::{D, DType, Device, Tensor};

/// Settings of [`component_labels`].
///
/// The penalty of a sparse code pulls its coefficients towards 0, so that it explains less of the variance than the same
/// texts could.
#[derive(Clone, Debug)]
pub struct LabelOptions {
    /// Texts a component by text span, and texts an image by matching pursuit.
    pub texts: usize,
    /// Images that are coded one by one, at equal distances in the set; text span takes all.
    pub coded_images: usize,
    /// A text enters a sparse code when its product with what is left, both as lengths of the component's mean image, is
    /// above this: the lasso's alpha times the width. Higher uses fewer texts.
    pub penalty: f64,
}

impl Default for LabelOptions {
    fn default() -> Self {
        Self {
            texts: 3,
            coded_images: 200,
            penalty: 0.2,
        }
    }
}

/// What one way says of a component.
#[derive(Clone, Debug, PartialEq)]
pub struct TextLabel {
    /// The texts and what each counts, the first ones first: by text span the share of variance that it adds; by matching
    /// pursuit and sparse coding its share of the sum of absolute coefficients over images.
    pub texts: Vec<(String, f64)>,
    /// The share of the component's variance over images that they account for.
    pub explained: f64,
    /// Texts that one image's contribution is written with, on average: all of them by text span.
    pub per_image: f64,
}

/// The labels of one component.
#[derive(Clone, Debug)]
pub struct ComponentLabel {
    pub component: Component,
    pub name: String,
    /// Its share of the sum of all components' variances.
    pub variance_share: f64,
    /// Greedy text span ([`text_span`]), matching pursuit ([`matching_pursuit`]) and sparse non-negative coding
    /// ([`sparse_code`]); none where the component does not vary.
    pub ways: Option<[TextLabel; 3]>,
}

/// What the three ways are called.
pub(super) const WAYS: [&str; 3] = ["text span", "matching pursuit", "sparse non-negative code"];

/// The labels of all components of a model.
#[derive(Clone)]
pub struct ComponentLabels {
    pub components: Vec<ComponentLabel>,
    pub options: LabelOptions,
    pub(super) vocabulary: usize,
    pub(super) on: String,
}

/// Labels every component of `aligned` with words of `vocabulary` (in the 80 prompt templates) in three ways, which
/// answer two questions:
///
/// - **Text span** (Gandelsman, Efros, Steinhardt, ICLR 2024): which few texts span most of what the component does over
///   all images? The same few directions serve every image.
/// - **Matching pursuit and sparse non-negative coding** (the latter as SpLiCE, Bhalla et al., NeurIPS 2024): by which few
///   texts can the contribution to *each* image be written, as its difference from the mean? Every image has texts of its
///   own; those that count most over all images are the label. Texts are taken as differences from the mean of the
///   vocabulary, without what all texts have in common, and brought to unit length.
///
/// # Errors
/// A `clip` without text tower or other than the one aligned to, words it does not know, fewer than two images, more texts
/// than the vocabulary has, a penalty of 0 or less, or the call was stopped.
pub fn component_labels(
    clip: impl AsRef<Model>,
    aligned: impl AsRef<AlignedContributions>,
    vocabulary: &[impl AsRef<str>],
    options: &LabelOptions,
) -> Result<ComponentLabels> {
    let (clip, aligned) = (clip.as_ref(), aligned.as_ref());
    let doing = "labelling components";
    aligned.check_clip(doing, "texts", &ModelId::of(clip))?;
    check(vocabulary.len(), aligned.images(), options)?;
    let embeddings = session::class_embeddings(clip, vocabulary)?;
    let embeddings = embeddings
        .tensor()
        .to_device(&Device::Cpu)?
        .to_dtype(DType::F64)?;
    let differences = units(&embeddings.broadcast_sub(&embeddings.mean_keepdim(0)?)?)?;
    let names: Vec<&str> = vocabulary.iter().map(AsRef::as_ref).collect();
    let coder = Coder {
        names: &names,
        texts: embeddings,
        differences,
        options,
    };
    let coded = spaced(aligned.images(), options.coded_images);
    stop::begin();
    let mut progress = Progress::new("label components", aligned.len());
    let mut components = Vec::with_capacity(aligned.len());
    let mut variances = Vec::with_capacity(aligned.len());
    for (i, component) in aligned.components().iter().enumerate() {
        if stop::requested() {
            let what = "label components".to_string();
            let kept = format!("{i} of {} were done; call it again", aligned.len());
            return Err(Error::Interrupted { what, kept });
        }
        let (variance, ways) = coder
            .label(&aligned.values().get(i)?, &coded)
            .map_err(|e| {
                Error::data(
                    component.to_string(),
                    format!("it cannot be labelled ({e})"),
                )
            })?;
        variances.push(variance);
        components.push(ComponentLabel {
            component: *component,
            name: component.to_string(),
            variance_share: 0.0,
            ways,
        });
        progress.at(i + 1, "");
    }
    let whole: f64 = variances.iter().sum();
    for (label, variance) in components.iter_mut().zip(variances) {
        label.variance_share = if whole > 0.0 { variance / whole } else { 0.0 };
    }
    let on = match aligned.origin() {
        Some(origin) => format!(
            "{}, {}, n = {}",
            origin.model,
            origin.images.set,
            aligned.images()
        ),
        None => format!("n = {}", aligned.images()),
    };
    Ok(ComponentLabels {
        components,
        options: options.clone(),
        vocabulary: vocabulary.len(),
        on,
    })
}

fn check(vocabulary: usize, images: usize, options: &LabelOptions) -> Result<()> {
    let refuse =
        |name, value: String, expected: String| Err(Error::argument(name, value, expected));
    if vocabulary < 2 {
        let expected = "two texts or more, for there to be a choice: clip.vocabulary()? lists the embedded CLIP's words";
        return refuse("vocabulary", vocabulary.to_string(), expected.to_string());
    }
    let most = vocabulary.min(images);
    if options.texts == 0 || options.texts > most {
        let expected = format!("from 1 to {most}, the fewer of texts and images");
        return refuse("texts", options.texts.to_string(), expected);
    }
    if options.coded_images == 0 {
        return refuse(
            "coded_images",
            "0".to_string(),
            "one image or more".to_string(),
        );
    }
    match options.penalty > 0.0 && options.penalty.is_finite() {
        true => Ok(()),
        false => refuse(
            "penalty",
            options.penalty.to_string(),
            "a number above 0, such as 0.2".to_string(),
        ),
    }
}

/// `count` of `images` at equal distances.
fn spaced(images: usize, count: usize) -> Vec<u32> {
    let count = count.min(images);
    (0..count).map(|i| (i * images / count) as u32).collect()
}

/// Rows brought to unit length; a row of zeros stays.
fn units(rows: &Tensor) -> Result<Tensor> {
    let lengths = rows.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
    Ok(rows.broadcast_div(&lengths.maximum(1e-12)?)?)
}

struct Coder<'a> {
    names: &'a [&'a str],
    texts: Tensor,
    differences: Tensor,
    options: &'a LabelOptions,
}

impl Coder<'_> {
    /// The variance of a component's contributions (B x D) and its labels; no labels where it does not vary.
    fn label(&self, data: &Tensor, coded: &[u32]) -> Result<(f64, Option<[TextLabel; 3]>)> {
        let data = data.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
        let (images, width) = data.dims2()?;
        let centred = data.broadcast_sub(&data.mean_keepdim(0)?)?;
        let sum = |t: &Tensor| -> Result<f64> { Ok(t.sqr()?.sum_all()?.to_scalar::<f64>()?) };
        let (whole, variance) = (sum(&data)?, sum(&centred)? / images as f64);
        if variance * images as f64 <= 1e-10 * whole {
            return Ok((0.0, None));
        }
        // In units of the mean length, so that one penalty suits all components.
        let scaled = (centred / variance.sqrt())?;
        let scaled = scaled.index_select(&Tensor::new(coded, &Device::Cpu)?, 0)?;
        let span = text_span(&data, &self.texts, self.options.texts)?;
        let before = std::iter::once(0.0).chain(span.explained.iter().copied());
        let gains = span
            .explained
            .iter()
            .zip(before)
            .map(|(now, before)| now - before);
        let span = TextLabel {
            texts: span
                .picks
                .iter()
                .map(|p| self.names[*p].to_string())
                .zip(gains)
                .collect(),
            explained: span.explained.last().copied().unwrap_or(0.0),
            per_image: span.picks.len() as f64,
        };
        let pursuits = matching_pursuit(&scaled, &self.differences, self.options.texts)?;
        let pursuit = self.summed(pursuits.iter().map(|p| {
            let left = p.residuals.last().copied().unwrap_or(p.length);
            let coefficients = p.coefficients.last().cloned().unwrap_or_default();
            (
                p.picks.iter().copied().zip(coefficients).collect(),
                p.length,
                left,
            )
        }));
        let codes = sparse_code(
            &scaled,
            &self.differences,
            self.options.penalty / width as f64,
        )?;
        let code = self.summed(codes.iter().map(|c| (c.texts(), c.length, c.residual)));
        Ok((variance, Some([span, pursuit, code])))
    }

    /// The label that the codes of many images come to: each its texts with coefficients, the length of the image's vector
    /// and of what is left.
    fn summed(&self, codes: impl Iterator<Item = (Vec<(usize, f64)>, f64, f64)>) -> TextLabel {
        let mut weights = vec![0.0; self.names.len()];
        let (mut whole, mut left, mut used, mut images) = (0.0, 0.0, 0, 0);
        for (code, length, residual) in codes {
            whole += length * length;
            left += residual * residual;
            used += code.len();
            images += 1;
            code.iter().for_each(|(text, c)| weights[*text] += c.abs());
        }
        let sum: f64 = weights.iter().sum();
        let mut order: Vec<usize> = (0..weights.len()).filter(|i| weights[*i] > 0.0).collect();
        order.sort_by(|a, b| weights[*b].total_cmp(&weights[*a]));
        order.truncate(self.options.texts);
        TextLabel {
            texts: order
                .iter()
                .map(|i| (self.names[*i].to_string(), weights[*i] / sum))
                .collect(),
            explained: if whole > 0.0 { 1.0 - left / whole } else { 0.0 },
            per_image: f64::from(used as u32) / f64::from(images.max(1)),
        }
    }
}
