//! Position embeddings to start from: sines and cosines of the patch's row and column ("An Image is
//! Worth 16x16 Words" learns them from nothing, which takes more images than are seen here).

use crate::Result;
use crate::models::ImageEncoder;
use crate::models::weights::Parameters;
use candle_core::{Device, Tensor};

/// The longest wave is this many times the shortest, which is 2 pi patches.
const SPREAD: f32 = 20.;

/// As loud as the patches' own embeddings, about.
const AMPLITUDE: f32 = 0.5;

/// Sets the parameter `name` (1 x tokens x width) at the patches of `model`; other tokens keep theirs.
pub(super) fn set(parameters: &Parameters, name: &str, model: &dyn ImageEncoder) -> Result<()> {
    let Some(var) = parameters.variables().get(name).cloned() else {
        return Ok(());
    };
    let (_, tokens, width) = var.dims3()?;
    let (grid, _) = model.token_grid();
    let patches = Tensor::from_vec(waves(grid, width), (1, grid * grid, width), &Device::Cpu)?;
    let others = var.as_tensor().narrow(1, 0, tokens - grid * grid)?;
    Ok(var.set(&Tensor::cat(&[&others, &patches], 1)?)?)
}

/// `grid * grid` rows of `width`: sine and cosine of the row, sine and cosine of the column.
fn waves(grid: usize, width: usize) -> Vec<f32> {
    let quarter = (width / 4).max(1);
    let value = |patch: usize, channel: usize| {
        let at = [patch / grid, patch % grid][channel / (2 * quarter) % 2] as f32;
        let angle = at / SPREAD.powf((channel % quarter) as f32 / quarter as f32);
        let wave = if channel / quarter % 2 == 0 {
            angle.sin()
        } else {
            angle.cos()
        };
        AMPLITUDE * wave
    };
    (0..grid * grid)
        .flat_map(|patch| (0..width).map(move |channel| value(patch, channel)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::waves;

    #[test]
    fn every_patch_has_a_position_of_its_own_and_near_ones_are_alike() {
        let (grid, width) = (6, 96);
        let rows: Vec<_> = waves(grid, width)
            .chunks(width)
            .map(<[f32]>::to_vec)
            .collect();
        let distance = |a: usize, b: usize| -> f32 {
            rows[a]
                .iter()
                .zip(&rows[b])
                .map(|(a, b)| (a - b).powi(2))
                .sum::<f32>()
                .sqrt()
        };
        for a in 0..grid * grid {
            for b in (0..grid * grid).filter(|&b| b != a) {
                assert!(distance(a, b) > 0.5, "{a} {b}: {}", distance(a, b));
            }
        }
        assert!(distance(0, 1) < distance(0, 3));
        assert!((distance(0, 1) - distance(0, grid)).abs() < 1e-4);
    }
}
