//! Tokens grouped into windows that attend each to itself.

use crate::ops::Slots;
use crate::ops::attention::Groups;
use candle_core::{Device, Result, Tensor};
use serde::{Deserialize, Serialize};

/// Which tokens of a `side` x `side` grid attend to each other, `window` x `window` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Division {
    /// Neighbours, in the grid rolled up and left by `shift` (Swin's cyclic shift, timm `window_partition`).
    Neighbours {
        side: usize,
        window: usize,
        shift: usize,
    },
    /// Tokens that lie `side / window` apart (timm `grid_partition`).
    Spread { side: usize, window: usize },
}

/// A division of a grid of tokens into W windows of N tokens each.
#[derive(Clone, Debug)]
pub struct Windows {
    division: Division,
    count: usize,
    /// Size and order, in the host's memory.
    groups: Groups,
    /// The order once more, on the device: the token at each place, window by window, and the place of each token; none
    /// when that is the same.
    order: Option<(Tensor, Tensor)>,
}

impl Windows {
    /// [`Division::Neighbours`].
    pub fn neighbours(side: usize, window: usize, shift: usize, device: &Device) -> Result<Self> {
        let division = Division::Neighbours {
            side,
            window,
            shift,
        };
        Self::of(division, device)
    }

    /// [`Division::Spread`].
    pub fn spread(side: usize, window: usize, device: &Device) -> Result<Self> {
        Self::of(Division::Spread { side, window }, device)
    }

    /// The windows of `division`.
    pub fn of(division: Division, device: &Device) -> Result<Self> {
        let (side, window) = match division {
            Division::Neighbours { side, window, .. } | Division::Spread { side, window } => {
                (side, window)
            }
        };
        let across = side / window;
        // The row (or column) of the grid that is row `i` of windows in row `a`.
        let at = |a: usize, i: usize| match division {
            Division::Neighbours { shift, .. } => (a * window + i + shift) % side,
            Division::Spread { .. } => i * across + a,
        };
        let mut order = Vec::with_capacity(side * side);
        for (a, b) in pairs(across) {
            for (i, j) in pairs(window) {
                order.push((at(a, i) * side + at(b, j)) as u32)
            }
        }
        let mut back = vec![0u32; order.len()];
        for (place, &token) in order.iter().enumerate() {
            back[token as usize] = place as u32
        }
        let size = window * window;
        let (groups, order) = match order.is_sorted() {
            true => (Groups { size, order: None }, None),
            false => {
                let on_device = (
                    Tensor::new(&order[..], device)?,
                    Tensor::new(&back[..], device)?,
                );
                let order = Some((order.into(), back.into()));
                (Groups { size, order }, Some(on_device))
            }
        };
        Ok(Self {
            division,
            count: across * across,
            groups,
            order,
        })
    }

    /// Which tokens attend to each other.
    pub fn division(&self) -> Division {
        self.division
    }

    /// Number of windows, W.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Tokens a window, N.
    pub fn size(&self) -> usize {
        self.groups.size
    }

    /// The windows as the attention kernel takes them.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// The slots of an image's tokens as those of the tokens of its windows.
    pub fn slots(&self, slots: &Slots) -> Result<Slots> {
        slots.in_kinds(
            self.size(),
            self.groups.order.as_ref().map(|(order, _)| &order[..]),
        )
    }

    /// B x T x C -> BW x N x C.
    pub fn split(&self, x: &Tensor) -> Result<Tensor> {
        let (b, _, c) = x.dims3()?;
        self.sorted(x, 1)?.reshape((b * self.count, self.size(), c))
    }

    /// BW x N x C -> B x T x C.
    pub fn join(&self, x: &Tensor) -> Result<Tensor> {
        let c = x.dim(2)?;
        let x = x.reshape(((), self.count * self.size(), c))?;
        match &self.order {
            Some((_, back)) => x.index_select(back, 1),
            None => Ok(x),
        }
    }

    /// The tokens along `axis` of `x` put window by window.
    pub fn sorted(&self, x: &Tensor, axis: usize) -> Result<Tensor> {
        match &self.order {
            Some((order, _)) => x.contiguous()?.index_select(order, axis),
            None => Ok(x.clone()),
        }
    }
}

fn pairs(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n * n).map(move |i| (i / n, i % n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_come_back_in_place() -> Result<()> {
        let cpu = &Device::Cpu;
        let x = Tensor::arange(0f32, 2. * 36. * 3., cpu)?.reshape((2, 36, 3))?;
        for windows in [
            Windows::neighbours(6, 3, 0, cpu)?,
            Windows::neighbours(6, 3, 1, cpu)?,
            Windows::neighbours(6, 6, 0, cpu)?,
            Windows::spread(6, 2, cpu)?,
        ] {
            let split = windows.split(&x)?;
            assert_eq!(split.dims(), [2 * windows.count(), windows.size(), 3]);
            let joined = windows.join(&split)?;
            assert_eq!(joined.to_vec3::<f32>()?, x.to_vec3::<f32>()?);
        }
        Ok(())
    }

    #[test]
    fn neighbours_and_spread_tokens() -> Result<()> {
        let cpu = &Device::Cpu;
        let x = Tensor::arange(0f32, 16., cpu)?.reshape((1, 16, 1))?;
        let first = |w: Windows| w.split(&x)?.get(0)?.flatten_all()?.to_vec1::<f32>();
        assert_eq!(first(Windows::neighbours(4, 2, 0, cpu)?)?, [0., 1., 4., 5.]);
        assert_eq!(
            first(Windows::neighbours(4, 2, 1, cpu)?)?,
            [5., 6., 9., 10.]
        );
        assert_eq!(first(Windows::spread(4, 2, cpu)?)?, [0., 2., 8., 10.]);
        Ok(())
    }
}
