//! What every chart can do: be saved, be shown, be printed.

use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::hover;
use super::scene::Scene;
use crate::files::write_whole;
use crate::{Error, Result};

/// A chart. The types of this module have these as methods of their own too, so the trait is only needed to write
/// functions over charts of any kind.
pub trait Chart {
    /// The chart laid out.
    ///
    /// # Errors
    /// Nothing to draw, or values that are not finite.
    fn scene(&self) -> Result<Scene>;

    /// The chart in characters, for a terminal and for places that show no pictures.
    fn text(&self) -> String;

    /// The chart as a file's content for an extension, if it has a form for it.
    fn content(&self, extension: &str) -> Option<Result<Vec<u8>>> {
        match extension {
            "svg" => Some(self.scene().and_then(|s| s.svg()).map(String::into_bytes)),
            "png" => Some(self.scene().and_then(|s| s.png())),
            "pdf" => Some(self.scene().and_then(|s| s.pdf())),
            _ => None,
        }
    }

    /// The extensions [`Self::content`] knows.
    fn extensions(&self) -> &'static [&'static str] {
        &["pdf", "png", "svg"]
    }

    /// Writes the chart to `path` in the form its extension names, whole or not at all.
    fn write(&self, path: &Path) -> Result<()> {
        let extension = path
            .extension()
            .map(|e| e.to_string_lossy().to_lowercase())
            .unwrap_or_default();
        let content = self.content(&extension).ok_or_else(|| {
            Error::argument(
                "path",
                path.display(),
                format!(
                    "an extension out of {}, not \"{extension}\"",
                    self.extensions().join(", ")
                ),
            )
        })??;
        write_whole(path, &content)
    }

    /// The chart as evcxr reads it from a cell's output: one block for each form. A notebook shows the richest that
    /// it can, a terminal takes the PNG or the text. A chart that cannot be drawn says why.
    fn blocks(&self) -> String {
        match self.scene().and_then(|scene| picture_blocks(&scene)) {
            Ok(pictures) => pictures + &block("text/plain", &self.text()),
            Err(e) => block("text/plain", &e.to_string()),
        }
    }
}

/// Shows a chart in an evcxr front end, or says what kept it from being made.
pub(crate) fn show_or_say<C: Chart>(chart: Result<C>) {
    match chart {
        Ok(chart) => crate::report::show(&chart.blocks()),
        Err(error) => println!("{error}"),
    }
}

/// The forms of a picture that answer the pointer first: a front end takes the first that it can show.
pub(super) fn picture_blocks(scene: &Scene) -> Result<String> {
    let (svg, png) = (scene.svg()?, BASE64_STANDARD.encode(scene.png()?));
    Ok([
        block(
            "text/html",
            &hover::html(&svg, &png, &scene.title(), scene.width),
        ),
        block("image/svg+xml", &svg),
        block("image/png", &png),
    ]
    .concat())
}

/// One block of evcxr's protocol; the end marker must be a line of its own.
pub(super) fn block(mime: &str, data: &str) -> String {
    format!(
        "EVCXR_BEGIN_CONTENT {mime}\n{}\nEVCXR_END_CONTENT\n",
        data.trim_end()
    )
}
