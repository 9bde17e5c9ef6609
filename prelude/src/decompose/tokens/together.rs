//! Several heads' source tokens along the same directions.

use super::{ChunkedHeadTokens, HeadTokens, TokenScores};
use crate::decompose::channel_map::ChannelMap;
use crate::decompose::{ChunkedContributions, Component, ComponentNames, Contributions};
use crate::identity::Vectors;
use crate::{Error, Result, check};
use candle_core::Tensor;
use rayon::prelude::*;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Directions of all heads that are pulled back at the same time: more would fill memory, and a product of so many rows
/// takes no less time a row than a larger one.
const ROWS: usize = 4096;

/// How much each source token of each of `heads` gives along `directions`, as [`HeadTokens::along`] of one. Directions are
/// pulled back for all of them together: heads of a layer have one channel map, and layers share the end of theirs.
pub(crate) fn along_each<E: Vectors + ?Sized>(
    heads: &[HeadTokens],
    directions: &E,
) -> Result<Vec<TokenScores>> {
    let count = directions.vectors().dims().first().copied().unwrap_or(0);
    let names: Vec<String> = match directions.names() {
        Some(names) => names.to_vec(),
        None => (0..count).map(|k| format!("direction {k}")).collect(),
    };
    let mut all = Vec::with_capacity(heads.len());
    for some in heads.chunks((ROWS / count.max(1)).max(1)) {
        let aimed = some.iter().map(|head| {
            let aimed = head.aimed(directions)?;
            Ok((aimed, head.layer().map().clone()))
        });
        let aimed: Vec<(Tensor, ChannelMap)> = aimed.collect::<Result<_>>()?;
        if all.is_empty() {
            check::finite("directions", directions.vectors())?;
        }
        let pulled = ChannelMap::pull_back_all(&aimed)?;
        let constants = constants_of_each(some, &aimed)?;
        let each = some.par_iter().zip(&pulled).zip(&constants);
        let each =
            each.map(|((head, pulled), constants)| head.scores(names.clone(), pulled, constants));
        all.extend(each.collect::<Result<Vec<_>>>()?);
    }
    Ok(all)
}

/// What each token of each of `heads` has of the constants along its directions, batch by batch, once for heads of a layer
/// that have the same ones.
fn constants_of_each(
    heads: &[HeadTokens],
    aimed: &[(Tensor, ChannelMap)],
) -> Result<Vec<Vec<Option<Tensor>>>> {
    let mut known: HashMap<_, Vec<Option<Tensor>>> = HashMap::new();
    let each = heads.iter().zip(aimed).map(|(head, (aimed, _))| {
        let layer = head.layer();
        let constants = match known.entry((layer.shares(), layer.tokens(), aimed.id())) {
            Entry::Occupied(found) => found.get().clone(),
            Entry::Vacant(free) => free.insert(layer.constants(aimed)?).clone(),
        };
        Ok(constants)
    });
    each.collect()
}

impl Contributions {
    /// How much each source token of several heads gives along `directions`, [`HeadTokens::along`] of each, in the order of
    /// the model: `tokens_along("block 5 head *", &directions)`. It takes less time than one head after the other.
    ///
    /// # Errors
    /// When a name is no head's; as [`Self::tokens`] and [`HeadTokens::along`].
    pub fn tokens_along<E: Vectors + ?Sized>(
        &self,
        heads: impl ComponentNames,
        directions: &E,
    ) -> Result<Vec<TokenScores>> {
        let places = self.places(&heads)?;
        let heads = of_heads(self.components(), places, |head| self.head_tokens(head))?;
        along_each(&heads, directions)
    }
}

impl ChunkedContributions {
    /// As [`Contributions::tokens_along`]: each layer's source tokens are read once for all of its heads.
    ///
    /// # Errors
    /// When a name is no head's; as [`Self::tokens`] and [`ChunkedHeadTokens::along`].
    pub fn tokens_along<E: Vectors + ?Sized>(
        &self,
        heads: impl ComponentNames,
        directions: &E,
    ) -> Result<Vec<TokenScores>> {
        let places = self.places(&heads)?;
        let heads = of_heads(self.components(), places, |head| self.head_tokens(head))?;
        ChunkedHeadTokens::along_each(&heads, directions)
    }
}

/// The source tokens, as `tokens` has them, of the heads at `places`; refuses other components, of which there are none.
pub(crate) fn of_heads<T>(
    components: &[Component],
    places: Vec<usize>,
    tokens: impl Fn(Component) -> Result<T>,
) -> Result<Vec<T>> {
    let one = |place: usize| match components[place] {
        head if head.is_head() => tokens(head),
        other => Err(Error::argument(
            "heads",
            format!("\"{other}\""),
            "heads only, which have source tokens: a pattern such as \"block 5 head *\", or \
             scores.select(\"* head *\")?.top(3)?",
        )),
    };
    places.into_iter().map(one).collect()
}
