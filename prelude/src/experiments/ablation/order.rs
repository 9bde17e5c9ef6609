//! In which order components are switched off.

use crate::decompose::{Component, ComponentNames, Contributions, matching, part::same_origin};
use crate::score::Ranking;
use crate::trace::Block;
use crate::{Error, Result};

/// The order in which components are switched off, each staying off.
#[derive(Clone, Debug, Default)]
pub enum AblationOrder {
    /// From the output to the input: in each block the MLP, then the attention (its heads from the last to the first), then
    /// a convolution; what is before the first block comes last.
    #[default]
    LastToFirst,
    /// From the input to the output.
    FirstToLast,
    /// As in the published code: what is before the first block comes first, then as [`Self::LastToFirst`]; the last
    /// component of that order stays.
    Published,
    /// Each name or pattern in turn, all its components together: `"block 5 *"`, then `"* mlp"`. A component that is off
    /// already is not counted again ([`Self::named`]).
    Named(Vec<String>),
    /// The components of a ranking, one by one ([`Self::ranked`]).
    Ranked(Box<Ranking>),
}

/// What is switched off together.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub name: String,
    pub components: Vec<usize>,
    /// Whether a block is done with it.
    pub border: bool,
}

impl AblationOrder {
    /// These names or patterns in turn: `AblationOrder::named(&["block 5 *", "* mlp"])`.
    pub fn named(names: &[impl AsRef<str>]) -> Self {
        Self::Named(names.iter().map(|name| name.as_ref().to_string()).collect())
    }

    /// The components of a ranking, one by one: `AblationOrder::ranked(scores.ranked()?)`.
    pub fn ranked(ranking: Ranking) -> Self {
        Self::Ranked(Box::new(ranking))
    }

    /// The order in words, for a title.
    pub fn words(&self) -> String {
        match self {
            Self::LastToFirst => "from the last layer back".to_string(),
            Self::FirstToLast => "from the first layer on".to_string(),
            Self::Published => {
                "what is before the first block, then from the last layer back".to_string()
            }
            Self::Named(names) => format!("in the order {}", crate::facts::list(names, 60)),
            Self::Ranked(_) => "in the order of a ranking".to_string(),
        }
    }

    /// The steps for `contributions`.
    ///
    /// # Errors
    /// When a name fits no component or nothing that is not off already, a ranking is of another model, or there is nothing
    /// to switch off.
    pub(super) fn steps(&self, contributions: &Contributions) -> Result<Vec<Step>> {
        let components = contributions.components();
        // Biases are no part of the network that could be switched off.
        let parts = (0..components.len()).filter(|&i| components[i] != Component::Bias);
        let parts: Vec<usize> = parts.collect();
        let init = |i: &usize| components[*i] == Component::Init;
        let order: Vec<usize> = match self {
            Self::LastToFirst => parts.into_iter().rev().collect(),
            Self::FirstToLast => parts,
            Self::Published => {
                let (first, rest): (Vec<_>, Vec<_>) = parts.into_iter().partition(init);
                let mut order: Vec<usize> =
                    first.into_iter().chain(rest.into_iter().rev()).collect();
                order.pop();
                order
            }
            Self::Named(names) => return named(components, names),
            Self::Ranked(ranking) => {
                same_origin(contributions.origin(), &**ranking)?;
                let place = |name: &&str| matching(components, *name);
                let places = ranking.patterns();
                let places: Vec<Vec<usize>> = places.iter().map(place).collect::<Result<_>>()?;
                places.concat()
            }
        };
        if order.is_empty() {
            let expected =
                "two components or more: decompose with Granularity::Layers or Granularity::Heads";
            return Err(Error::argument("order", "nothing to switch off", expected));
        }
        let block = |i: usize| components[i].block().map(Block::whole);
        let steps = order.iter().enumerate().map(|(place, &i)| Step {
            name: components[i].to_string(),
            components: vec![i],
            border: order
                .get(place + 1)
                .is_none_or(|next| block(*next) != block(i)),
        });
        Ok(steps.collect())
    }
}

fn named(components: &[Component], names: &[String]) -> Result<Vec<Step>> {
    if names.is_empty() {
        let expected = "one name or pattern or more, such as \"block 5 *\"";
        return Err(Error::argument("order", "[]", expected));
    }
    let mut off: Vec<usize> = Vec::new();
    let mut steps = Vec::new();
    for name in names {
        let mut found = matching(components, name)?;
        found.retain(|i| !off.contains(i));
        if found.is_empty() {
            return Err(Error::argument(
                "order",
                format!("\"{name}\""),
                "a name or pattern with a component that those before it have not switched off; leave it out",
            ));
        }
        off.extend(&found);
        steps.push(Step {
            name: name.clone(),
            components: found,
            border: true,
        });
    }
    Ok(steps)
}
