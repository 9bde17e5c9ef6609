//! Source tokens taken apart into what a model fixes and what each image has, as a store keeps them.

use super::{TokenContributions, TokenFactors, TokenLayer};
use crate::data::ModelInput;
use crate::decompose::channel_map::{ChannelMap, MapStep, MapSteps};
use crate::trace::{Block, Division, Site, Windows};
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What source tokens are, but for the values of the images and the arrays of the channel maps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TokenShape {
    /// In the order of the blocks.
    pub layers: Vec<LayerShape>,
    steps: Vec<MapStep>,
    /// The shapes of the steps' arrays.
    pub arrays: Vec<Vec<usize>>,
    width: usize,
    before: Vec<String>,
    input: Option<ModelInput>,
}

/// One attention layer: W windows (1 where there are none) of N tokens, H heads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LayerShape {
    pub block: Block,
    division: Option<Division>,
    pub windows: usize,
    pub heads: usize,
    /// K: rows that a token's products are put into (as many as patch merging put side by side later on).
    pub rows: usize,
    /// N.
    pub tokens: usize,
    /// C/H.
    pub channels: usize,
    /// Whether each head has a share of the constants.
    pub shared: bool,
    /// The place of the channel map's first step; none for the identity.
    map: Option<usize>,
}

/// The values of one layer for B images.
pub(crate) struct LayerValues {
    /// B x W x H x K x N.
    pub weights: Tensor,
    /// B x W x H x N x C/H.
    pub values: Tensor,
    /// B x d.
    pub share: Option<Tensor>,
}

impl LayerShape {
    /// The sizes of one image's weights.
    pub fn weights(&self) -> [usize; 4] {
        [self.windows, self.heads, self.rows, self.tokens]
    }

    /// The sizes of one image's value vectors.
    pub fn values(&self) -> [usize; 4] {
        [self.windows, self.heads, self.tokens, self.channels]
    }
}

impl TokenShape {
    /// Numbers that one image has.
    pub fn numbers(&self) -> usize {
        let of = |layer: &LayerShape| {
            let sizes = [layer.weights(), layer.values()];
            let products: usize = sizes
                .map(|sizes| sizes.iter().product::<usize>())
                .iter()
                .sum();
            products + if layer.shared { self.width } else { 0 }
        };
        self.layers.iter().map(of).sum()
    }

    /// Channels of a contribution.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The channel maps, of arrays that are shaped as [`Self::arrays`] says; one for each step.
    ///
    /// # Errors
    /// When the steps do not agree with the arrays or with each other.
    pub fn maps(&self, arrays: &[Tensor]) -> Result<Vec<ChannelMap>> {
        MapStep::maps(&self.steps, arrays)
    }

    /// The source tokens of some layers, given by their places with what the images have.
    ///
    /// # Errors
    /// When a layer's values do not have its shape.
    pub fn put_together(
        &self,
        maps: &[ChannelMap],
        layers: Vec<(usize, LayerValues)>,
    ) -> Result<TokenContributions> {
        let layers = layers.into_iter().map(|(place, values)| {
            let shape = &self.layers[place];
            let map = match shape.map {
                None => ChannelMap::default(),
                Some(step) => maps.get(step).cloned().ok_or_else(|| {
                    Error::trace(format!("no step {step} among the channel maps"))
                })?,
            };
            let windows = match shape.division {
                Some(division) => Some(Arc::new(Windows::of(division, &Device::Cpu)?)),
                None => None,
            };
            Ok(TokenLayer::from(TokenFactors {
                site: Site::attention(shape.block),
                weights: values.weights.flatten(0, 1)?,
                v: values.values.flatten(0, 1)?,
                windows,
                map,
                share: values.share,
            }))
        });
        Ok(TokenContributions {
            layers: layers.collect::<Result<_>>()?,
            width: self.width,
            model: None,
            before: self.before.clone(),
            input: self.input,
        })
    }
}

impl TokenContributions {
    /// What these are, but for values, and the arrays of their channel maps.
    pub(crate) fn shape(&self) -> Result<(TokenShape, Vec<Tensor>)> {
        let mut table = MapSteps::default();
        let layers = self.layers.iter().map(|layer| {
            let layer = layer.first();
            let (_, heads, rows, tokens) = layer.weights.dims4()?;
            let windows = layer.windows.as_deref();
            Ok(LayerShape {
                block: layer.site.block,
                division: windows.map(Windows::division),
                windows: windows.map_or(1, Windows::count),
                heads,
                rows,
                tokens,
                channels: layer.v.dim(3)?,
                shared: layer.share.is_some(),
                map: table.add(&layer.map),
            })
        });
        let layers = layers.collect::<Result<_>>()?;
        let (steps, arrays) = table.into_parts();
        let shape = TokenShape {
            layers,
            steps,
            arrays: arrays.iter().map(|array| array.dims().to_vec()).collect(),
            width: self.width,
            before: self.before.clone(),
            input: self.input,
        };
        Ok((shape, arrays))
    }

    /// What the images have of the layer at `place`.
    pub(crate) fn layer_values(&self, place: usize) -> Result<LayerValues> {
        let layer = &self.layers[place].whole()?;
        let (images, windows) = (
            layer.images(),
            layer.windows.as_ref().map_or(1, |windows| windows.count()),
        );
        let by_image = |t: &Tensor| {
            let (_, a, b, c) = t.dims4()?;
            t.reshape((images, windows, a, b, c))
        };
        Ok(LayerValues {
            weights: by_image(&layer.weights)?,
            values: by_image(&layer.v)?,
            share: layer.share.clone(),
        })
    }
}
