//! The result of a decomposition.

use super::{Component, TokenContributions};
use crate::{Error, Result};
use candle_core::{DType, Tensor};

/// Contributions of n components to the representations of B images: n x B x d.
#[derive(Clone, Debug)]
pub struct Contributions {
    components: Vec<Component>,
    values: Tensor,
    representation: Tensor,
    tokens: Option<TokenContributions>,
}

impl Contributions {
    /// Put together `values` (n x B x d) of `components` (n) and what they sum to (B x d).
    ///
    /// # Errors
    /// When the shapes do not agree.
    pub fn new(
        components: Vec<Component>,
        values: Tensor,
        representation: Tensor,
        tokens: Option<TokenContributions>,
    ) -> Result<Self> {
        let (n, b, d) = values.dims3()?;
        if n != components.len() || representation.dims() != [b, d] {
            return Err(Error::trace(format!(
                "{} components, values {:?}, representation {:?} do not go together",
                components.len(),
                values.dims(),
                representation.dims()
            )));
        }
        Ok(Self {
            components,
            values,
            representation,
            tokens,
        })
    }

    /// Join batches of the same decomposition along the images.
    ///
    /// # Errors
    /// When there is no batch, or they have different components.
    pub fn concat(batches: &[Self]) -> Result<Self> {
        let first = batches
            .first()
            .ok_or_else(|| Error::data("contributions", "no batch to join"))?;
        if batches.iter().any(|b| b.components != first.components) {
            return Err(Error::trace("batches of different decompositions"));
        }
        let values: Vec<_> = batches.iter().map(|b| &b.values).collect();
        let representations: Vec<_> = batches.iter().map(|b| &b.representation).collect();
        let tokens: Option<Vec<_>> = batches.iter().map(|b| b.tokens.as_ref()).collect();
        Ok(Self {
            components: first.components.clone(),
            values: Tensor::cat(&values, 1)?,
            representation: Tensor::cat(&representations, 0)?,
            tokens: tokens.map(|t| TokenContributions::concat(&t)).transpose()?,
        })
    }

    /// The components, in order.
    pub fn components(&self) -> &[Component] {
        &self.components
    }

    /// The names of the components, in order.
    pub fn names(&self) -> Vec<String> {
        self.components.iter().map(|c| c.to_string()).collect()
    }

    /// n x B x d.
    pub fn values(&self) -> &Tensor {
        &self.values
    }

    /// What the contributions sum to, as the forward pass computed it: B x d.
    pub fn representation(&self) -> &Tensor {
        &self.representation
    }

    /// The heads' contributions split over source tokens, where asked for.
    pub fn tokens(&self) -> Option<&TokenContributions> {
        self.tokens.as_ref()
    }

    /// Number of components.
    pub fn len(&self) -> usize {
        self.components.len()
    }

    /// Whether there is no component.
    pub fn is_empty(&self) -> bool {
        self.components.is_empty()
    }

    /// The contribution of one component, B x d.
    ///
    /// # Errors
    /// When there is no such component in this decomposition.
    pub fn of(&self, component: Component) -> Result<Tensor> {
        let index = self.components.iter().position(|c| *c == component);
        let index = index.ok_or_else(|| {
            Error::argument(
                "component",
                component,
                format!("this decomposition has {}", self.names().join(", ")),
            )
        })?;
        Ok(self.values.get(index)?)
    }

    /// How far the components are from summing to the representation: Frobenius norm of the difference over the
    /// norm of the representation.
    pub fn sum_error(&self) -> Result<f64> {
        let norm = |x: &Tensor| -> Result<f64> {
            let x = x.to_dtype(DType::F64)?;
            Ok(x.sqr()?.sum_all()?.to_scalar::<f64>()?.sqrt())
        };
        let sum = self.values.to_dtype(DType::F64)?.sum(0)?;
        let z = self.representation.to_dtype(DType::F64)?;
        Ok(norm(&(sum - &z)?)? / norm(&z)?.max(f64::MIN_POSITIVE))
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let of = |t: &Tensor| t.elem_count() * t.dtype().size_in_bytes();
        let tokens = self.tokens.as_ref().map_or(0, TokenContributions::bytes);
        of(&self.values) + of(&self.representation) + tokens
    }
}
