//! Scores, rankings, groups and heads for other programs, in full precision.

use super::{ComponentMeans, GroupAccuracy, LinearHead, Mitigation, Ranking, Scores};
use crate::Result;
use crate::decompose::Component;
use crate::decompose::export::{about, names};
use crate::files::arrays::{Array, Arrays};
use crate::files::rows::{Column, export};
use std::path::Path;

impl Scores {
    /// [`Self::save`], by the name that other results have.
    ///
    /// # Errors
    /// As [`Self::save`].
    pub fn export(&self, path: impl AsRef<Path>) -> Result<()> {
        self.save(path)
    }

    /// One row a component, with what the scores are of in each.
    pub(super) fn columns(&self) -> Vec<(&'static str, Column)> {
        let origin = self.origin();
        let same = |value: Option<&String>| {
            Column::Text(vec![value.cloned().unwrap_or_default(); self.len()])
        };
        let (measure, feature) = (
            self.measure().name().to_string(),
            self.feature().to_string(),
        );
        vec![
            ("component", Column::Text(self.names())),
            ("score", Column::Number(self.values().to_vec())),
            ("measure", same(Some(&measure))),
            ("feature", same(Some(&feature))),
            ("model", same(origin.map(|origin| &origin.model.name))),
            ("weights", same(origin.map(|origin| &origin.model.weights))),
            ("clip", same(self.texts().map(|texts| &texts.clip.name))),
            ("data", same(origin.map(|origin| &origin.images.set))),
        ]
    }
}

impl Ranking {
    /// Writes rank (from 1), component, its place in the stack and its score: `.csv` or `.parquet`.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn export(&self, path: impl AsRef<Path>) -> Result<()> {
        let rows = self.iter();
        export(
            path.as_ref(),
            &[
                ("rank", Column::Count((1..=self.len()).collect())),
                (
                    "component",
                    Column::Text(rows.clone().map(|r| r.name.clone()).collect()),
                ),
                (
                    "index",
                    Column::Count(rows.clone().map(|r| r.index).collect()),
                ),
                ("score", Column::Number(rows.map(|r| r.score).collect())),
            ],
        )
    }
}

impl GroupAccuracy {
    /// Writes group, right answers, images and accuracy (none for a group without images): `.csv` or `.parquet`.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn export(&self, path: impl AsRef<Path>) -> Result<()> {
        let groups = self.groups.iter();
        export(
            path.as_ref(),
            &[
                (
                    "group",
                    Column::Text(groups.clone().map(|g| g.name.clone()).collect()),
                ),
                (
                    "correct",
                    Column::Count(groups.clone().map(|g| g.correct).collect()),
                ),
                (
                    "images",
                    Column::Count(groups.clone().map(|g| g.images).collect()),
                ),
                (
                    "accuracy",
                    Column::Maybe(groups.map(|g| g.accuracy()).collect()),
                ),
            ],
        )
    }
}

impl Mitigation {
    /// Writes group, images, and accuracy before, after and with as many random components switched off (the mean over
    /// draws): `.csv` or `.parquet`.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn export(&self, path: impl AsRef<Path>) -> Result<()> {
        let before = self.before.groups.iter();
        let accuracy = |of: &GroupAccuracy| of.groups.iter().map(|g| g.accuracy()).collect();
        export(
            path.as_ref(),
            &[
                (
                    "group",
                    Column::Text(before.clone().map(|g| g.name.clone()).collect()),
                ),
                ("images", Column::Count(before.map(|g| g.images).collect())),
                ("before", Column::Maybe(accuracy(&self.before))),
                ("after", Column::Maybe(accuracy(&self.after))),
                ("random", Column::Maybe(self.random.mean_groups())),
            ],
        )
    }
}

impl ComponentMeans {
    /// Writes the array for other programs, component x channel, with names beside: `.safetensors` in the header, `.npy` in
    /// `<path>.json`.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn export(&self, path: impl AsRef<Path>) -> Result<()> {
        let components = self.components().iter().map(Component::to_string).collect();
        // The images it is a mean over are in the description, and no axis.
        let mut names = names(components, self.origin());
        names.truncate(1);
        Arrays {
            arrays: vec![Array {
                name: "values",
                values: self.values(),
                axes: &["component", "channel"],
            }],
            names,
            about: about("component means", self.origin()),
        }
        .export(path.as_ref())
    }
}

impl LinearHead {
    /// Writes the arrays for other programs: `.safetensors` has `weight` (class x channel) and `bias`, with the names of
    /// the classes in the header; `.npy` has the weight, and `<path>.json` the rest but the bias.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn export(&self, path: impl AsRef<Path>) -> Result<()> {
        let array = |name, values, axes| Array { name, values, axes };
        let model = self.reads().map(|model| ("model", model.name.clone()));
        Arrays {
            arrays: vec![
                array("weight", self.weight(), &["class", "channel"]),
                array("bias", self.bias(), &["class"]),
            ],
            names: self
                .names()
                .map(|names| ("class", names.to_vec()))
                .into_iter()
                .collect(),
            about: [("kind", "linear head".to_string())]
                .into_iter()
                .chain(model)
                .collect(),
        }
        .export(path.as_ref())
    }
}
