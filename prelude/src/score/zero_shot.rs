//! A classifier made of prompts (Radford et al., "Learning Transferable Visual Models From Natural Language
//! Supervision", 2021, section 3.1.4).

use candle_core::{D, Tensor};

use super::LinearHead;
use crate::check;
use crate::identity::Vectors;
use crate::{Error, Result};

/// One unit vector for each class (C x d) out of its prompts' embeddings (templates x d each): each embedding is
/// brought to unit length, then their mean, as in open_clip's `build_zero_shot_classifier`.
///
/// # Errors
/// No class, shapes that do not fit, NaN or infinity, a class whose embeddings cancel out.
pub fn class_embeddings(prompts: &[Tensor]) -> Result<Tensor> {
    if prompts.is_empty() {
        return Err(Error::argument("prompts", "no class", "one class or more"));
    }
    let mut means = Vec::with_capacity(prompts.len());
    let (_, width) = check::matrix("prompts", &prompts[0])?;
    for (class, embeddings) in prompts.iter().enumerate() {
        let (_, channels) = check::matrix("prompts", embeddings)?;
        check::same("prompts", channels, width, "channels")?;
        check::finite("prompts", embeddings)?;
        let embeddings = check::f32(embeddings)?;
        let lengths = embeddings.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
        // A zero vector stays one instead of becoming NaN.
        let units = embeddings.broadcast_div(&lengths.maximum(f64::from(f32::MIN_POSITIVE))?)?;
        let mean = units.mean(0)?;
        let length = mean.sqr()?.sum_all()?.sqrt()?.to_scalar::<f32>()?;
        if length < 1e-6 {
            return Err(Error::argument(
                "prompts",
                format!("class {class}"),
                "embeddings that do not cancel out or vanish",
            ));
        }
        means.push((mean / f64::from(length))?);
    }
    Ok(Tensor::stack(&means, 0)?)
}

/// The head that predicts the class whose embedding (a row of C x d, as of [`class_embeddings`]) has the highest
/// cosine with a representation. Its logits on unit vectors are the cosines. Made of embeddings that know their CLIP, it
/// reads image embeddings of that CLIP only.
///
/// # Errors
/// An embedding that is zero, NaN or infinity; one class, which has nothing to be told from.
pub fn zero_shot<E: Vectors + ?Sized>(classes: &E) -> Result<LinearHead> {
    let head = of_classes(classes.vectors())?;
    Ok(head.reading(classes.model().cloned()))
}

fn of_classes(classes: &Tensor) -> Result<LinearHead> {
    let (c, _) = check::matrix("classes", classes)?;
    if c == 1 {
        return Err(Error::argument(
            "classes",
            "1 class",
            "two or more: with one, every image would be predicted as it; add a text for what it is not",
        ));
    }
    let rows = (0..c)
        .map(|i| Ok(classes.get(i)?.unsqueeze(0)?))
        .collect::<Result<Vec<_>>>()?;
    let weight = class_embeddings(&rows)?;
    let bias = Tensor::zeros(c, weight.dtype(), weight.device())?;
    LinearHead::new(weight, bias)
}
