//! Gradients of a logit, or of a direction of the representation, with respect to named values.

use super::{ActivationCache, Selected};
use crate::check;
use crate::facts::{self, Facts};
use crate::models::{Features, ImageEncoder};
use crate::score::LinearHead;
use crate::trace::{HookPoint, Tape};
use crate::{Error, Result};
use candle_core::{DType, Tensor, Var};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

/// What gradients are taken of, one number for each image.
#[derive(Clone, Copy)]
pub enum Objective<'a> {
    /// The logit of the model's own head for the class of each image.
    Logit(&'a [usize]),
    /// The logit of a head on the representation (a probe, a zero-shot head) for the class of each image.
    Head(&'a LinearHead, &'a [usize]),
    /// The representation's product with one direction, of d numbers.
    Along(&'a Tensor),
}

facts::shows!(Objective<'_>, |it| match it {
    Self::Logit(classes) => Facts::new(format!(
        "the logit of each image's class, {}",
        facts::count(classes.len(), "image")
    )),
    Self::Head(head, classes) => Facts::new(format!(
        "the logit of each image's class, {}",
        facts::count(classes.len(), "image")
    ))
    .row("head", format!("{} classes", head.classes())),
    Self::Along(direction) => {
        Facts::new("the representation's product with a direction")
            .row("direction", facts::tensor(direction))
    }
});

/// Named values and the gradients of an objective with respect to them.
#[derive(Clone)]
pub struct Gradients {
    /// The values.
    pub values: ActivationCache,
    /// The gradients, in the same shapes.
    pub gradients: ActivationCache,
    /// The objective itself, one number an image.
    pub objective: Vec<f32>,
}

impl Objective<'_> {
    /// Refuses classes that are not one for each of so many images.
    pub(crate) fn check(&self, images: usize) -> Result<()> {
        match self {
            Self::Logit(classes) | Self::Head(_, classes) => {
                check::same("classes", classes.len(), images, "images")
            }
            Self::Along(_) => Ok(()),
        }
    }

    /// That of some of the images, which are there.
    pub(crate) fn of_images(&self, images: Range<usize>) -> Self {
        match *self {
            Self::Logit(classes) => Self::Logit(&classes[images]),
            Self::Head(head, classes) => Self::Head(head, &classes[images]),
            Self::Along(direction) => Self::Along(direction),
        }
    }

    /// B numbers.
    fn of(&self, features: &Features) -> Result<Tensor> {
        let representation = features.representation.value();
        let b = representation.dim(0)?;
        let picked = |logits: &Tensor, classes: &[usize]| -> Result<Tensor> {
            let known = logits.dim(1)?;
            check::same("classes", classes.len(), b, "images")?;
            if let Some(class) = classes.iter().find(|class| **class >= known) {
                let expected = format!("below {known}, the number of classes of the head");
                return Err(Error::argument("class", class, expected));
            }
            let index: Vec<u32> = classes.iter().map(|&class| class as u32).collect();
            let index = Tensor::from_vec(index, (b, 1), logits.device())?;
            Ok(logits.contiguous()?.gather(&index, 1)?.squeeze(1)?)
        };
        match self {
            Self::Logit(classes) => match &features.logits {
                Some(logits) => picked(logits.value(), classes),
                None => Err(Error::argument(
                    "objective",
                    "the model's own logit",
                    "a head: this model has none; fit a probe and take Objective::Head(&head, &classes)",
                )),
            },
            Self::Head(head, classes) => {
                check::same("head", head.width(), representation.dim(1)?, "channels")?;
                let weight = head.weight().to_device(representation.device())?;
                let bias = head.bias().to_device(representation.device())?;
                let logits = representation.matmul(&weight.t()?)?.broadcast_add(&bias)?;
                picked(&logits, classes)
            }
            Self::Along(direction) => {
                let width = representation.dim(1)?;
                check::same("direction", direction.elem_count(), width, "channels")?;
                let direction = direction
                    .to_device(representation.device())?
                    .to_dtype(representation.dtype())?
                    .reshape((width, 1))?;
                Ok(representation.matmul(&direction)?.squeeze(1)?)
            }
        }
    }
}

/// The values of `selected` in the forward pass of normalised `pixels`, and the gradients of `objective` with respect to
/// each of them: along every path from there to the objective, other selected values on the way included.
///
/// # Errors
/// When the pixels do not have the model's shape, or the objective does not fit the model.
pub fn gradients(
    model: &dyn ImageEncoder,
    pixels: &Tensor,
    selected: &[Selected],
    objective: Objective,
) -> Result<Gradients> {
    // A variable of zeros is added to each value: its gradient is the value's, and what comes later still depends on it.
    type Seen = HashMap<HookPoint, (Tensor, Var)>;
    let seen: Rc<RefCell<Seen>> = Rc::default();
    let (noted, wanted) = (seen.clone(), selected.to_vec());
    let tape = Tape::hooked(Box::new(move |point, value| {
        if !wanted.iter().any(|one| one.point == point) {
            return Ok(value);
        }
        let zeros = Var::zeros(value.shape(), value.dtype(), value.device())?;
        let tracked = (&value + zeros.as_tensor())?;
        let value = value.detach();
        noted.borrow_mut().insert(point, (value, zeros));
        Ok(tracked)
    }));
    let features = model.forward(pixels, &tape)?;
    let each = objective.of(&features)?;
    let store = each.sum_all()?.backward()?;
    let seen = seen.borrow();
    let (mut values, mut gradients) = (Vec::new(), Vec::new());
    for one in selected {
        let (value, zeros) = seen
            .get(&one.point)
            .ok_or_else(|| Error::trace(format!("the forward pass has no \"{one}\" any more")))?;
        let gradient = match store.get(zeros.as_tensor()) {
            Some(gradient) => gradient.detach(),
            // The objective does not depend on it.
            None => value.zeros_like()?,
        };
        let part = |t: &Tensor| match one.head {
            Some(head) => t.narrow(1, head, 1)?.squeeze(1)?.force_contiguous(),
            None => t.force_contiguous(),
        };
        values.push((one.clone(), part(value)?));
        gradients.push((one.clone(), part(&gradient)?));
    }
    let images = pixels.dim(0)?;
    Ok(Gradients {
        values: ActivationCache::new(images, values),
        gradients: ActivationCache::new(images, gradients),
        objective: each.detach().to_dtype(DType::F32)?.to_vec1()?,
    })
}
