//! What activations show of themselves.

use super::{ActivationChange, Gradients, Intervened, Intervention, Named};
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
    blocks: String,
    kinds: Vec<Kind>,
}

/// Activations of one kind: in how many blocks they have which shape.
#[derive(Clone)]
struct Kind {
    kind: HookKind,
    shapes: Vec<(Vec<usize>, usize)>,
}

impl ActivationNames {
    /// The names in `named`, of the model called `model`.
    pub fn new(model: &str, named: &[Named]) -> Self {
        let mut kinds: Vec<Kind> = Vec::new();
        for one in named {
            let (kind, shape) = (one.point.kind, &one.shape);
            let place = kinds.iter().position(|known| known.kind == kind);
            let place = place.unwrap_or_else(|| {
                let shapes = Vec::new();
                kinds.push(Kind { kind, shapes });
                kinds.len() - 1
            });
            match kinds[place].shapes.iter_mut().find(|own| own.0 == *shape) {
                Some((_, blocks)) => *blocks += 1,
                None => kinds[place].shapes.push((shape.clone(), 1)),
            }
        }
        let blocks = match named {
            [first, .., last] => format!("{} to {}", first.point.block, last.point.block),
            _ => String::new(),
        };
        Self {
            title: format!("{} of {model}", facts::count(named.len(), "activation")),
            names: named.iter().map(ToString::to_string).collect(),
            blocks,
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

/// One line for each kind: its shapes for one image, and how many blocks have them.
impl fmt::Display for ActivationNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = Facts::new(&self.title).row("blocks", &self.blocks);
        for Kind { kind, shapes } in &self.kinds {
            let each = shapes.iter().map(|(shape, blocks)| {
                let shape: Vec<_> = shape.iter().map(usize::to_string).collect();
                format!("{} ({})", shape.join(" x "), facts::count(*blocks, "block"))
            });
            shown = shown.row(kind.name(), facts::list(each.collect::<Vec<_>>(), 120));
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

/// What becomes of the values, as a sentence about them would say it.
impl fmt::Display for ActivationChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero => f.write_str("zeros in place of the value"),
            Self::Scale(factor) => write!(f, "the value times {}", facts::number(*factor)),
            Self::Mean(recorded) => write!(f, "the mean of {recorded}"),
            Self::Swap(recorded) => write!(f, "values of another image: {recorded}"),
        }
    }
}

impl fmt::Display for Intervention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names();
        let title = format!("change of {}", facts::count(names.len(), "activation"));
        let shown = Facts::new(title)
            .row("activations", facts::list(names, 110))
            .row("use", "run_with(model, pixels, &[intervention], first)?");
        write!(f, "{shown}")
    }
}

debug_as_display!(
    ActivationChange,
    ActivationNames,
    Gradients,
    Intervened,
    Intervention
);
