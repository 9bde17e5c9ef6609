//! Two images, and what swaps parts of them.

use super::{SwapEffect, SwapEffects, Swapped};
use crate::activations::{
    ActivationCache, ActivationChange, Intervention, record, run_with, select,
};
use crate::data::DataSet;
use crate::decompose::{
    ComponentNames, Contributions, DecomposeOptions, Decomposer, Sharing, matching,
};
use crate::experiments::effects::hook_of;
use crate::experiments::readout::{Readout, WhichClass, best, f64, order};
use crate::facts::{self, Facts};
use crate::identity::{ModelId, debug_as_display};
use crate::models::Model;
use crate::process::progress::Progress;
use crate::process::stop;
use crate::{Error, Result};
use candle_core::Tensor;
use std::fmt;
use std::sync::Arc;

/// Two images of a set, decomposed, with a readout: what [`swap`] gives.
#[derive(Clone)]
pub struct Swap {
    pub(super) model: Arc<Model>,
    pub(super) readout: Readout,
    /// What the images are called: the one that is run, and the one that parts are taken of.
    pub(super) names: [String; 2],
    set: String,
    /// 1 x 3 x H x W each, normalised.
    pixels: [Tensor; 2],
    /// Of both images, in this order.
    contributions: Contributions,
    /// The logits of both.
    pub(super) logits: [Vec<f64>; 2],
    /// The classes whose logits' difference is measured.
    pub(super) classes: [usize; 2],
}

/// Run image `into` of `set` with parts of image `from`, both by their numbers, and see what `readout` makes of it:
/// `swap(&vit, &images, 3, 8, &probe)?.of("block 5 head *")?`.
///
/// Each component keeps its own constants ([`Sharing::Own`]), so that a contribution is nothing but what the component
/// itself adds.
///
/// # Errors
/// When an image does not exist or cannot be read, both numbers are the same, the readout is of another model, or the
/// readout has one class.
pub fn swap(
    model: &Arc<Model>,
    set: impl DataSet,
    into: usize,
    from: usize,
    readout: impl Into<Readout>,
) -> Result<Swap> {
    stop::begin();
    let readout = readout.into();
    readout.check_reads("swapping components", &ModelId::of(model))?;
    if let Some(missing) = [into, from].into_iter().find(|i| *i >= set.len()) {
        let expected = format!(
            "an image of {}, from 0 to {}",
            set.name(),
            set.len().max(1) - 1
        );
        return Err(Error::argument("image", missing, expected));
    }
    if into == from {
        let expected =
            "another image than the one that parts are put into; its own parts change nothing";
        return Err(Error::argument("from", from, expected));
    }
    let options = DecomposeOptions {
        sharing: Sharing::Own,
        ..DecomposeOptions::default()
    };
    let encoder = model.encoder();
    let pixels = set.pixels(&[into, from], model.input())?;
    let pixels = encoder
        .normalisation()
        .apply(&pixels.to_device(encoder.device())?)?;
    let decomposer = Decomposer::new(encoder, options)?.until(stop::requested);
    let contributions = decomposer.run(&pixels)?;
    let logits = readout.logits(contributions.representation())?;
    let [a, b] = &logits[..] else {
        return Err(Error::trace("two images gave another number of logits"));
    };
    let predicted = best(a);
    // Where both are predicted alike, the second-best class of the image that parts are taken of.
    let other = order(b).find(|class| *class != predicted).ok_or_else(|| {
        Error::argument(
            "readout",
            "1 class",
            "two classes or more, whose logits can be compared",
        )
    })?;
    Ok(Swap {
        model: model.clone(),
        names: [into, from].map(|i| format!("image {i}")),
        set: set.name().to_string(),
        pixels: [pixels.narrow(0, 0, 1)?, pixels.narrow(0, 1, 1)?],
        logits: [a.clone(), b.clone()],
        classes: [other, predicted],
        contributions,
        readout,
    })
}

impl Swap {
    /// The same, measured by the logit of class `a` less that of class `b`.
    ///
    /// # Errors
    /// When there is no such class, or both are the same.
    pub fn between(&self, a: impl WhichClass, b: impl WhichClass) -> Result<Self> {
        let (a, b) = (self.readout.class(a)?, self.readout.class(b)?);
        if a == b {
            let expected = "two classes that differ";
            return Err(Error::argument("classes", format!("{a} and {b}"), expected));
        }
        Ok(Self {
            classes: [a, b],
            ..self.clone()
        })
    }

    /// The names of the components that can be swapped.
    pub fn components(&self) -> Vec<String> {
        self.contributions.names()
    }

    /// Swap what each of `names` names, one after the other: a component, `"block 5 head 3"`, or with a pattern several at
    /// once, `"block 5 *"`.
    ///
    /// # Errors
    /// When a name or pattern fits no component, or the call was stopped.
    pub fn of(&self, names: impl ComponentNames) -> Result<SwapEffects> {
        let all = self.contributions.components();
        let patterns = names.patterns();
        let wanted = patterns.into_iter().map(|pattern| {
            let places = matching(all, pattern)?;
            let label = match places.len() {
                1 => all[places[0]].to_string(),
                n => format!("{pattern} ({n})"),
            };
            Ok((label, places))
        });
        self.run(wanted.collect::<Result<_>>()?)
    }

    /// Swap every head, MLP and convolution by itself: [`SwapEffects::heads`] shows them as layers by heads.
    ///
    /// # Errors
    /// When the call was stopped.
    pub fn sweep(&self) -> Result<SwapEffects> {
        let all = self.contributions.components().iter().enumerate();
        let parts = all.filter(|(_, component)| component.block().is_some());
        self.run(
            parts
                .map(|(i, component)| (component.to_string(), vec![i]))
                .collect(),
        )
    }

    fn run(&self, wanted: Vec<(String, Vec<usize>)>) -> Result<SwapEffects> {
        stop::begin();
        let all = self.contributions.components();
        let encoder = self.model.encoder();
        // What is swapped is recorded once.
        let places = wanted.iter().flat_map(|(_, places)| places);
        let mut hooks: Vec<String> = places.filter_map(|&i| hook_of(all[i])).collect();
        hooks.sort();
        hooks.dedup();
        let recorded = match hooks.is_empty() {
            true => None,
            false => {
                let hooks: Vec<&str> = hooks.iter().map(String::as_str).collect();
                Some(record(encoder, &self.pixels[1], &select(encoder, &hooks)?)?)
            }
        };
        let what = format!("swap {}, {}", self.model.name(), self.set);
        let mut progress = Progress::new(what.as_str(), wanted.len());
        let mut effects = Vec::with_capacity(wanted.len());
        for (done, (label, places)) in wanted.into_iter().enumerate() {
            if stop::requested() {
                let kept = format!(
                    "{done} swaps were done, and none is kept; call it again with fewer names"
                );
                return Err(Error::Interrupted { what, kept });
            }
            progress.at(done, "");
            let total = match &recorded {
                Some(recorded) => self.total(&places, recorded)?,
                None => None,
            };
            effects.push(SwapEffect {
                direct: self.direct(&places)?,
                total,
                components: places.iter().map(|&i| all[i]).collect(),
                name: label,
            });
        }
        Ok(SwapEffects::new(self, effects))
    }

    /// The representation with the contributions at `places` swapped.
    fn direct(&self, places: &[usize]) -> Result<Swapped> {
        let mut z = f64(&self.contributions.representation().narrow(0, 0, 1)?)?;
        for &i in places {
            let both = f64(&self.contributions.values().get(i)?)?;
            z = (z + (both.narrow(0, 1, 1)? - both.narrow(0, 0, 1)?)?)?;
        }
        self.swapped(&z)
    }

    /// The forward pass with the activations of the components at `places` swapped; none where one of them is not computed
    /// on the way.
    fn total(&self, places: &[usize], recorded: &ActivationCache) -> Result<Option<Swapped>> {
        let encoder = self.model.encoder();
        let all = self.contributions.components();
        let hooks: Option<Vec<String>> = places.iter().map(|&i| hook_of(all[i])).collect();
        let Some(hooks) = hooks else {
            return Ok(None);
        };
        let interventions = hooks
            .iter()
            .map(|hook| Intervention::on(encoder, hook, ActivationChange::Swap(recorded.clone())));
        let interventions = interventions.collect::<Result<Vec<_>>>()?;
        let run = run_with(encoder, &self.pixels[0], &interventions)?;
        self.swapped(&f64(&run.representation)?).map(Some)
    }

    fn swapped(&self, z: &Tensor) -> Result<Swapped> {
        let logits = self.readout.logits(z)?.swap_remove(0);
        Ok(Swapped {
            predicted: best(&logits),
            difference: self.difference(&logits),
            logits,
        })
    }

    /// The logit of the one class less that of the other.
    pub(super) fn difference(&self, logits: &[f64]) -> f64 {
        logits[self.classes[0]] - logits[self.classes[1]]
    }

    /// `tiny_vit: image 3 with parts of image 8, generated seed 1`.
    pub(super) fn title(&self) -> String {
        let [into, from] = &self.names;
        format!(
            "{}: {into} with parts of {from}, {}",
            self.model.name(),
            self.set
        )
    }

    /// `star less circle`.
    pub(super) fn measured(&self) -> String {
        let names = self.readout.classes();
        let [a, b] = self.classes;
        format!("{} less {}", names[a], names[b])
    }
}

impl fmt::Display for Swap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.readout.classes();
        let [into, from] = [&self.logits[0], &self.logits[1]];
        let line = |logits: &Vec<f64>| {
            let class = best(logits);
            format!(
                "predicted {}, {} {}",
                names[class],
                self.measured(),
                facts::number(self.difference(logits))
            )
        };
        let all = self.contributions.components();
        let heads = all.iter().filter(|c| c.is_head());
        let shown = Facts::new(self.title())
            .row(&self.names[0], line(into))
            .row(&self.names[1], line(from))
            .row(
                "components",
                format!(
                    "{}, {} heads",
                    crate::decompose::names_in_words(all),
                    heads.count()
                ),
            )
            .row(
                "ask",
                ".of(&[\"block 5 head 3\", \"block 4 *\"])?, .sweep()?, .between(\"a\", \"b\")?",
            );
        write!(f, "{shown}")
    }
}

debug_as_display!(Swap);
