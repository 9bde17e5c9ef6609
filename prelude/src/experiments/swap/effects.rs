//! What swaps came to: a table, bars, and a matrix of layers by heads.

use super::Swap;
use crate::charts::{GroupedBars, HeadGrid, Table};
use crate::decompose::Component;
use crate::experiments::readout::best;
use crate::files::rows::{Column, export};
use crate::identity::debug_as_display;
use crate::{Error, Result};
use std::fmt;
use std::path::Path;

/// What is made of the representation after one swap.
#[derive(Clone, Debug)]
pub struct Swapped {
    /// Of every class.
    pub logits: Vec<f64>,
    /// The class with the largest logit.
    pub predicted: usize,
    /// The logit of the one class less that of the other.
    pub difference: f64,
}

/// One swap: of one component, or of several together.
#[derive(Clone, Debug)]
pub struct SwapEffect {
    pub name: String,
    pub components: Vec<Component>,
    /// The contributions swapped, everything else as it was.
    pub direct: Swapped,
    /// The activations swapped in the forward pass; none of what is not computed there, such as `init`.
    pub total: Option<Swapped>,
}

/// Several swaps between the same two images.
#[derive(Clone)]
pub struct SwapEffects {
    title: String,
    measured: String,
    names: [String; 2],
    classes: Vec<String>,
    /// The difference of the image that is run and of the one that parts are taken of, and the classes predicted.
    ends: [f64; 2],
    predicted: [usize; 2],
    pub effects: Vec<SwapEffect>,
}

/// A difference that the two images share to this part of their logits cannot be divided by.
const SAME: f64 = 1e-9;

impl SwapEffects {
    pub(super) fn new(swap: &Swap, effects: Vec<SwapEffect>) -> Self {
        let [into, from] = &swap.logits;
        Self {
            title: swap.title(),
            measured: swap.measured(),
            names: swap.names.clone(),
            classes: swap.readout.classes(),
            ends: [swap.difference(into), swap.difference(from)],
            predicted: [best(into), best(from)],
            effects,
        }
    }

    /// The difference of logits of the image that is run, and of the one that parts are taken of.
    pub fn ends(&self) -> [f64; 2] {
        self.ends
    }

    /// How far a difference goes from the one image's (0) to the other's (1); none where both have the same.
    pub fn share(&self, difference: f64) -> Option<f64> {
        let [into, from] = self.ends;
        let way = from - into;
        (way.abs() > SAME * (into.abs() + from.abs())).then(|| (difference - into) / way)
    }

    /// One row a swap: the difference of logits after it, how far that goes from the one image (0) to the other (1), and the
    /// class predicted; directly and in the forward pass.
    pub fn table(&self) -> Table {
        let [into, from] = &self.names;
        let title = format!("{}: {}", self.title, self.measured);
        let header = [
            "swapped".to_string(),
            "direct".to_string(),
            format!("towards {from}"),
            "predicted".to_string(),
            "total".to_string(),
            format!("towards {from}"),
            "predicted".to_string(),
        ];
        let share = |difference| {
            self.share(difference)
                .map_or("–".to_string(), |s| format!("{s:.3}"))
        };
        let cells = |swapped: &Swapped| {
            let class = self.classes[swapped.predicted].clone();
            [
                format!("{:.3}", swapped.difference),
                share(swapped.difference),
                class,
            ]
        };
        let end = |name: &str, end: usize| {
            let at = [
                format!("{:.3}", self.ends[end]),
                share(self.ends[end]),
                self.classes[self.predicted[end]].clone(),
            ];
            [vec![name.to_string()], at.to_vec(), at.to_vec()].concat()
        };
        let table = Table::new(title)
            .columns(header)
            .row(end(&format!("nothing ({into})"), 0));
        let table = self.effects.iter().fold(table, |table, effect| {
            let total = effect.total.as_ref().map(cells);
            let total = total.unwrap_or_else(|| ["–", "–", "–"].map(str::to_string));
            table.row(
                [
                    vec![effect.name.clone()],
                    cells(&effect.direct).to_vec(),
                    total.to_vec(),
                ]
                .concat(),
            )
        });
        table.row(end(&format!("everything ({from})"), 1))
    }

    /// By how much each swap changes the difference of logits, directly and in the forward pass.
    pub fn chart(&self) -> GroupedBars {
        let [into, _] = self.ends;
        let title = format!("{}: direct and total effects", self.title);
        let axis = format!("change of the logit of {}", self.measured);
        let chart = GroupedBars::new(title, axis, ["direct", "total"]);
        self.effects.iter().fold(chart, |chart, effect| {
            let total = effect.total.as_ref().map(|total| total.difference - into);
            chart.group(
                effect.name.as_str(),
                [Some(effect.direct.difference - into), total],
            )
        })
    }

    /// The total effects of swaps of single components as layers by heads: the change of the difference of logits.
    ///
    /// # Errors
    /// When none is of a single head, MLP or convolution.
    pub fn heads(&self) -> Result<HeadGrid> {
        self.grid("total", |effect| effect.total.as_ref())
    }

    /// The direct effects as layers by heads, as [`Self::heads`].
    ///
    /// # Errors
    /// As [`Self::heads`].
    pub fn heads_direct(&self) -> Result<HeadGrid> {
        self.grid("direct", |effect| Some(&effect.direct))
    }

    fn grid(&self, which: &str, of: impl Fn(&SwapEffect) -> Option<&Swapped>) -> Result<HeadGrid> {
        let [into, from] = self.ends;
        let single = self
            .effects
            .iter()
            .filter_map(|effect| match effect.components[..] {
                [component] if component.block().is_some() => {
                    Some((component, of(effect)?.difference - into))
                }
                _ => None,
            });
        let single: Vec<_> = single.collect();
        if single.is_empty() {
            let expected = "swaps of single heads or MLPs: .sweep()? makes all of them";
            return Err(Error::argument("effects", self.effects.len(), expected));
        }
        let legend = format!(
            "change of the logit of {} by each swap; all together: {:.2}",
            self.measured,
            from - into
        );
        HeadGrid::new(format!("{}: {which} effects", self.title), legend, single)
    }

    /// The `count` swaps whose total effect is largest either way; by the direct one where there is no total.
    pub fn top(&self, count: usize) -> Self {
        let size = |effect: &SwapEffect| {
            let swapped = effect.total.as_ref().unwrap_or(&effect.direct);
            (swapped.difference - self.ends[0]).abs()
        };
        let mut effects = self.effects.clone();
        effects.sort_by(|a, b| size(b).total_cmp(&size(a)));
        effects.truncate(count);
        Self {
            effects,
            ..self.clone()
        }
    }

    /// Writes one row a swap in full precision, with the logit of every class after it: `.csv` or `.parquet`.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let direct = || self.effects.iter().map(|effect| &effect.direct);
        let total = || self.effects.iter().map(|effect| effect.total.as_ref());
        let class = |swapped: &Swapped| self.classes[swapped.predicted].clone();
        let n = self.effects.len();
        let mut columns = vec![
            (
                "swapped".to_string(),
                Column::Text(self.effects.iter().map(|e| e.name.clone()).collect()),
            ),
            (
                "measured".to_string(),
                Column::Text(vec![self.measured.clone(); n]),
            ),
            ("before".to_string(), Column::Number(vec![self.ends[0]; n])),
            (
                "other_image".to_string(),
                Column::Number(vec![self.ends[1]; n]),
            ),
            (
                "direct".to_string(),
                Column::Number(direct().map(|s| s.difference).collect()),
            ),
            (
                "direct_predicted".to_string(),
                Column::Text(direct().map(class).collect()),
            ),
            (
                "total".to_string(),
                Column::Maybe(total().map(|s| Some(s?.difference)).collect()),
            ),
            (
                "total_predicted".to_string(),
                Column::Text(total().map(|s| s.map(class).unwrap_or_default()).collect()),
            ),
        ];
        for number in 0..self.classes.len() {
            let logits = direct().map(|s| s.logits[number]).collect();
            columns.push((format!("direct_logit_{number}"), Column::Number(logits)));
            let logits = total().map(|s| Some(s?.logits[number])).collect();
            columns.push((format!("total_logit_{number}"), Column::Maybe(logits)));
        }
        let columns: Vec<(&str, Column)> = columns
            .iter_mut()
            .map(|(name, column)| {
                (
                    name.as_str(),
                    std::mem::replace(column, Column::Count(Vec::new())),
                )
            })
            .collect();
        export(path.as_ref(), &columns)
    }

    /// Shows the table in an evcxr front end; called by evcxr for a value at the end of a cell.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display()
    }
}

impl fmt::Display for SwapEffects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 40;
        match self.effects.len() > SHOWN {
            false => write!(f, "{}", self.table()),
            true => {
                let left = self.effects.len() - SHOWN;
                writeln!(
                    f,
                    "{}and {left} more: .table() has all, .heads()? shows them as a matrix",
                    self.top(SHOWN).table()
                )
            }
        }
    }
}

debug_as_display!(SwapEffects);
