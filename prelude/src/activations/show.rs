//! What activations show of themselves.

use super::{Gradients, Intervened, Named};
use crate::facts::{self, Facts};
use crate::identity::debug_as_display;
use crate::trace::HookKind;
use std::fmt;
use std::ops::Deref;

/// The names of a model's activations with their shapes for one image, in the order of the forward pass: a slice of
/// texts such as `block 5 pattern: 1 x 6 x 37 x 37`. At the end of a cell they are gathered by kind and shape.
#[derive(Clone)]
pub struct ActivationNames {
    title: String,
    names: Vec<String>,
    kinds: Vec<(HookKind, Vec<usize>, Vec<String>)>,
}

impl ActivationNames {
    /// Those of the model called `model`.
    pub fn new(model: &str, named: &[Named]) -> Self {
        let mut kinds: Vec<(HookKind, Vec<usize>, Vec<String>)> = Vec::new();
        for one in named {
            let block = one.point.block.to_string();
            let known = kinds
                .iter_mut()
                .find(|(kind, shape, _)| *kind == one.point.kind && *shape == one.shape);
            match known {
                Some((_, _, blocks)) => blocks.push(block),
                None => kinds.push((one.point.kind, one.shape.clone(), vec![block])),
            }
        }
        Self {
            title: format!("{} of {model}", facts::count(named.len(), "activation")),
            names: named.iter().map(ToString::to_string).collect(),
            kinds,
        }
    }
}

impl Deref for ActivationNames {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.names
    }
}

/// One line for each kind and shape: the kind, the shape for one image, the blocks that have it.
impl fmt::Display for ActivationNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = Facts::new(&self.title);
        for (kind, shape, blocks) in &self.kinds {
            let shape: Vec<_> = shape.iter().map(usize::to_string).collect();
            let shape = shape.join(" x ");
            let blocks = match blocks.as_slice() {
                [first, .., last] => format!("{first} to {last} ({} blocks)", blocks.len()),
                _ => blocks.join(", "),
            };
            shown = shown.row(kind.name(), format!("{shape:<16}  {blocks}"));
        }
        write!(f, "{shown}")
    }
}

impl fmt::Display for Gradients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mean = self.objective.iter().map(|v| f64::from(*v)).sum::<f64>()
            / self.objective.len().max(1) as f64;
        write!(
            f,
            "gradients, the objective {} in the mean, of {}",
            facts::number(mean),
            self.gradients
        )
    }
}

impl fmt::Display for Intervened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = Facts::new("a forward pass with activations changed on the way")
            .row("representation", facts::tensor(&self.representation))
            .maybe("logits", self.logits.as_ref().map(facts::tensor));
        write!(f, "{shown}")
    }
}

debug_as_display!(ActivationNames, Gradients, Intervened);
