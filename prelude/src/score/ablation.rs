//! Switching components off by their mean: z' = z - sum over S of (c_i - mean_i), the means taken on a reference
//! set (section 5.3 of the paper).
//!
//! **Norms stay frozen.** A contribution is what a component adds to the representation with the attention of later
//! blocks, their MLPs and the statistics of all norms as they were in the undisturbed pass. Taking it off leaves all
//! these as they were: the *direct* effect of the component, the paper's. In a real forward pass with the component's
//! output replaced, later blocks read a changed stream and the norms divide by another deviation.
//! Measured on the embedded ViT and CLIP (`tests/frozen.rs`), as the length of the difference over that of the real
//! change: for heads of the last block, after which only that block's MLP and the final norm come, mean-ablation with
//! frozen norms is 45 to 65 % off what a forward pass with the mean in place gives; zero-ablation is 45 to 60 % off in
//! the last block, about 70 % in the one before, and 100 % in the first ones, where nearly all of a head's effect goes
//! through later blocks. What is switched off here is what a component *says itself*; whoever wants to know what the
//! model does without it must run the model without it.
//!
//! A linear head makes this cheap: its logits are a sum over components too, so each component's share is computed
//! once, and any set of components costs additions of B x C numbers.

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::LinearHead;
use super::moments::Spread;
use crate::check;
use crate::decompose::part::rows;
use crate::decompose::{ImageChunks, each_block};
use crate::{Error, Result};

/// The mean over images of each component (n x d) of the reference set `contributions` (n x B x d), summed in f64.
///
/// # Errors
/// Another shape or no images, NaN or infinity.
pub fn component_means<C: ImageChunks + ?Sized>(contributions: &C) -> Result<Tensor> {
    let (n, _, d) = contributions.extent("contributions")?;
    let mut spread = Spread::new(n, d);
    let mut device = Device::Cpu;
    each_block(contributions, |_, block| {
        device = block.device().clone();
        spread.merge(&Spread::of(block)?);
        Ok(())
    })?;
    check::finite_sum("contributions", spread.mean.iter().sum())?;
    let means: Vec<f32> = spread.mean.into_iter().map(|mean| mean as f32).collect();
    Ok(Tensor::from_vec(means, (n, d), &device)?)
}

/// Representations (B x d) of `contributions` (n x B x d) with the components in `set` replaced by their `means`
/// (n x d), everything else as it was (norms stay frozen). A component named twice is switched off once.
///
/// # Errors
/// Shapes that do not fit, NaN or infinity, a component that is not there; one image that the means were taken of.
pub fn ablate<C: ImageChunks + ?Sized>(
    contributions: &C,
    means: &Tensor,
    set: &[usize],
) -> Result<Tensor> {
    let (n, images, _) = contributions.extent("contributions")?;
    let means = checked_means(contributions, means)?;
    let set = distinct(set, n)?;
    let mut representations = Vec::new();
    contributions.each(&mut |_, chunk| {
        check::finite("contributions", chunk)?;
        let chunk = check::f32(chunk)?;
        if images == 1 {
            let apart = chunk.broadcast_sub(&means.unsqueeze(1)?)?;
            if apart.abs()?.max_all()?.to_scalar::<f32>()? == 0.0 {
                return Err(nothing_to_take_off(1));
            }
        }
        let mut z = chunk.sum(0)?;
        for &i in &set {
            z = (z - chunk.get(i)?.broadcast_sub(&means.get(i)?)?)?;
        }
        representations.push(z);
        Ok(())
    })?;
    Ok(Tensor::cat(&representations, 0)?)
}

/// Means that belong to these contributions, as f32.
pub(super) fn checked_means<C: ImageChunks + ?Sized>(
    contributions: &C,
    means: &Tensor,
) -> Result<Tensor> {
    let (n, _, d) = contributions.extent("contributions")?;
    let (rows, width) = check::matrix("means", means)?;
    check::same("means", rows, n, "components")?;
    check::same("means", width, d, "channels")?;
    check::finite("means", means)?;
    check::f32(means)
}

/// Whether a component of a block, n x b x d, differs from its mean in an image.
pub(super) fn differs(block: &Tensor, means: &Tensor) -> Result<bool> {
    for i in 0..block.dim(0)? {
        let apart = check::f32(&block.get(i)?)?.broadcast_sub(&means.get(i)?)?;
        if apart.abs()?.max_all()?.to_scalar::<f32>()? > 0.0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The error for contributions that are their own means, as with means of one image taken off that image.
pub(super) fn nothing_to_take_off(images: usize) -> Error {
    Error::argument(
        "means",
        format!("equal to the contributions of all {images} images"),
        "means over a set whose images differ, such as the training set: switching a component off would change nothing",
    )
}

/// The components of `set`, each once.
pub(super) fn distinct(set: &[usize], n: usize) -> Result<Vec<usize>> {
    if let Some(i) = set.iter().find(|i| **i >= n) {
        return Err(Error::argument(
            "component",
            i,
            format!("below {n}, the number of components"),
        ));
    }
    let mut set = set.to_vec();
    set.sort_unstable();
    set.dedup();
    Ok(set)
}

/// A head's logits on one set of images, ready to be taken apart. Norms, attention and later blocks stay as they were in
/// the undisturbed pass: what a real forward pass would give differs, by about half of the change for heads of the last
/// block and by all of it for the first.
#[derive(Clone)]
pub struct Ablation {
    images: usize,
    classes: usize,
    /// B x C of the whole representation.
    logits: Vec<f64>,
    /// For each component, B x C: what switching it off takes away.
    shares: Vec<Vec<f64>>,
}

impl Ablation {
    /// `contributions` n x B x d of the images to classify, `means` n x d (of [`component_means`], commonly of a
    /// training set) and the head. Every component's share of every logit is kept, n x B x C in f64; where that is too
    /// much, [`StreamedAblation`](super::StreamedAblation) keeps none.
    ///
    /// # Errors
    /// Shapes that do not fit, a head for another width or of one class, NaN or infinity; contributions none of which
    /// differs from its mean, of which there is nothing to switch off.
    pub fn new<C: ImageChunks + ?Sized>(
        contributions: &C,
        means: &Tensor,
        head: &LinearHead,
    ) -> Result<Self> {
        let (n, images, d) = contributions.extent("contributions")?;
        let means = checked_means(contributions, means)?;
        head.check_width("contributions", d)?;
        head.check_choice()?;
        let mut all = Self::of_no_images(n, head.classes());
        each_block(contributions, |_, block| {
            let block = Self::of_block(block, &means, head, |_| true)?;
            all.images += block.images;
            all.logits.extend(block.logits);
            let both = all.shares.iter_mut().zip(block.shares);
            both.for_each(|(all, block)| all.extend(block));
            Ok(())
        })?;
        match all.changes_nothing() {
            true => Err(nothing_to_take_off(images)),
            false => Ok(all),
        }
    }

    fn of_no_images(components: usize, classes: usize) -> Self {
        Self {
            images: 0,
            classes,
            logits: Vec::new(),
            shares: vec![Vec::new(); components],
        }
    }

    /// Of one block, n x b x d, with `means` that were checked; only the components that are `wanted` can be switched off.
    pub(super) fn of_block(
        block: &Tensor,
        means: &Tensor,
        head: &LinearHead,
        wanted: impl Fn(usize) -> bool,
    ) -> Result<Self> {
        let (n, images, _) = block.dims3()?;
        check::finite("contributions", block)?;
        let block = check::f32(block)?;
        // Of all that are wanted in one product, as the rows of one image set after the other.
        let places: Vec<usize> = (0..n).filter(|i| wanted(*i)).collect();
        let mut shares = vec![Vec::new(); n];
        if !places.is_empty() {
            let means = rows(means, 0, &places)?.unsqueeze(1)?;
            let apart = rows(&block, 0, &places)?.broadcast_sub(&means)?;
            let apart = apart.reshape(((), apart.dim(2)?))?;
            let found = apart.matmul(&head.weight().t()?)?.flatten_all()?;
            let found = found.to_vec1::<f32>()?;
            for (i, share) in places
                .iter()
                .zip(found.chunks_exact(images * head.classes()))
            {
                shares[*i] = share.iter().copied().map(f64::from).collect();
            }
        }
        let sums = shares.iter().flatten().sum::<f64>();
        check::finite_sum("contributions", sums)?;
        let logits = head.logits(&block.sum(0)?)?.flatten_all()?;
        let logits = logits.to_vec1::<f32>()?;
        Ok(Self {
            images,
            classes: head.classes(),
            logits: logits.into_iter().map(f64::from).collect(),
            shares,
        })
    }

    /// Whether no component differs from its mean.
    pub(super) fn changes_nothing(&self) -> bool {
        self.shares.iter().flatten().all(|share| *share == 0.0)
    }

    /// Number of components.
    pub fn components(&self) -> usize {
        self.shares.len()
    }

    /// Number of classes of the head.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.images
    }

    /// Predicted classes with the components of `set` switched off.
    pub fn predict(&self, set: &[usize]) -> Result<Vec<usize>> {
        let mut logits = self.logits.clone();
        for i in distinct(set, self.components())? {
            self.switch_off(i, &mut logits);
        }
        Ok(self.best(&logits))
    }

    /// Predicted classes with none, the first, the first two, ... of `order` switched off: `order.len() + 1`
    /// answers at the cost of one pass.
    ///
    /// # Errors
    /// A component that is not there or is named twice.
    pub fn predict_prefixes(&self, order: &[usize]) -> Result<Vec<Vec<usize>>> {
        if distinct(order, self.components())?.len() < order.len() {
            return Err(Error::argument(
                "order",
                format!("{order:?}"),
                "each component at most once",
            ));
        }
        self.prefixes(order, self.logits.clone())
    }

    /// Predicted classes with each of `sets` switched off, one answer a set.
    ///
    /// # Errors
    /// A component that is not there.
    pub fn predict_sets(&self, sets: &[Vec<usize>]) -> Result<Vec<Vec<usize>>> {
        sets.iter().map(|set| self.predict(set)).collect()
    }

    /// [`Self::predict_prefixes`], with every component scaled by its weight beforehand ([`Self::predict_scaled`]), that of those in `order`
    /// being 1.
    pub(super) fn predict_prefixes_of(
        &self,
        order: &[usize],
        weights: &[f64],
    ) -> Result<Vec<Vec<usize>>> {
        self.prefixes(order, self.scaled(weights)?)
    }

    fn prefixes(&self, order: &[usize], mut logits: Vec<f64>) -> Result<Vec<Vec<usize>>> {
        let mut answers = vec![self.best(&logits)];
        for &i in order {
            self.switch_off(i, &mut logits);
            answers.push(self.best(&logits));
        }
        Ok(answers)
    }

    /// Predicted classes with each component i scaled by `weights[i]` about its mean: z' = z + sum (w_i - 1)(c_i -
    /// mean_i). A weight of 0 switches a component off, 1 leaves it as it is, more strengthens it.
    ///
    /// # Errors
    /// Another number of weights than of components, a weight that is negative or not finite.
    pub fn predict_scaled(&self, weights: &[f64]) -> Result<Vec<usize>> {
        Ok(self.best(&self.scaled(weights)?))
    }

    /// The logits with each component scaled about its mean.
    fn scaled(&self, weights: &[f64]) -> Result<Vec<f64>> {
        check::same("weights", weights.len(), self.components(), "components")?;
        if let Some(weight) = weights.iter().find(|w| !(w.is_finite() && **w >= 0.0)) {
            let expected = "0 (the component's mean in its place), 1 (as it is), or another factor that is not negative";
            return Err(Error::argument("weights", weight, expected));
        }
        let mut logits = self.logits.clone();
        for (share, weight) in self.shares.iter().zip(weights) {
            if *weight != 1.0 {
                let change = weight - 1.0;
                logits
                    .iter_mut()
                    .zip(share)
                    .for_each(|(l, s)| *l += change * s);
            }
        }
        Ok(logits)
    }

    /// B x C in row order: the logits of the whole representation.
    pub(super) fn logits(&self) -> &[f64] {
        &self.logits
    }

    /// For each component B x C in row order: what switching it off takes from the logits.
    pub(super) fn shares(&self) -> &[Vec<f64>] {
        &self.shares
    }

    fn switch_off(&self, component: usize, logits: &mut [f64]) {
        logits
            .iter_mut()
            .zip(&self.shares[component])
            .for_each(|(l, s)| *l -= s);
    }

    fn best(&self, logits: &[f64]) -> Vec<usize> {
        logits
            .par_chunks_exact(self.classes)
            .map(|row| {
                let better = |best: usize, c: usize| if row[c] > row[best] { c } else { best };
                (0..row.len()).fold(0, better)
            })
            .collect()
    }
}
