//! The Zarr arrays of source tokens, kept as the products they are.
//!
//! ```text
//! tokens/layers/5/weights/c/..   [image, window, head, row, token]
//! tokens/layers/5/values/c/..    [image, window, head, token, channel]
//! tokens/layers/5/share/c/..     [image, channel], each head's part of the constants, where heads have one
//! tokens/maps/3/c/..            a matrix [out, in] or a vector [channel], the same for all images
//! ```
//!
//! A head's contribution from token s is the sum over rows of weight times value vector, mapped to the channels of the
//! contributions by the steps that the store's attributes list (`vitrepl`, `tokens`), and 1 / tokens of the share.

use super::array::{Kept, create, open};
use super::arrays::group;
use super::bucket::Bucket;
use super::chunk::{get, padded, put};
use super::header::Header;
use super::options::StoreType;
use crate::decompose::{ChannelMap, LayerShape, LayerValues, TokenContributions, TokenShape};
use crate::{Error, Result, check};
use candle_core::{DType, Device, Tensor};
use serde_json::{Map, json};
use std::sync::OnceLock;
use zarrs::array::Array;

/// The group of all these arrays.
pub(super) const TOKENS: &str = "tokens";
const LAYERS: &str = "tokens/layers";
const MAPS: &str = "tokens/maps";

/// The arrays of a store's source tokens.
pub(super) struct TokenArrays {
    layers: Vec<LayerArrays>,
    maps: Vec<Array<Bucket>>,
    /// Read when they are first wanted.
    read: OnceLock<Vec<ChannelMap>>,
}

struct LayerArrays {
    weights: Array<Bucket>,
    values: Array<Bucket>,
    share: Option<Array<Bucket>>,
}

fn layer_name(place: usize, array: &str) -> String {
    format!("{LAYERS}/{place}/{array}")
}

fn map_name(place: usize) -> String {
    format!("{MAPS}/{place}")
}

/// Makes or opens an array, given by its name, the sizes of one image and what its axes are.
type Make<'a> = dyn Fn(&str, &[usize], &[&str]) -> Result<Array<Bucket>> + 'a;

impl LayerArrays {
    fn of(place: usize, layer: &LayerShape, width: usize, make: &Make<'_>) -> Result<Self> {
        let name = |array| layer_name(place, array);
        Ok(Self {
            weights: make(
                &name("weights"),
                &layer.weights(),
                &["image", "window", "head", "row", "token"],
            )?,
            values: make(
                &name("values"),
                &layer.values(),
                &["image", "window", "head", "token", "head_channel"],
            )?,
            share: match layer.shared {
                true => Some(make(&name("share"), &[width], &["image", "channel"])?),
                false => None,
            },
        })
    }
}

/// The sizes of all of `count` images.
fn of_images(count: usize, one: &[usize]) -> Vec<usize> {
    std::iter::once(count).chain(one.iter().copied()).collect()
}

impl TokenArrays {
    /// Describes the arrays, and writes those of the channel maps.
    pub fn create(
        bucket: &Bucket,
        header: &Header,
        shape: &TokenShape,
        maps: &[Tensor],
    ) -> Result<Self> {
        let layers = shape.layers.iter().enumerate().map(|(place, layer)| {
            group(
                bucket,
                &format!("{LAYERS}/{place}"),
                Map::from_iter([("block".to_string(), json!(layer.block.to_string()))]),
            )?;
            LayerArrays::of(place, layer, shape.width(), &|name, one, axes| {
                create(
                    bucket,
                    name,
                    &of_images(header.images, one),
                    &of_images(header.chunk, one),
                    Kept::from(header.dtype),
                    axes,
                )
            })
        });
        let layers = layers.collect::<Result<_>>()?;
        group(bucket, MAPS, Map::new())?;
        let maps = maps.iter().enumerate().map(|(place, map)| {
            let axes: &[&str] = match map.rank() {
                1 => &["channel"],
                _ => &["out", "in"],
            };
            let name = map_name(place);
            let array = create(bucket, &name, map.dims(), map.dims(), Kept::F32, axes)?;
            let values = map.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
            let values = values.flatten_all()?.to_vec1()?;
            let at = vec![0; map.rank()];
            put(bucket, &array, &name, &at, values, StoreType::F32)?;
            Ok(array)
        });
        let maps = maps.collect::<Result<_>>()?;
        group(bucket, LAYERS, Map::new())?;
        group(bucket, TOKENS, Map::new())?;
        Ok(Self {
            layers,
            maps,
            read: OnceLock::new(),
        })
    }

    /// Those at `bucket`, which must be as `header` says.
    pub fn open(bucket: &Bucket, header: &Header, shape: &TokenShape) -> Result<Self> {
        let layers = shape.layers.iter().enumerate().map(|(place, layer)| {
            LayerArrays::of(place, layer, shape.width(), &|name, one, _| {
                let (all, chunk) = (of_images(header.images, one), of_images(header.chunk, one));
                open(bucket, name, &all, &chunk)
            })
        });
        let layers = layers.collect::<Result<_>>()?;
        let maps = shape.arrays.iter().enumerate();
        let maps = maps.map(|(place, sizes)| open(bucket, &map_name(place), sizes, sizes));
        Ok(Self {
            layers,
            maps: maps.collect::<Result<_>>()?,
            read: OnceLock::new(),
        })
    }

    /// Writes a chunk.
    pub fn write(
        &self,
        bucket: &Bucket,
        header: &Header,
        shape: &TokenShape,
        chunk: usize,
        tokens: &TokenContributions,
    ) -> Result<()> {
        let (found, _) = tokens.shape()?;
        if found != *shape {
            return Err(Error::trace(
                "the source tokens of a batch are of another shape than those of the store",
            ));
        }
        let write = |array: &Array<Bucket>, name: &str, values: &Tensor| {
            check::finite("source tokens", values)?;
            let values_of_chunk = padded(values, header.chunk)?;
            let at = first_of(chunk, values.rank());
            put(bucket, array, name, &at, values_of_chunk, header.dtype)
        };
        for (place, arrays) in self.layers.iter().enumerate() {
            let values = tokens.layer_values(place)?;
            let name = |array| layer_name(place, array);
            write(&arrays.weights, &name("weights"), &values.weights)?;
            write(&arrays.values, &name("values"), &values.values)?;
            if let (Some(array), Some(share)) = (&arrays.share, &values.share) {
                write(array, &name("share"), share)?;
            }
        }
        Ok(())
    }

    /// Reads the layers of a chunk that are `wanted`.
    pub fn read(
        &self,
        bucket: &Bucket,
        header: &Header,
        shape: &TokenShape,
        chunk: usize,
        wanted: impl Fn(&LayerShape) -> bool,
    ) -> Result<TokenContributions> {
        let images = header.range(chunk).len();
        let read = |array: &Array<Bucket>, name: &str, one: &[usize]| {
            let at = first_of(chunk, one.len() + 1);
            let mut values = get(bucket, array, name, &at, header.dtype)?;
            values.truncate(images * one.iter().product::<usize>());
            Ok::<_, Error>(Tensor::from_vec(
                values,
                of_images(images, one),
                &Device::Cpu,
            )?)
        };
        let layers = shape.layers.iter().enumerate();
        let layers = layers.filter(|(_, layer)| wanted(layer));
        let layers = layers.map(|(place, layer)| {
            let arrays = &self.layers[place];
            let name = |array| layer_name(place, array);
            let share = arrays.share.as_ref();
            let values = LayerValues {
                weights: read(&arrays.weights, &name("weights"), &layer.weights())?,
                values: read(&arrays.values, &name("values"), &layer.values())?,
                share: share
                    .map(|array| read(array, &name("share"), &[shape.width()]))
                    .transpose()?,
            };
            Ok((place, values))
        });
        let layers = layers.collect::<Result<_>>()?;
        shape.put_together(self.maps(bucket, shape)?, layers)
    }

    fn maps(&self, bucket: &Bucket, shape: &TokenShape) -> Result<&[ChannelMap]> {
        if let Some(maps) = self.read.get() {
            return Ok(maps);
        }
        let arrays = self.maps.iter().zip(&shape.arrays).enumerate();
        let arrays = arrays.map(|(place, (array, sizes))| {
            let at = vec![0; sizes.len()];
            let values = get(bucket, array, &map_name(place), &at, StoreType::F32)?;
            Ok(Tensor::from_vec(values, sizes.as_slice(), &Device::Cpu)?)
        });
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        let maps = shape.maps(&arrays)?;
        Ok(self.read.get_or_init(|| maps))
    }
}

/// The place of chunk `chunk` along the images, and the only one along `rank - 1` other axes.
fn first_of(chunk: usize, rank: usize) -> Vec<u64> {
    std::iter::once(chunk as u64)
        .chain(std::iter::repeat_n(0, rank - 1))
        .collect()
}
