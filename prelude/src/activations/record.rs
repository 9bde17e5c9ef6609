//! Named values, kept from a forward pass.

use super::Selected;
use crate::facts;
use crate::identity::ImageOrigin;
use crate::models::ImageEncoder;
use crate::trace::{HookPoint, Tape};
use crate::{Error, Result, files};
use candle_core::Tensor;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

/// Named values of B images.
#[derive(Clone)]
pub struct ActivationCache {
    images: usize,
    entries: Vec<(Selected, Tensor)>,
    origin: Option<ImageOrigin>,
}

impl ActivationCache {
    /// The `values` of what was selected, for `images` images.
    pub(super) fn new(images: usize, entries: Vec<(Selected, Tensor)>) -> Self {
        Self {
            images,
            entries,
            origin: None,
        }
    }

    /// This value, marked as being of `origin`'s model and images.
    pub(crate) fn of(self, origin: ImageOrigin) -> Self {
        Self {
            origin: Some(origin),
            ..self
        }
    }

    /// Which model and images they are of; none where they were recorded from pixels.
    pub fn origin(&self) -> Option<&ImageOrigin> {
        self.origin.as_ref()
    }

    /// Join batches of the same selection along the images.
    ///
    /// # Errors
    /// When there is no batch, or they hold different values.
    pub fn concat(batches: &[Self]) -> Result<Self> {
        let first = batches
            .first()
            .ok_or_else(|| Error::data("activations", "no batch to join"))?;
        let names = first.names();
        if let Some(other) = batches.iter().find(|batch| batch.names() != names) {
            return Err(Error::argument(
                "activations",
                other.names().join(", "),
                format!("the values of the first batch: {}", names.join(", ")),
            ));
        }
        let entries = (0..first.entries.len())
            .map(|i| {
                let parts: Vec<_> = batches.iter().map(|batch| &batch.entries[i].1).collect();
                Ok((first.entries[i].0.clone(), Tensor::cat(&parts, 0)?))
            })
            .collect::<Result<_>>()?;
        let images = batches.iter().map(|batch| batch.images).sum();
        Ok(Self::new(images, entries))
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.images
    }

    /// Number of named values.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.entries
            .iter()
            .map(|(_, value)| facts::bytes(value))
            .sum()
    }

    /// The names, in the order of the forward pass.
    pub fn names(&self) -> Vec<String> {
        self.entries
            .iter()
            .map(|(name, _)| name.to_string())
            .collect()
    }

    /// The value called `name`, images first: the shapes of [`crate::trace::HookKind`], without the head axis where one
    /// head was asked for. In a model with windows q, k, v, scores and pattern are images x windows x heads x N x N (or
    /// C/H), windows row by row, and without the axis of windows where there is one.
    ///
    /// # Errors
    /// When it was not recorded, with the names that were.
    pub fn get(&self, name: &str) -> Result<Tensor> {
        let (selected, value) = self
            .entries
            .iter()
            .find(|(selected, _)| selected.to_string() == name)
            .ok_or_else(|| self.unknown(name))?;
        self.by_image(selected, value)
    }

    /// Every value with its name.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn all(&self) -> Result<Vec<(String, Tensor)>> {
        let each = self.entries.iter();
        each.map(|(selected, value)| Ok((selected.to_string(), self.by_image(selected, value)?)))
            .collect()
    }

    fn by_image(&self, selected: &Selected, value: &Tensor) -> Result<Tensor> {
        if selected.rows == 1 {
            return Ok(value.clone());
        }
        let shape = [&[self.images, selected.rows], &value.dims()[1..]].concat();
        Ok(value.reshape(shape)?)
    }

    /// The value of a selection as the forward pass has it: one row an image, or a window.
    pub(super) fn raw(&self, selected: &Selected) -> Result<&Tensor> {
        let found = self.entries.iter().find(|(own, _)| own == selected);
        found
            .map(|(_, value)| value)
            .ok_or_else(|| self.unknown(&selected.to_string()))
    }

    fn unknown(&self, name: &str) -> Error {
        let names = self.names();
        let near = files::nearest(name, names.iter().cloned());
        let expected = match near.first() {
            Some(near) => format!("one that was recorded, such as \"{near}\""),
            None => format!("one that was recorded: {}", names.join(", ")),
        };
        Error::argument("activation", format!("\"{name}\""), expected)
    }
}

/// One line a value: name and shape.
impl fmt::Display for ActivationCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 24;
        let count = facts::count(self.len(), "activation");
        let images = facts::count(self.images, "image");
        write!(f, "{count} of {images}")?;
        if let Some(origin) = &self.origin {
            write!(f, " of {} in {}", origin.images.set, origin.model.name)?;
        }
        write!(f, ", {}", facts::size(self.bytes()))?;
        for (selected, value) in self.entries.iter().take(SHOWN) {
            let shape = match self.by_image(selected, value) {
                Ok(value) => value.dims().to_vec(),
                Err(_) => return Err(fmt::Error),
            };
            let shape: Vec<_> = shape.iter().map(usize::to_string).collect();
            write!(f, "\n  {selected}: {}", shape.join(" x "))?;
        }
        match self.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

crate::identity::debug_as_display!(ActivationCache);

/// The values of `selected` in the forward pass of normalised `pixels`, B x 3 x H x W.
///
/// # Errors
/// When the pixels do not have the model's shape.
pub fn record(
    model: &dyn ImageEncoder,
    pixels: &Tensor,
    selected: &[Selected],
) -> Result<ActivationCache> {
    let seen: Rc<RefCell<HashMap<HookPoint, Tensor>>> = Rc::default();
    let (noted, wanted) = (seen.clone(), selected.to_vec());
    let tape = Tape::hooked(Box::new(move |point, value| {
        if wanted.iter().any(|one| one.point == point) {
            noted.borrow_mut().insert(point, value.clone());
        }
        Ok(value)
    }));
    model.forward(pixels, &tape)?;
    let seen = seen.borrow();
    let entries = selected
        .iter()
        .map(|one| {
            let value = seen.get(&one.point).ok_or_else(|| {
                Error::trace(format!("the forward pass has no \"{one}\" any more"))
            })?;
            let value = match one.head {
                Some(head) => value.narrow(1, head, 1)?.squeeze(1)?.force_contiguous()?,
                None => value.force_contiguous()?,
            };
            Ok((one.clone(), value))
        })
        .collect::<Result<_>>()?;
    Ok(ActivationCache::new(pixels.dim(0)?, entries))
}
