//! Position embeddings on another grid (timm `resample_abs_pos_embed`, open_clip `resize_pos_embed`): bicubic,
//! antialiased, equal to PyTorch's `interpolate(mode="bicubic", antialias=True)`.

use super::Checkpoint;
use crate::Result;
use candle_core::{DType, Device, Tensor};

/// Keys' cubic convolution with a = -0.5, which PyTorch takes where it antialiases, as Pillow does.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    match x {
        x if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        _ => 0.0,
    }
}

/// `to` x `from` weights that resample `from` values to `to`. A smaller grid widens the filter.
fn weights(from: usize, to: usize) -> Vec<f32> {
    let scale = from as f64 / to as f64;
    let widened = scale.max(1.0);
    let support = 2.0 * widened;
    let mut all = vec![0f32; to * from];
    for (i, row) in all.chunks_mut(from).enumerate() {
        let center = scale * (i as f64 + 0.5);
        let start = (center - support + 0.5).max(0.0) as usize;
        let end = ((center + support + 0.5) as usize).min(from);
        let taps: Vec<_> = (start..end)
            .map(|j| cubic((j as f64 - center + 0.5) / widened))
            .collect();
        let sum: f64 = taps.iter().sum();
        for (weight, tap) in row[start..end].iter_mut().zip(taps) {
            *weight = (tap / sum) as f32
        }
    }
    all
}

/// Position embeddings, 1 x (prefix + n n) x C, for a grid of `side` x `side` patches. Those of the `prefix` tokens
/// stay as they are.
///
/// # Errors
/// When the tensor library fails.
pub fn positions(embedding: &Tensor, prefix: usize, side: usize) -> candle_core::Result<Tensor> {
    let (_, tokens, width) = embedding.dims3()?;
    let old = ((tokens - prefix) as f64).sqrt().round() as usize;
    let embedding = embedding.to_dtype(DType::F32)?;
    let patches = embedding.narrow(1, prefix, old * old)?;
    let map = Tensor::from_vec(weights(old, side), (side, old), &Device::Cpu)?;
    // Rows, then columns: each a matrix product from the left.
    let rows = map.matmul(&patches.reshape((old, old * width))?)?;
    let columns = rows
        .reshape((side, old, width))?
        .transpose(0, 1)?
        .contiguous()?;
    let both = map.matmul(&columns.reshape((old, side * width))?)?;
    let both = both
        .reshape((side, side, width))?
        .transpose(0, 1)?
        .contiguous()?;
    let both = both.reshape((1, side * side, width))?;
    Tensor::cat(&[embedding.narrow(1, 0, prefix)?, both], 1)
}

impl Checkpoint {
    /// With the position embeddings `key` for a grid of `side` x `side` patches behind `prefix` tokens. What is no
    /// square grid stays as it is, to be listed as mis-shaped.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn with_positions(self, key: &str, prefix: usize, side: usize) -> Result<Self> {
        let Some(&[1, tokens, _]) = self.shape(key) else {
            return Ok(self);
        };
        let patches = tokens.saturating_sub(prefix);
        let old = (patches as f64).sqrt().round() as usize;
        if patches == 0 || old * old != patches || old == side || side == 0 {
            return Ok(self);
        }
        let embedding = positions(self.tensor(key)?, prefix, side)?;
        Ok(self.with(key, embedding))
    }
}
