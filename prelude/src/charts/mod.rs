//! Charts that are values: build one, then look at it, save it or print it.
//!
//! In a notebook a chart at the end of a cell is a picture that answers the pointer with the name and value of what lies
//! under it (SVG in HTML, with SVG and PNG beside it; see [`Hover`]). In a terminal it prints as text. `.save(path)` writes
//! `.svg`, `.png` or `.pdf`, by the extension. Pictures are drawn with plotters.
//!
//! ```
//! use vitrepl_prelude::charts::BarChart;
//!
//! let chart = BarChart::new("Who carries the background?", "variance attributed")
//!     .bar("block 11 head 3", 0.62)
//!     .bar("block 10 mlp", 0.31);
//! assert!(chart.to_string().contains("block 11 head 3 ████"));
//! assert!(chart.svg()?.contains("Who carries the background?"));
//! let text = chart.save("chart.gif").unwrap_err().to_string();
//! assert!(text.contains("\"gif\""), "{text}");
//! # Ok::<(), vitrepl_prelude::Error>(())
//! ```

mod bars;
mod color;
mod font;
mod grouped;
mod head_grid;
mod heat_scale;
mod heatmap;
mod hover;
mod line;
mod matrix;
mod number;
pub(crate) mod of_images;
mod of_scores;
pub(crate) mod of_tokens;
mod paint;
mod pdf;
mod render;
mod scale_bar;
mod scene;
mod table;
mod tile;
mod waterfall;

pub use bars::BarChart;
pub use grouped::GroupedBars;
pub use head_grid::HeadGrid;
pub use heatmap::HeatmapGrid;
pub use hover::{Area, Hover};
pub(crate) use hover::{escape, printable};
pub use line::LineChart;
pub use matrix::MatrixChart;
pub use of_images::ShowImages;
pub use render::Chart;
pub(crate) use render::show_or_say;
pub use scene::{Anchor, Rgb, Scene, Shape};
pub use table::Table;
pub use tile::Tile;
pub use waterfall::Waterfall;

/// Gives a chart its methods without the trait being in scope, and its text as `Display` and `Debug`.
macro_rules! chart {
    ($name:ty) => {
        impl $name {
            /// The picture as SVG.
            ///
            /// # Errors
            /// A chart with nothing in it, or with values that are not finite.
            pub fn svg(&self) -> $crate::Result<String> {
                $crate::charts::Chart::scene(self)?.svg()
            }

            /// The picture as PNG, at twice its nominal size.
            ///
            /// # Errors
            /// As [`Self::svg`].
            pub fn png(&self) -> $crate::Result<Vec<u8>> {
                $crate::charts::Chart::scene(self)?.png()
            }

            /// The picture as PDF, its texts as text.
            ///
            /// # Errors
            /// As [`Self::svg`].
            pub fn pdf(&self) -> $crate::Result<Vec<u8>> {
                $crate::charts::Chart::scene(self)?.pdf()
            }

            /// [`Self::save`], by the name that other results have.
            ///
            /// # Errors
            /// As [`Self::save`].
            pub fn export(&self, path: impl AsRef<std::path::Path>) -> $crate::Result<()> {
                self.save(path)
            }

            /// Writes it in the form that the extension names: `.svg`, `.png`, `.pdf`; a table also `.csv`, `.md`, `.tex`,
            /// `.html`, `.txt`.
            ///
            /// # Errors
            /// As [`Self::svg`]; another extension, a folder that cannot be written.
            pub fn save(&self, path: impl AsRef<std::path::Path>) -> $crate::Result<()> {
                $crate::charts::Chart::write(self, path.as_ref())
            }

            /// Shows the chart in an evcxr front end; called by evcxr for a value at the end of a cell.
            pub fn evcxr_display(&self) {
                $crate::report::show(&$crate::charts::Chart::blocks(self));
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&$crate::charts::Chart::text(self))
            }
        }

        $crate::facts::debug_as_display!($name);
    };
}
pub(crate) use chart;
