//! What is contained in contributions that are there already: heads in source tokens, layers in heads, the representation
//! in all of them.

use super::disk::KeptDecomposition;
use super::keys::{Kind, key};
use super::registry::resident_where;
use crate::Result;
use crate::data::DataSet;
use crate::decompose::{
    Contributions, DecomposeOptions, DecomposeTarget, Decomposer, Granularity, Origin, Sharing,
};
use crate::identity::{ImagesId, ModelId};
use crate::models::Model;
use crate::store::StorePlan;
use candle_core::Tensor;
use std::sync::Arc;

/// The decomposition by `options`, taken from a finer one in memory or on disk; none where there is none that has it.
///
/// Heads are those of a decomposition by tokens. Layers are sums of heads by the rule [`Sharing::Own`] only: by
/// [`Sharing::Equal`] a layer has one part of the norms' constants, and its heads together have as many as they are.
/// `key_of` makes the content key of other options.
pub(super) fn contained(
    model: &Model,
    set: &dyn DataSet,
    options: &DecomposeOptions,
    key_of: impl Fn(&DecomposeOptions) -> String,
) -> Result<Option<Contributions>> {
    let finer: &[Granularity] = match (options.granularity, options.sharing) {
        (Granularity::Heads, _) => &[Granularity::Tokens],
        (Granularity::Layers, Sharing::Own) => &[Granularity::Heads, Granularity::Tokens],
        _ => &[],
    };
    for &granularity in finer {
        let finer = DecomposeOptions {
            granularity,
            ..*options
        };
        let found = match resident(model, set, |own| *own == finer) {
            Some(found) => Some(found.as_ref().clone()),
            None => on_disk(model, set, &finer, &key_of(&finer))?,
        };
        if let Some(found) = found {
            return Ok(Some(found.coarser(options.granularity)?));
        }
    }
    Ok(None)
}

/// The representations of the images of `set` out of contributions of any kind that are in memory.
pub(super) fn representation(model: &Model, set: &dyn DataSet) -> Option<Tensor> {
    let whole = |options: &DecomposeOptions| options.target == DecomposeTarget::Representation;
    let found = resident(model, set, whole)?;
    Some(found.representation().clone())
}

fn resident(
    model: &Model,
    set: &dyn DataSet,
    wanted: impl Fn(&DecomposeOptions) -> bool,
) -> Option<Arc<Contributions>> {
    let (id, data) = (ModelId::of(model), set.key());
    let device = model.encoder().device();
    resident_where(Kind::Contributions, |c: &Contributions| {
        c.origin().is_some_and(|origin| {
            origin.model.difference(&id).is_none()
                && origin.images.key == data
                && wanted(&origin.options)
        }) && c.values().device().same_device(device)
    })
}

/// The contributions of all images under `key`, if every one is on disk.
fn on_disk(
    model: &Model,
    set: &dyn DataSet,
    options: &DecomposeOptions,
    key: &str,
) -> Result<Option<Contributions>> {
    if !KeptDecomposition::is_there(key) {
        return Ok(None);
    }
    let decomposer = Decomposer::new(model.encoder(), *options)?;
    let origin = Origin {
        model: ModelId::of(model),
        options: *options,
        images: ImagesId::of(set),
    };
    let plan = StorePlan::of(&decomposer, set.len(), model.input())?.with(origin);
    let Some(whole) = KeptDecomposition::of(key, "", plan).and_then(|mut kept| kept.whole()) else {
        return Ok(None);
    };
    let device = model.encoder().device();
    Ok(Some(whole.without_tokens().load()?.to_device(device)?))
}

/// The content key of the decomposition of which these are the parts, where `how` says by which options.
pub(super) fn key_of(hash: &str, data: &str, how: &str) -> String {
    key(Kind::Contributions, &[hash, data, how])
}
