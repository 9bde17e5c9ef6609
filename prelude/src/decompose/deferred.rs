//! What a walk finds before channel maps have been applied: they are applied to all of it at once
//! ([`ChannelMap::apply_all`]).

use super::channel_map::ChannelMap;
use crate::{Error, Result};
use candle_core::Tensor;
use std::cell::OnceCell;
use std::rc::Rc;

/// Rows to which a channel map is still to be applied, by the order in which they were given.
#[derive(Default)]
pub(super) struct Pending(Vec<(Tensor, ChannelMap)>);

/// The place of rows in [`Pending`].
#[derive(Clone, Copy)]
pub(super) struct Place(usize);

impl Pending {
    /// Give rows, N x c (KN x c with merges of K rows), of which the map makes N x d.
    pub fn push(&mut self, rows: Tensor, map: ChannelMap) -> Place {
        self.0.push((rows, map));
        Place(self.0.len() - 1)
    }

    /// Apply the maps.
    pub fn apply(self) -> Result<Applied> {
        Ok(Applied(ChannelMap::apply_all(self.0)?))
    }
}

/// What the maps made of the rows.
pub(super) struct Applied(Vec<Tensor>);

impl Applied {
    pub fn get(&self, place: Place) -> Result<&Tensor> {
        let found = self.0.get(place.0);
        found.ok_or_else(|| Error::trace("rows that were never given"))
    }
}

/// One summand of a constant: mapped rows, or where weights are given (B x K or 1 x K) the sums of K rows times these for each
/// image; times a factor.
#[derive(Clone)]
pub(super) struct Term {
    pub place: Place,
    pub weights: Option<Tensor>,
    pub factor: f64,
}

/// A constant, B x d or 1 x d: the sum of its terms.
#[derive(Clone, Default)]
pub(super) struct Constant(pub Vec<Term>);

impl Constant {
    /// This and another one.
    pub fn plus(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// This less another one.
    pub fn minus(self, other: Self) -> Self {
        let negated = other.0.into_iter().map(|term| Term {
            factor: -term.factor,
            ..term
        });
        self.plus(Self(negated.collect()))
    }

    /// The sum; none of no terms.
    pub fn value(&self, applied: &Applied) -> Result<Option<Tensor>> {
        let mut total: Option<Tensor> = None;
        for term in &self.0 {
            let mapped = applied.get(term.place)?;
            let value = match &term.weights {
                Some(weights) => weights.matmul(mapped)?,
                None => mapped.clone(),
            };
            let value = match term.factor {
                1.0 => value,
                factor => (value * factor)?,
            };
            total = Some(match total {
                Some(total) => total.broadcast_add(&value)?,
                None => value,
            });
        }
        Ok(total)
    }
}

/// Each component's part of the constants met on the way to it.
pub(super) struct Share {
    above: Option<Rc<Share>>,
    constant: Constant,
    /// The components that the constant is shared by.
    leaves: usize,
    value: OnceCell<Tensor>,
}

impl Share {
    pub fn new(above: Option<Rc<Share>>, constant: Constant, leaves: usize) -> Rc<Self> {
        Rc::new(Self {
            above,
            constant,
            leaves,
            value: OnceCell::new(),
        })
    }

    /// B x d or 1 x d, computed once.
    pub fn value(&self, applied: &Applied) -> Result<Tensor> {
        if let Some(value) = self.value.get() {
            return Ok(value.clone());
        }
        let own = self.constant.value(applied)?;
        let own = own.ok_or_else(|| Error::trace("a constant without terms"))?;
        let part = (own / self.leaves as f64)?;
        let value = match &self.above {
            Some(above) => above.value(applied)?.broadcast_add(&part)?,
            None => part,
        };
        Ok(self.value.get_or_init(|| value).clone())
    }
}
