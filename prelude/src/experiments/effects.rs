//! Direct against total effects: what a component adds to the representation itself, and what the model makes of its
//! absence.
//!
//! The decomposition is about direct effects: a component's contribution, with norms and attention as they were. In a real
//! forward pass without the component later layers read another stream, and may make up for it ("The Hydra Effect",
//! McGrath et al. 2023) or fail with it. Both are measured here for mean ablation: the component's contribution less its
//! mean, and the change of the representation when its activation is replaced by its mean over the images.

use crate::activations::ActivationChange;
use crate::charts::{GroupedBars, Table};
use crate::data::DataSet;
use crate::decompose::{BlockPart, Component, Contributions, DecomposeOptions, Sharing};
use crate::models::Model;
use crate::session;
use crate::{Error, Result};
use candle_core::{D, DType, Tensor};

/// The effects of mean-ablating one component.
#[derive(Clone, Debug)]
pub struct Effect {
    pub component: String,
    /// The mean over images of the length of the direct change, over the mean length of the representation.
    pub direct: f64,
    /// The mean over images of the length of the total change, over the mean length of the representation.
    pub total: f64,
    /// The mean over images of the cosine between the two changes: 1 where later layers do nothing about it.
    pub cosine: f64,
}

/// Direct and total effects of several components on one set of images.
#[derive(Clone, Debug)]
pub struct Effects {
    model: String,
    data: String,
    images: usize,
    pub effects: Vec<Effect>,
}

/// Mean-ablate each of `components` ("block 5 head 3", "block 4 mlp") of `model` on the images of `set`, directly and in
/// a real forward pass.
///
/// # Errors
/// When a component is not there or is no part of a block, an image cannot be read, or the call was stopped.
pub fn effects(
    model: impl AsRef<Model>,
    set: impl DataSet,
    components: &[&str],
) -> Result<Effects> {
    let model = model.as_ref();
    let set: &dyn DataSet = &set;
    // Each component's own constants: a share of those of others would be a direct effect of nothing.
    let options = DecomposeOptions {
        sharing: Sharing::Own,
        ..DecomposeOptions::default()
    };
    let contributions = session::decompose(model, set, &options)?;
    let whole = contributions.representation().to_dtype(DType::F64)?;
    let size = lengths(&whole)?.mean_all()?.to_scalar::<f64>()?;
    let effects = components
        .iter()
        .map(|name| {
            let name = *name;
            let direct = direct(&contributions, name)?;
            let hook = hook(&contributions, name)?;
            let recorded = session::activations(model, set, &[&hook])?;
            let run = session::intervene(model, set, &[(&hook, ActivationChange::Mean(recorded))])?;
            let total = (run.representation.to_dtype(DType::F64)? - &whole)?;
            let relative = |change: &Tensor| -> Result<f64> {
                let length = lengths(change)?.mean_all()?.to_scalar::<f64>()?;
                Ok(length / size.max(f64::MIN_POSITIVE))
            };
            Ok(Effect {
                component: name.to_string(),
                direct: relative(&direct)?,
                total: relative(&total)?,
                cosine: mean_cosine(&direct, &total)?,
            })
        })
        .collect::<Result<_>>()?;
    Ok(Effects {
        model: model.name().to_string(),
        data: set.name().to_string(),
        images: set.len(),
        effects,
    })
}

/// The mean contribution less the contribution: what replacing it by its mean adds, B x d.
fn direct(contributions: &Contributions, name: &str) -> Result<Tensor> {
    let own = contributions.get(name)?.to_dtype(DType::F64)?;
    Ok(own.mean_keepdim(0)?.broadcast_sub(&own)?)
}

/// The name of the activation that the component called `name` comes from.
fn hook(contributions: &Contributions, name: &str) -> Result<String> {
    let found = contributions.components().iter();
    let component = found.copied().find(|c| c.to_string() == name);
    component.and_then(hook_of).ok_or_else(|| {
        Error::argument(
            "component",
            format!("\"{name}\""),
            "a part of a block, such as \"block 5 head 3\" or \"block 4 mlp\": nothing else is computed on the way",
        )
    })
}

/// The name of the activation that a component comes from; none of what is no part of a block, which is not computed on the
/// way.
pub(super) fn hook_of(component: Component) -> Option<String> {
    let Component::Part { block, part } = component else {
        return None;
    };
    Some(match part {
        BlockPart::Head(head) => format!("{block} head {head} z"),
        BlockPart::Attention => format!("{block} attn_out"),
        BlockPart::Mlp => format!("{block} mlp_out"),
        BlockPart::Conv => format!("{block} conv_out"),
    })
}

fn lengths(rows: &Tensor) -> Result<Tensor> {
    Ok(rows.sqr()?.sum(D::Minus1)?.sqrt()?)
}

fn mean_cosine(a: &Tensor, b: &Tensor) -> Result<f64> {
    let products = (a * b)?.sum(D::Minus1)?;
    let lengths = (lengths(a)? * lengths(b)?)?;
    let cosines = (products / lengths.maximum(f64::MIN_POSITIVE)?)?;
    Ok(cosines.mean_all()?.to_scalar::<f64>()?)
}

impl Effects {
    fn title(&self) -> String {
        format!(
            "{}: direct and total effects, {}, n = {}",
            self.model, self.data, self.images
        )
    }

    /// One row a component.
    pub fn table(&self) -> Table {
        let header = ["component", "direct", "total", "total / direct", "cosine"];
        let table = Table::new(self.title()).columns(header);
        self.effects.iter().fold(table, |table, effect| {
            table.row([
                effect.component.clone(),
                format!("{:.4}", effect.direct),
                format!("{:.4}", effect.total),
                format!("{:.2}", effect.total / effect.direct),
                format!("{:.2}", effect.cosine),
            ])
        })
    }

    /// Both effects of each component, as bars.
    pub fn chart(&self) -> GroupedBars {
        let chart = GroupedBars::new(
            self.title(),
            "change over the representation's length",
            ["direct", "total"],
        );
        self.effects.iter().fold(chart, |chart, effect| {
            chart.group(effect.component.as_str(), [effect.direct, effect.total])
        })
    }
}

impl std::fmt::Display for Effects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.table())
    }
}

impl Effects {
    /// Shown by evcxr.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display()
    }
}
