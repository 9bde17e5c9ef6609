//! What contributions show of themselves.

use super::names::names_in_words;
use super::part::rows;
use super::{
    BlockPart, ChunkedContributions, Component, Contributions, DecomposeOptions, DecomposeTarget,
    Decomposer, Granularity, Origin, Sharing, TokenContributions,
};
use crate::facts::{self, Facts};
use crate::identity::debug_as_display;
use crate::trace::Block;
use crate::{Error, Result};
use candle_core::{D, DType, Tensor};
use std::fmt;

/// Images over which the lengths of a display are taken: it must not take long.
const SAMPLE: usize = 256;

/// Rows of blocks that a display has.
const BLOCKS: usize = 26;

impl fmt::Display for Contributions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = match self.origin() {
            Some(origin) => format!(
                "contributions of {} of {}, width {}: {}",
                how_many(self.len(), self.part_of()),
                origin.model,
                self.values().dims()[2],
                origin.images
            ),
            None => format!(
                "contributions of {}, width {}: unknown origin, {}",
                how_many(self.len(), self.part_of()),
                self.values().dims()[2],
                facts::count(self.images(), "image")
            ),
        };
        let shown = Facts::new(title)
            .row("components", names_in_words(self.components()))
            .maybe(
                "options",
                self.origin().map(|origin| origin.options.words()),
            )
            .row("values", facts::held(self.values(), self.bytes()))
            .maybe(
                "tokens",
                self.token_contributions().map(TokenContributions::line),
            )
            .maybe(
                "images",
                self.image_names().map(|names| facts::list(names, 100)),
            )
            .lines(norms(self.components(), self.values()));
        write!(f, "{shown}")
    }
}

impl fmt::Display for ChunkedContributions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = match self.origin() {
            Some(origin) => format!(
                "{}, width {}: {}",
                origin.model,
                self.width(),
                origin.images
            ),
            None => {
                let images = facts::count(self.images(), "image");
                format!("unknown origin, width {}: {images}", self.width())
            }
        };
        let title = format!(
            "contributions of {} of {of}",
            how_many(self.len(), self.part_of())
        );
        let shown = Facts::new(title)
            .row("components", names_in_words(self.components()))
            .maybe("options", self.options().map(DecomposeOptions::words))
            .row(
                "values",
                format!(
                    "{} in {}, read when they are used ({} in memory)",
                    facts::count(self.chunks(), "chunk"),
                    self.place(),
                    facts::size(self.bytes())
                ),
            )
            .maybe(
                "images",
                self.image_names().map(|names| facts::list(names, 100)),
            );
        write!(f, "{shown}")
    }
}

/// `43 components`, or `6 of 43 components`.
pub(crate) fn how_many(len: usize, part_of: Option<usize>) -> String {
    match part_of {
        None => facts::count(len, "component"),
        Some(all) => format!("{len} of {all} components"),
    }
}

impl DecomposeOptions {
    /// The options in a few words: `heads, equal shares of the constants`.
    pub(crate) fn words(&self) -> String {
        let mut words = vec![
            match self.granularity {
                Granularity::Layers => "layers",
                Granularity::Heads => "heads",
                Granularity::Tokens => "heads and tokens",
            }
            .to_string(),
        ];
        words.push(match self.sharing {
            Sharing::Equal => "constants shared equally".into(),
            Sharing::Own => "constants apart".into(),
        });
        if let DecomposeTarget::Logit(k) = self.target {
            words.push(format!("logit {k}"));
        }
        if let Some(first) = self.first_block {
            words.push(format!("from {first}"));
        }
        words.join(", ")
    }
}

impl fmt::Display for Decomposer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = format!(
            "decomposer into {}",
            how_many(self.components().len(), None)
        );
        let shown = Facts::new(title)
            .row("components", names_in_words(self.components()))
            .row("options", self.options.words());
        write!(f, "{shown}")
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} ({})", self.options.words())
    }
}

debug_as_display!(
    Decomposer<'_>,
    ChunkedContributions,
    Contributions,
    TokenContributions,
    Component
);

/// The lengths of what each block adds, mean over images, as lines of bars: attention, MLP and convolution beside each
/// other. What cannot be computed is said in the line.
pub(crate) fn norms(components: &[Component], values: &Tensor) -> Vec<String> {
    match lengths(components, values) {
        Ok(lines) => lines,
        Err(e) => vec![format!("no lengths: {e}")],
    }
}

/// The parts of a block whose lengths stand beside each other.
const KINDS: [&str; 3] = ["conv", "attn", "mlp"];

fn lengths(components: &[Component], values: &Tensor) -> Result<Vec<String>> {
    let (_, images, _) = values.dims3()?;
    if components.is_empty() || images == 0 {
        return Ok(Vec::new());
    }
    let sample = images.min(SAMPLE);
    let values = values.narrow(1, 0, sample)?.to_dtype(DType::F32)?;
    let length = |group: &[usize]| -> Result<f64> {
        let sum = rows(&values, 0, group)?.sum(0)?;
        let length = sum.sqr()?.sum(D::Minus1)?.sqrt()?.mean_all()?;
        Ok(f64::from(length.to_scalar::<f32>()?))
    };
    let mut alone: Vec<(String, f64)> = Vec::new();
    let mut blocks: Vec<(Block, [Vec<usize>; 3])> = Vec::new();
    for (i, component) in components.iter().enumerate() {
        let Component::Part { block, part } = component else {
            alone.push((component.to_string(), length(&[i])?));
            continue;
        };
        let kind = match part {
            BlockPart::Conv => 0,
            BlockPart::Attention | BlockPart::Head(_) => 1,
            BlockPart::Mlp => 2,
        };
        let block = block.whole();
        match blocks.iter_mut().find(|(known, _)| *known == block) {
            Some((_, groups)) => groups[kind].push(i),
            None => {
                let mut groups = <[Vec<usize>; 3]>::default();
                groups[kind].push(i);
                blocks.push((block, groups));
            }
        }
    }
    let mut rows: Vec<(String, [Option<f64>; 3])> = Vec::new();
    for (block, groups) in &blocks {
        let mut found = [None; 3];
        for (kind, group) in groups.iter().enumerate() {
            if !group.is_empty() {
                found[kind] = Some(length(group)?);
            }
        }
        rows.push((block.to_string(), found));
    }
    let all = rows.iter().flat_map(|(_, found)| found.iter().flatten());
    let most = all
        .chain(alone.iter().map(|(_, v)| v))
        .fold(0.0, |most: f64, v| most.max(*v));
    if !most.is_finite() {
        return Err(Error::argument("values", most, "they hold NaN or infinity"));
    }
    let label = rows.iter().map(|(label, _)| label.chars().count());
    let label = label.chain(alone.iter().map(|(l, _)| l.chars().count()));
    let width = label.max().unwrap_or(0);
    let over = match sample < images {
        true => format!("the first {sample} images"),
        false => facts::count(images, "image"),
    };
    let mut lines = vec![format!("length, mean over {over}:")];
    for (name, value) in &alone {
        lines.push(format!("{name:<width$}  {}", facts::bar_of(*value, most)));
    }
    let there: Vec<usize> = (0..KINDS.len())
        .filter(|&k| rows.iter().any(|(_, found)| found[k].is_some()))
        .collect();
    for (name, found) in rows.iter().take(BLOCKS) {
        let columns = there.iter().map(|&k| match found[k] {
            Some(value) => format!("{:<4} {}", KINDS[k], facts::bar_of(value, most)),
            None => " ".repeat(32),
        });
        let columns: Vec<String> = columns.collect();
        lines.push(format!("{name:<width$}  {}", columns.join("  ")));
    }
    if rows.len() > BLOCKS {
        lines.push(format!("and {} more blocks", rows.len() - BLOCKS));
    }
    Ok(lines)
}
