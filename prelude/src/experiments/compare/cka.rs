//! Linear CKA of representations and of layers.

use crate::charts::{MatrixChart, Table};
use crate::decompose::{Contributions, same_images};
use crate::files::rows::{Column, export};
use crate::score::{Centred, CkaEstimate};
use crate::{Error, Result};
use candle_core::Tensor;
use std::fmt;
use std::path::Path;

/// What the colours mean.
const LEGEND: &str = "1: alike up to a rotation and a factor; 0: nothing in common";

/// CKA of the one side's representations with the other's.
#[derive(Clone)]
pub struct CkaMatrix {
    pub estimate: CkaEstimate,
    pub rows: Vec<String>,
    pub columns: Vec<String>,
    /// None for what does not vary over the images.
    pub values: Vec<Vec<Option<f64>>>,
    /// What is compared, and on which images.
    title: String,
}

/// Linear CKA between the final representations of `models` on the same images, each with each.
///
/// # Errors
/// When two are of other images, fewer than two models or four images.
pub fn representation_cka(models: &[&Contributions], estimate: CkaEstimate) -> Result<CkaMatrix> {
    if models.len() < 2 {
        let expected = "two models or more to be compared";
        return Err(Error::argument("models", models.len(), expected));
    }
    for other in &models[1..] {
        check_images(models[0], other)?;
    }
    let stack: Vec<Option<Centred>> = models
        .iter()
        .map(|m| Centred::new("representation", m.representation(), estimate))
        .collect::<Result<_>>()?;
    let names: Vec<String> = models.iter().map(|m| name(m)).collect();
    Ok(CkaMatrix {
        estimate,
        values: table(&stack, &stack)?,
        title: format!("representations, {}", data(models[0])),
        rows: names.clone(),
        columns: names,
    })
}

/// Linear CKA between what each layer of `a` and each of `b` adds to its representation (the heads of a layer together), on
/// the same images. These are direct contributions: what a layer says itself, not the state of the residual stream
/// after it.
///
/// # Errors
/// When the two are of other images or one is a part of the components, fewer than four images.
pub fn layer_cka(
    a: impl AsRef<Contributions>,
    b: impl AsRef<Contributions>,
    estimate: CkaEstimate,
) -> Result<CkaMatrix> {
    let (a, b) = (a.as_ref(), b.as_ref());
    check_images(a, b)?;
    let layers = |of: &Contributions| -> Result<(Vec<String>, Vec<Option<Centred>>)> {
        let layers = of.by_layer()?;
        let centred = |i: usize| {
            let layer: Tensor = layers.values().get(i)?;
            Centred::new("layer", &layer, estimate)
        };
        let each = (0..layers.len()).map(centred).collect::<Result<_>>()?;
        Ok((layers.names(), each))
    };
    let ((rows, of_a), (columns, of_b)) = (layers(a)?, layers(b)?);
    Ok(CkaMatrix {
        estimate,
        values: table(&of_a, &of_b)?,
        title: format!(
            "layers of {} (rows) and {} (columns), {}",
            name(a),
            name(b),
            data(a)
        ),
        rows,
        columns,
    })
}

fn table(a: &[Option<Centred>], b: &[Option<Centred>]) -> Result<Vec<Vec<Option<f64>>>> {
    let cell = |x: &Option<Centred>, y: &Option<Centred>| match (x, y) {
        (Some(x), Some(y)) => x.cka(y).map(Some),
        _ => Ok(None),
    };
    let row = |x: &Option<Centred>| b.iter().map(|y| cell(x, y)).collect();
    a.iter().map(row).collect()
}

fn check_images(a: &Contributions, b: &Contributions) -> Result<()> {
    let images = |of: &Contributions| of.origin().map(|origin| origin.images.clone());
    let (of_a, of_b) = (images(a), images(b));
    same_images(
        "comparing models",
        (&name(a), of_a.as_ref()),
        (&name(b), of_b.as_ref()),
        "decompose the same images with both",
    )?;
    crate::check::same("images", b.images(), a.images(), "images")
}

fn name(contributions: &Contributions) -> String {
    let origin = contributions.origin();
    origin.map_or("unknown".to_string(), |o| o.model.name.clone())
}

fn data(contributions: &Contributions) -> String {
    let n = contributions.images();
    match contributions.origin() {
        Some(origin) => format!("{}, n = {n}", origin.images.set),
        None => format!("n = {n}"),
    }
}

impl CkaMatrix {
    fn whole_title(&self) -> String {
        format!("{}, {}", self.title, self.estimate.name())
    }

    /// One row and one column a representation.
    pub fn chart(&self) -> MatrixChart {
        let chart = MatrixChart::new(self.whole_title(), LEGEND, &self.columns);
        let rows = self.rows.iter().zip(&self.values);
        rows.fold(chart.reaching(1.0), |chart, (name, values)| {
            chart.row(name, values.iter().copied())
        })
    }

    /// The matrix as a table.
    pub fn table(&self) -> Table {
        let names = std::iter::once(String::new()).chain(self.columns.iter().cloned());
        let table = Table::new(self.whole_title()).columns(names);
        let rows = self.rows.iter().zip(&self.values);
        rows.fold(table, |table, (name, values)| {
            let cells = values
                .iter()
                .map(|v| v.map_or("–".to_string(), |v| format!("{v:.3}")));
            table.row(std::iter::once(name.clone()).chain(cells))
        })
    }

    /// Writes one row a pair, in full precision: `.csv` or `.parquet`.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let (mut rows, mut columns, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for (row, each) in self.rows.iter().zip(&self.values) {
            for (column, value) in self.columns.iter().zip(each) {
                rows.push(row.clone());
                columns.push(column.clone());
                values.push(*value);
            }
        }
        let estimate = vec![self.estimate.name().to_string(); values.len()];
        export(
            path.as_ref(),
            &[
                ("row", Column::Text(rows)),
                ("column", Column::Text(columns)),
                ("cka", Column::Maybe(values)),
                ("estimate", Column::Text(estimate)),
            ],
        )
    }

    /// [`Self::save`], by the name that other results have.
    ///
    /// # Errors
    /// As [`Self::save`].
    pub fn export(&self, path: impl AsRef<Path>) -> Result<()> {
        self.save(path)
    }

    /// Shows the chart in an evcxr front end; called by evcxr for a value at the end of a cell.
    pub fn evcxr_display(&self) {
        self.chart().evcxr_display()
    }
}

impl fmt::Display for CkaMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.table())
    }
}

crate::identity::debug_as_display!(CkaMatrix);
