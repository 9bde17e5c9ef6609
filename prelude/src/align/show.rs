//! What aligners and aligned contributions show of themselves.

use super::{
    AlignedContributions, Aligner, AlignerOrigin, Alignment, ChunkedAligned, FitOptions, FitReport,
};
use crate::decompose::show::{how_many, norms};
use crate::decompose::{Origin, names_in_words};
use crate::facts::{self, Facts};
use crate::identity::{ModelId, debug_as_display};
use std::fmt;

impl fmt::Display for AlignedContributions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clip = self.clip().map(ModelId::to_string);
        let of = match self.origin() {
            Some(origin) => format!(" of {}", origin.model),
            None => String::new(),
        };
        let images = match self.origin() {
            Some(origin) => origin.images.to_string(),
            None => format!("unknown origin, {}", facts::count(self.images(), "image")),
        };
        let shown = Facts::new(format!(
            "contributions of {}{of} in the space of {}, width {}: {images}",
            how_many(self.len(), self.part_of()),
            clip.as_deref().unwrap_or("an unknown CLIP"),
            self.values().dims()[2],
        ))
        .row("components", names_in_words(self.components()))
        .maybe(
            "options",
            self.origin().map(|origin| origin.options.words()),
        )
        .row("values", facts::tensor(self.values()))
        .lines(norms(self.components(), self.values()));
        write!(f, "{shown}")
    }
}

impl fmt::Display for ChunkedAligned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clip = self
            .clip()
            .map_or("an unknown CLIP".to_string(), ModelId::to_string);
        let all = self.contributions();
        let part_of = (self.len() < all.len()).then_some(all.len());
        let shown = Facts::new(format!(
            "contributions of {} in the space of {clip}, mapped when they are used",
            how_many(self.len(), part_of.or(all.part_of())),
        ))
        .row("components", names_in_words(&self.components()));
        write!(f, "{shown}\n{all}")
    }
}

impl FitReport {
    /// What the fit came to, in a line.
    fn line(&self) -> String {
        let stopped = match self.stopped_early {
            true => ", stopped early",
            false => "",
        };
        format!(
            "aligner: held-out cosine {:.4} on {} images (mean target {:.4}, start {:.4}), {} steps on {} images{stopped}, {:.1} s",
            self.held_out_cosine,
            self.held_out_images,
            self.baseline_cosine,
            self.history.first().map_or(f32::NAN, |h| h.1),
            self.steps,
            self.train_images,
            self.time.as_secs_f64()
        )
    }

    /// The held-out cosine by step, as far as it was taken.
    fn course(&self) -> String {
        const SHOWN: usize = 8;
        let all = self.history.len();
        let last = self.history.iter().skip(all.saturating_sub(SHOWN));
        let points = last.map(|(step, cosine)| format!("{cosine:.4} at {step}"));
        facts::list(points.collect::<Vec<_>>(), 130)
    }

    /// The isometry term, and how its gradient was taken.
    fn isometry(&self) -> String {
        let taken = match self.probes {
            Some(count) => format!(
                "estimated from {} a step",
                facts::count(count, "random probe")
            ),
            None => "taken exactly".to_string(),
        };
        format!("{:.4}, its gradient {taken}", self.orthogonality)
    }

    /// The time of a step, of a call that made one.
    fn step(&self) -> Option<String> {
        let seconds = self.time_per_step.as_secs_f64();
        (seconds > 0.0).then(|| format!("{:.2} ms", 1e3 * seconds))
    }

    fn rows(&self, shown: Facts) -> Facts {
        shown
            .row("held-out cosine by step", self.course())
            .row("training cosine", format!("{:.4}", self.train_cosine))
            .row("from isometry", self.isometry())
            .maybe("time per step", self.step())
    }
}

impl fmt::Display for FitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.rows(Facts::new(self.line())))
    }
}

impl Aligner {
    fn rows(&self, shown: Facts) -> Facts {
        let origin = self.origin();
        let from = origin.and_then(|origin| origin.source.as_ref());
        let clip = origin.and_then(|origin| origin.clip.as_ref());
        let to = clip.map_or("unknown".to_string(), ModelId::to_string);
        let maps = self.weights().map(facts::tensor);
        shown
            .row(
                "from",
                from.map_or("unknown".to_string(), Origin::to_string),
            )
            .row("to", to)
            .maybe("options", from.map(|from| from.options.words()))
            .maybe(
                "components",
                origin.map(|origin| names_in_words(&origin.components)),
            )
            .maybe("maps", maps)
    }
}

impl fmt::Display for Aligner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.rows(Facts::new(title(self))))
    }
}

fn title(aligner: &Aligner) -> String {
    match aligner.weights() {
        None => "aligner: identity, the components are in CLIP space".to_string(),
        Some(_) => "aligner, without the report of its fit".to_string(),
    }
}

impl fmt::Display for Alignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = match &self.report {
            Some(report) => report.rows(self.aligner.rows(Facts::new(report.line()))),
            None => self.aligner.rows(Facts::new(title(&self.aligner))),
        };
        write!(f, "{shown}")
    }
}

impl fmt::Display for AlignerOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unknown = || "unknown origin".to_string();
        let source = self.source.as_ref().map_or_else(unknown, Origin::to_string);
        let clip = self.clip.as_ref().map_or_else(unknown, ModelId::to_string);
        write!(f, "{source}, to {clip}")
    }
}

impl fmt::Display for FitOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = Facts::new("options of a fit")
            .row("learning_rate", self.learning_rate)
            .row("weight_decay", self.weight_decay)
            .row("orthogonality", self.orthogonality)
            .row("batch", self.batch)
            .row("epochs", self.epochs)
            .row("seed", self.seed)
            .row("held_out", self.held_out)
            .row("evaluations", self.evaluations)
            .row("patience", self.patience)
            .maybe("loss_patience", self.loss_patience)
            .row("isometry", format!("{:?}", self.isometry))
            .row("start", format!("{:?}", self.start))
            .maybe("checkpoint", self.checkpoint.as_ref().map(|p| p.display()));
        write!(f, "{shown}")
    }
}

debug_as_display!(
    FitOptions<'_>,
    ChunkedAligned,
    AlignedContributions,
    FitReport,
    Aligner,
    AlignerOrigin,
    Alignment
);
