use crate::trace::Windows;
use candle_core::{Device, Result, Tensor};
use candle_nn::{Init, VarBuilder};
use std::sync::OnceLock;

/// A learned bias of the attention logits for each offset between two tokens of a window.
#[derive(Clone, Debug)]
pub struct RelativePosition {
    /// H x offsets, or offsets x H.
    table: Tensor,
    /// N N: the offset of each pair of tokens, as a place in the table.
    index: Tensor,
    offsets_first: bool,
    heads: usize,
    window: usize,
    /// The bias, once it was asked for.
    made: OnceLock<Tensor>,
}

impl RelativePosition {
    /// Swin's `relative_position_bias_table`: offsets x H, an offset being query less key (timm
    /// `gen_relative_position_index`).
    pub fn swin(vb: VarBuilder, window: usize, heads: usize) -> Result<Self> {
        let offsets = offsets(window);
        let table = table(&vb, (offsets * offsets, heads))?;
        let index = index(window, vb.device(), |query, key| query + window - 1 - key)?;
        Ok(Self {
            table,
            index,
            offsets_first: true,
            heads,
            window,
            made: OnceLock::new(),
        })
    }

    /// MaxViT's `relative_position_bias_table` as TensorFlow has it: H x rows x columns of offsets, an offset being
    /// key less query (timm `RelPosBiasTf`).
    pub fn tensorflow(vb: VarBuilder, window: usize, heads: usize) -> Result<Self> {
        let offsets = offsets(window);
        let table = table(&vb, (heads, offsets, offsets))?.flatten_from(1)?;
        let index = index(window, vb.device(), |query, key| key + window - 1 - query)?;
        Ok(Self {
            table,
            index,
            offsets_first: false,
            heads,
            window,
            made: OnceLock::new(),
        })
    }

    /// H x N x N, N the tokens of a window. Made once, unless the table is a variable, which may change.
    pub fn bias(&self) -> Result<Tensor> {
        if let Some(bias) = self.made.get() {
            return Ok(bias.clone());
        }
        let bias = self.gathered()?;
        if !bias.track_op() {
            // Another thread may have been first, with the same values.
            let _ = self.made.set(bias.clone());
        }
        Ok(bias)
    }

    fn gathered(&self) -> Result<Tensor> {
        let n = self.window * self.window;
        if !self.offsets_first {
            let bias = self.table.index_select(&self.index, 1)?;
            return bias.reshape((self.heads, n, n));
        }
        let bias = self.table.index_select(&self.index, 0)?;
        bias.reshape((n, n, self.heads))?
            .permute((2, 0, 1))?
            .contiguous()
    }
}

/// Offsets along a side of a window.
fn offsets(window: usize) -> usize {
    2 * window - 1
}

fn table(vb: &VarBuilder, shape: impl Into<candle_core::Shape>) -> Result<Tensor> {
    let init = Init::Randn {
        mean: 0.0,
        stdev: 0.02,
    };
    vb.get_with_hints(shape, "relative_position_bias_table", init)
}

fn index(window: usize, device: &Device, offset: impl Fn(usize, usize) -> usize) -> Result<Tensor> {
    let n = window * window;
    let places: Vec<_> = (0..n * n)
        .map(|pair| {
            let (query, key) = (pair / n, pair % n);
            let rows = offset(query / window, key / window);
            let columns = offset(query % window, key % window);
            (rows * offsets(window) + columns) as u32
        })
        .collect();
    Tensor::new(places, device)
}

/// What keeps tokens apart that only the cyclic shift has made neighbours: W x N x N, 0 or -100 (timm
/// `get_attn_mask`).
pub fn shift_mask(windows: &Windows, side: usize, window: usize, shift: usize) -> Result<Tensor> {
    // Rows of the shifted grid that were neighbours before: all but the last window's, and that one's two parts.
    let region = |at: usize| usize::from(at >= side - window) + usize::from(at >= side - shift);
    let across = side / window;
    let (count, n) = (windows.count(), windows.size());
    let place = |w: usize, i: usize| {
        let row = w / across * window + i / window;
        let column = w % across * window + i % window;
        (region(row), region(column))
    };
    let mask: Vec<f32> = (0..count * n * n)
        .map(|at| {
            let (w, i, j) = (at / (n * n), at / n % n, at % n);
            match place(w, i) == place(w, j) {
                true => 0.0,
                false => -100.0,
            }
        })
        .collect();
    Tensor::from_vec(mask, (count, n, n), &Device::Cpu)
}
