//! Maps of what in an image a class score depends on, as other methods than the decomposition draw them: to compare with.
//!
//! | [`RelevanceMethod`] | source | models |
//! | --- | --- | --- |
//! | `GradCam` | Selvaraju et al. 2017, on the last block's norm as `pytorch-grad-cam` takes it | all |
//! | `TransformerAttribution` | Chefer, Gur, Wolf, CVPR 2021: layer-wise relevance times gradient, rolled out | class token |
//! | `GenericAttention` | Chefer, Gur, Wolf, ICCV 2021: gradient times attention, rolled out | class token |
//! | `Rollout` | Abnar, Zuidema 2020 | class token |
//! | `LastAttention` | the class token's attention in the last block, as DINO shows it | class token |
//! | `AttentionGradCam` | Chefer et al.'s Grad-CAM baseline on the last block's attention | class token |
//!
//! All of them read one forward pass of the traced model, with the same preprocessing, so that they can be compared.
//! Maps are B x h x w over the patches; [`crate::score::enlarge`] brings them to the image.

mod attention;
mod grad_cam;
mod lrp;

pub use attention::{attention_grad_cam, generic_attention, last_attention, rollout};
pub use grad_cam::{GradCam, grad_cam, scaled_to_unit};
pub use lrp::{attention_relevance, transformer_attribution};

use crate::activations::{Gradients, Objective, Selected, gradients, select};
use crate::models::ImageEncoder;
use crate::trace::{HookKind, HookPoint, Partition};
use crate::{Error, Result};
use candle_core::Tensor;

/// How a map is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelevanceMethod {
    GradCam,
    /// Rolled out from block `start` on (1 in the published experiments); `row_normalised` divides each map by its row
    /// sums first, which the published code does not.
    TransformerAttribution {
        start: usize,
        row_normalised: bool,
    },
    GenericAttention,
    Rollout,
    LastAttention,
    AttentionGradCam,
}

impl RelevanceMethod {
    /// As a table or a legend says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::GradCam => "Grad-CAM",
            Self::TransformerAttribution { .. } => "transformer attribution",
            Self::GenericAttention => "generic attention",
            Self::Rollout => "rollout",
            Self::LastAttention => "last attention",
            Self::AttentionGradCam => "attention Grad-CAM",
        }
    }
}

/// The map of `method` for each of the normalised images `pixels` (B x 3 x H x W): B x h x w over the patches, row by
/// row, not scaled; ReLU where the method has it.
///
/// # Errors
/// When the objective does not fit the model, or the method is not defined for it (the attention methods read the class
/// token's row, which a model that pools means or attends within windows does not have).
pub fn relevance(
    model: &dyn ImageEncoder,
    pixels: &Tensor,
    objective: Objective,
    method: RelevanceMethod,
) -> Result<Tensor> {
    let (grid, prefix) = model.token_grid();
    let patches = |rows: Tensor| -> Result<Tensor> {
        // The class token's row, from which its own and the registers' share is left out.
        let (b, tokens) = rows.dims2()?;
        let count = tokens - prefix;
        Ok(rows.narrow(1, prefix, count)?.reshape((b, grid, grid))?)
    };
    match method {
        RelevanceMethod::GradCam => {
            let at = [grad_cam_point(model)?];
            let found = gradients(model, pixels, &at, objective)?;
            let name = at[0].to_string();
            let (values, slopes) = (found.values.get(&name)?, found.gradients.get(&name)?);
            let prefix = if at[0].point.block.stage.is_none() {
                prefix
            } else {
                0
            };
            Ok(grad_cam(&values, &slopes, prefix)?.raw.relu()?)
        }
        RelevanceMethod::TransformerAttribution {
            start,
            row_normalised,
        } => {
            check_class_token(model, method)?;
            let relevance = attention_relevance(model, pixels, objective)?;
            let found = patterns(model, pixels, objective)?;
            let slopes = in_blocks(&found, false)?;
            patches(transformer_attribution(
                &relevance,
                &slopes,
                start,
                row_normalised,
            )?)
        }
        RelevanceMethod::GenericAttention => {
            check_class_token(model, method)?;
            let found = patterns(model, pixels, objective)?;
            patches(generic_attention(
                &in_blocks(&found, true)?,
                &in_blocks(&found, false)?,
            )?)
        }
        RelevanceMethod::Rollout => {
            check_class_token(model, method)?;
            let found = patterns(model, pixels, objective)?;
            patches(rollout(&in_blocks(&found, true)?)?)
        }
        RelevanceMethod::LastAttention => {
            check_class_token(model, method)?;
            let found = patterns(model, pixels, objective)?;
            patches(last_attention(&in_blocks(&found, true)?)?)
        }
        RelevanceMethod::AttentionGradCam => {
            check_class_token(model, method)?;
            let found = patterns(model, pixels, objective)?;
            let (values, slopes) = (in_blocks(&found, true)?, in_blocks(&found, false)?);
            attention_grad_cam(&values, &slopes, prefix)?
                .reshape((pixels.dim(0)?, grid, grid))
                .map_err(Error::from)
        }
    }
}

/// Every block's attention and its gradients.
fn patterns(model: &dyn ImageEncoder, pixels: &Tensor, objective: Objective) -> Result<Gradients> {
    gradients(
        model,
        pixels,
        &select(model, &["block * pattern"])?,
        objective,
    )
}

/// The values, or else the gradients, block by block: B x H x T x T each.
fn in_blocks(found: &Gradients, values: bool) -> Result<Vec<Tensor>> {
    let of = if values {
        &found.values
    } else {
        &found.gradients
    };
    Ok(of.all()?.into_iter().map(|(_, tensor)| tensor).collect())
}

/// Where the published experiments take Grad-CAM: the last block's first norm of a ViT, its second one of a Swin, and the
/// window attention's norm of a MaxViT.
fn grad_cam_point(model: &dyn ImageEncoder) -> Result<Selected> {
    let last = model
        .blocks()
        .last()
        .copied()
        .ok_or_else(|| Error::trace("the model has no blocks"))?;
    let (block, kind) = match (last.partition, last.stage) {
        (Some(_), _) => (last.whole().part(Partition::Window), HookKind::Ln1),
        (None, Some(_)) => (last, HookKind::Ln2),
        (None, None) => (last, HookKind::Ln1),
    };
    let name = HookPoint { block, kind }.to_string();
    select(model, &[&name])?
        .pop()
        .ok_or_else(|| Error::trace(format!("the forward pass has no \"{name}\"")))
}

fn check_class_token(model: &dyn ImageEncoder, method: RelevanceMethod) -> Result<()> {
    let pooling = model.anatomy().pooling;
    let staged = model.blocks().iter().any(|block| block.stage.is_some());
    if pooling == "class token" && !staged {
        return Ok(());
    }
    let why = if staged {
        "attends within windows".to_string()
    } else {
        format!("pools by \"{pooling}\"")
    };
    Err(Error::argument(
        "method",
        method.name(),
        format!(
            "for a model that reads its class token, and this one {why}; RelevanceMethod::GradCam and the decomposition's source \
             tokens are for every model"
        ),
    ))
}
