//! How much of a zero-shot classification the texts of heads account for (Gandelsman, Efros, Steinhardt, ICLR 2024, section
//! 4, and `compute_complete_text_set.py`).

use crate::align::AlignedContributions;
use crate::decompose::same_images;
use crate::experiments::ClassificationTask;
use crate::experiments::classification::{Head, Reader};
use crate::experiments::spurious::Classifier;
use crate::identity::{ImagesId, ModelId};
use crate::models::Model;
use crate::process::{progress::Progress, stop};
use crate::score::{LinearHead, Rebuild, rebuild_from_texts};
use crate::session;
use crate::trace::Block;
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// The published number of singular vectors that texts are projected on.
const RANK: usize = 80;

/// Settings of [`text_completeness`]; the defaults are the published ones.
#[derive(Clone, Debug)]
pub struct CompletenessOptions {
    /// Attention layers whose heads are rebuilt from texts, counted from the output; heads of earlier ones are at their mean.
    pub last_layers: usize,
    /// Texts a head.
    pub texts: usize,
    /// Texts are first projected on so many right singular vectors of a head's data; 80, or as many as there are, if not
    /// said.
    pub rank: Option<usize>,
    /// Seed of the random directions that stand beside the texts.
    pub seed: u64,
}

impl Default for CompletenessOptions {
    fn default() -> Self {
        Self {
            last_layers: 4,
            texts: 20,
            rank: None,
            seed: 0,
        }
    }
}

/// The accuracy of one way to put representations together.
#[derive(Clone, Debug, PartialEq)]
pub struct CompletenessRow {
    /// What heads of the last layers are.
    pub heads: String,
    /// What MLPs, convolutions and what is before the first block are.
    pub rest: String,
    pub correct: usize,
}

/// The zero-shot accuracy of text-reconstructed representations beside the full and the mean-ablated ones.
#[derive(Clone)]
pub struct TextCompleteness {
    pub rows: Vec<CompletenessRow>,
    pub images: usize,
    /// The share of the most frequent class.
    pub majority: f64,
    /// Heads rebuilt from texts, and different texts of them all.
    pub heads: usize,
    pub distinct_texts: usize,
    /// Texts to choose from.
    pub vocabulary: usize,
    pub options: CompletenessOptions,
    pub(super) on: String,
}

/// Rebuilds the heads of the last layers of `aligned` from words of `vocabulary` (in the 80 prompt templates), puts heads
/// of earlier layers at their means, and classifies the sums for `task` by its classes' texts: for any model, in the space
/// of the `clip` it is aligned to. Beside it stand all components as they are, the same heads at their mean, and as many
/// random directions in place of the texts.
///
/// The task's tested images are those that `aligned` is of. Texts are picked and means taken on them without their labels.
///
/// # Errors
/// When `aligned` is a part of the components, of other images or of another CLIP, has no heads, or a number is
/// outside what there is; or the call was stopped.
pub fn text_completeness(
    clip: impl AsRef<Model>,
    aligned: impl AsRef<AlignedContributions>,
    task: &ClassificationTask,
    vocabulary: &[impl AsRef<str>],
    options: &CompletenessOptions,
) -> Result<TextCompleteness> {
    let (clip, aligned) = (clip.as_ref(), aligned.as_ref());
    let doing = "rebuilding from texts";
    aligned.check_clip(doing, "texts", &ModelId::of(clip))?;
    aligned.check_whole(doing, "the whole decomposition")?;
    let (own, tested) = (
        aligned.origin().map(|o| &o.images),
        ImagesId::of(task.tested()),
    );
    let remedy = "decompose the images that the task is tested on";
    let sides = (
        ("the contributions", own),
        ("the tested images", Some(&tested)),
    );
    same_images(doing, sides.0, sides.1, remedy)?;
    let reader = task.reader(clip, Classifier::ZeroShot)?;
    let last = last_heads(aligned, options.last_layers)?;
    let texts = session::class_embeddings(clip, vocabulary)?
        .tensor()
        .to_device(&Device::Cpu)?;
    let (m, width) = texts.dims2()?;
    let rank = options
        .rank
        .unwrap_or(RANK.min(width).min(aligned.images()));
    let random = random_directions(m, width, options.seed)?;
    let whole = Parts::of(aligned, &last)?;
    let mut rebuilt = Vec::new();
    let mut distinct = Vec::new();
    for (candidates, what) in [(&texts, "texts"), (&random, "random directions")] {
        let (sum, picks) = rebuild(aligned, &last, candidates, what, options.texts, rank)?;
        rebuilt.push(sum);
        distinct.push(picks);
    }
    let count = |z: Tensor| correct(&reader, &z);
    let row = |heads: &str, rest: &str, z: Tensor| -> Result<CompletenessRow> {
        Ok(CompletenessRow {
            heads: heads.to_string(),
            rest: rest.to_string(),
            correct: count(z)?,
        })
    };
    let (from_texts, from_random) = ("from texts", "from random directions");
    let (kept, mean) = ("as they are", "at their mean");
    let mut rows = vec![row(
        kept,
        "and earlier heads as they are",
        whole.all.clone(),
    )?];
    for (rest, others) in [(kept, &whole.rest), (mean, &whole.rest_mean)] {
        let early = others.broadcast_add(&whole.early_mean)?;
        rows.push(row(kept, rest, (&early + &whole.last)?)?);
        rows.push(row(from_texts, rest, (&early + &rebuilt[0])?)?);
        rows.push(row(from_random, rest, (&early + &rebuilt[1])?)?);
        rows.push(row(mean, rest, early.broadcast_add(&whole.last_mean)?)?);
    }
    let model = aligned
        .origin()
        .map_or("unknown".to_string(), |o| o.model.name.clone());
    Ok(TextCompleteness {
        rows,
        images: aligned.images(),
        majority: task.majority(),
        heads: last.len(),
        distinct_texts: distinct[0],
        vocabulary: m,
        options: options.clone(),
        on: format!(
            "{model} by {}: {}, {}, n = {}",
            clip.name(),
            task.column(),
            task.tested().name(),
            aligned.images()
        ),
    })
}

/// Sums over kinds of components, each B x D or 1 x D, in f32 on the CPU.
struct Parts {
    all: Tensor,
    /// Everything but heads, and its mean over images, repeated for each image.
    rest: Tensor,
    rest_mean: Tensor,
    /// Means of heads before the last layers.
    early_mean: Tensor,
    /// Heads of the last layers, and their mean.
    last: Tensor,
    last_mean: Tensor,
}

impl Parts {
    fn of(aligned: &AlignedContributions, last: &[usize]) -> Result<Self> {
        let (_, images, width) = aligned.values().dims3()?;
        let zeros = || Tensor::zeros((images, width), DType::F64, &Device::Cpu);
        let (mut rest, mut early, mut of_last) = (zeros()?, zeros()?, zeros()?);
        for (i, component) in aligned.components().iter().enumerate() {
            let own = aligned
                .values()
                .get(i)?
                .to_device(&Device::Cpu)?
                .to_dtype(DType::F64)?;
            let sum = match (last.contains(&i), component.is_head()) {
                (true, _) => &mut of_last,
                (false, true) => &mut early,
                (false, false) => &mut rest,
            };
            *sum = (&*sum + own)?;
        }
        let f32 = |t: Tensor| t.to_dtype(DType::F32);
        let mean = |t: &Tensor| f32(t.mean_keepdim(0)?);
        let all = f32(((&rest + &early)? + &of_last)?)?;
        Ok(Self {
            all,
            rest_mean: mean(&rest)?.broadcast_as((images, width))?.contiguous()?,
            early_mean: mean(&early)?,
            last_mean: mean(&of_last)?,
            rest: f32(rest)?,
            last: f32(of_last)?,
        })
    }
}

/// The places of the heads of the last `layers` attention layers.
fn last_heads(aligned: &AlignedContributions, layers: usize) -> Result<Vec<usize>> {
    let heads: Vec<(usize, Block)> = (aligned.components().iter().enumerate())
        .filter(|(_, component)| component.is_head())
        .filter_map(|(i, component)| Some((i, component.block()?)))
        .collect();
    let mut blocks: Vec<Block> = heads.iter().map(|(_, block)| *block).collect();
    blocks.dedup();
    if blocks.is_empty() {
        let expected = "heads among them: decompose with Granularity::Heads";
        return Err(Error::argument("components", "no head", expected));
    }
    if layers == 0 || layers > blocks.len() {
        let expected = format!("from 1 to {}, the number of attention layers", blocks.len());
        return Err(Error::argument("last_layers", layers, expected));
    }
    let last = &blocks[blocks.len() - layers..];
    let chosen = heads.iter().filter(|(_, block)| last.contains(block));
    Ok(chosen.map(|(i, _)| *i).collect())
}

/// The sum of the `heads` rebuilt from `count` of `texts` each, B x D, and how many different texts that took.
fn rebuild(
    aligned: &AlignedContributions,
    heads: &[usize],
    texts: &Tensor,
    what: &str,
    count: usize,
    rank: usize,
) -> Result<(Tensor, usize)> {
    stop::begin();
    let label = format!("rebuild heads from {what}");
    let mut progress = Progress::new(label.as_str(), heads.len());
    let mut sum: Option<Tensor> = None;
    let mut picks = Vec::new();
    for (done, &i) in heads.iter().enumerate() {
        if stop::requested() {
            let kept = format!("{done} of {} heads were done; call it again", heads.len());
            return Err(Error::Interrupted { what: label, kept });
        }
        let own = aligned
            .values()
            .get(i)?
            .unsqueeze(0)?
            .to_device(&Device::Cpu)?;
        let rebuilt = rebuild_from_texts(&own, &[Rebuild::FromTexts], texts, count, rank)?;
        let part = rebuilt.representation;
        picks.extend(rebuilt.picks.into_iter().flat_map(|(_, picks)| picks));
        sum = Some(match sum {
            Some(sum) => (sum + part)?,
            None => part,
        });
        progress.at(done + 1, "");
    }
    picks.sort_unstable();
    picks.dedup();
    let sum = sum.ok_or_else(|| Error::argument("heads", 0, "one head or more"))?;
    Ok((sum, picks.len()))
}

/// Directions of unit length that nothing chose, m x width.
fn random_directions(m: usize, width: usize, seed: u64) -> Result<Tensor> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f32> = (0..m * width)
        .map(|_| {
            let value: f32 = StandardNormal.sample(&mut rng);
            value
        })
        .collect();
    let rows = Tensor::from_vec(values, (m, width), &Device::Cpu)?;
    let lengths = rows.sqr()?.sum_keepdim(1)?.sqrt()?;
    Ok(rows.broadcast_div(&lengths)?)
}

/// Images whose nearest class is their label.
fn correct(reader: &Reader, z: &Tensor) -> Result<usize> {
    let Head::Linear(head) = &reader.head else {
        return Err(Error::argument(
            "classifier",
            "not linear",
            "Classifier::ZeroShot",
        ));
    };
    let head = LinearHead::new(
        head.weight().to_device(&Device::Cpu)?,
        head.bias().to_device(&Device::Cpu)?,
    )?;
    let predicted = head.predict(z)?;
    Ok(predicted
        .iter()
        .zip(&reader.labels)
        .filter(|(p, l)| p == l)
        .count())
}
