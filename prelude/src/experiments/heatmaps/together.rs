//! Several heads' token scores, summed.

use crate::align::AlignedStack;
use crate::decompose::{ComponentNames, TokenLayout, TokenScores};
use crate::identity::TextEmbeddings;
use crate::{Error, Result, facts, score};
use candle_core::{Device, Tensor};

/// What the source tokens of `heads` give together along each of `texts`: one head, `"block 5 head 3"`, heads by a pattern,
/// `"block 5 head *"`, or a ranking of heads, `scores.select("* head *")?.top(3)?`. Heads of stages with different grids are
/// brought to the finest of them, each patch sharing out what it gives among those that it becomes. `aligned` may be in memory
/// or in chunks; of the latter the heads' layers are read.
///
/// # Errors
/// When a name is no head's, the contributions have no source tokens, or the texts are another CLIP's.
pub fn token_importance(
    aligned: impl AlignedStack,
    heads: impl ComponentNames,
    texts: impl AsRef<TextEmbeddings>,
) -> Result<TokenScores> {
    sum(&aligned.heads_along(heads, texts.as_ref())?)
}

/// The sum of `each`, of the same images and directions.
pub(crate) fn sum(each: &[TokenScores]) -> Result<TokenScores> {
    let finest = each.iter().max_by_key(|scores| scores.layout().side());
    let finest = finest.ok_or_else(|| Error::argument("heads", "none", "one head or more"))?;
    let layout = finest.layout();
    let mut sum: Option<Tensor> = None;
    for scores in each {
        let values = enlarged(scores, layout)?;
        sum = Some(match sum {
            Some(sum) => (sum + values)?,
            None => values,
        });
    }
    let names: Vec<&str> = each.iter().map(TokenScores::component).collect();
    let name = match names[..] {
        [one] => one.to_string(),
        _ => format!("{} heads: {}", names.len(), facts::list(&names, 60)),
    };
    let values = sum.ok_or_else(|| Error::trace("nothing was summed"))?;
    finest.with(name, finest.directions().to_vec(), values, layout.clone())
}

/// B x T x k on the grid of `layout`: maps are enlarged, and divided by how many patches one becomes, so that sums stay.
fn enlarged(scores: &TokenScores, layout: &TokenLayout) -> Result<Tensor> {
    let (from, to) = (scores.layout().side(), layout.side());
    if from == to {
        return Ok(scores.values().clone());
    }
    let share = (from * from) as f64 / (to * to) as f64;
    let (b, k) = (scores.images(), scores.directions().len());
    let maps = scores.maps()?.flatten(0, 1)?;
    let larger = (0..b * k).map(|i| score::enlarge(&maps.get(i)?, to, to));
    let larger = Tensor::stack(&larger.collect::<Result<Vec<_>>>()?, 0)?;
    let larger = larger.reshape((b, k, to * to))?.transpose(1, 2)?;
    let larger = (larger * share)?.to_device(&Device::Cpu)?;
    Ok(match scores.before()? {
        Some(before) => Tensor::cat(&[before, larger.contiguous()?], 1)?,
        None => larger.contiguous()?,
    })
}
