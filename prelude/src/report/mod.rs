//! What a session has shown, as one page: [`report`].
//!
//! The page stands alone: pictures, styles and texts are in the file, nothing is fetched and no script runs. Its pictures
//! are SVG, so that they answer the pointer as in a notebook.
//!
//! The program that runs the cells knows their code and all they put out. Before a cell that calls [`report`] it writes that
//! to the file that the environment variable `VITREPL_RECORD` names (JSON: a list of `{"code", "outputs"}`, where an output
//! is `{"out": text}`, `{"err": text}` or `{"value": [[mime, data], ...]}`), and removes it when the cell has ended. Without
//! such a file, as under stock evcxr, the page holds the pictures and tables that the library itself has shown.

mod page;
mod record;

pub(crate) use record::show;

use crate::files::{expand, write_whole};
use crate::{Error, Result};
use record::Entry;
use std::fmt;
use std::path::{Path, PathBuf};

/// A report that has been written.
#[derive(Clone, PartialEq, Eq)]
pub struct Report {
    /// The page.
    pub path: PathBuf,
    /// Cells or statements on it, or values shown where the cells are not known.
    pub cells: usize,
    /// Pictures on it.
    pub pictures: usize,
    /// Bytes of it.
    pub bytes: usize,
}

/// Writes what this session has shown so far to `path` (`.html`) as one self-contained page: texts, code, what the cells
/// put out, pictures that answer the pointer. Whole or not at all.
///
/// # Errors
/// Another ending, a file that cannot be written; when nothing has been shown yet.
pub fn report(path: impl AsRef<Path>) -> Result<Report> {
    let path = expand(path)?;
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    if !matches!(ending.as_deref(), Some("html" | "htm")) {
        let expected = "a name that ends in .html, such as report(\"run.html\")?";
        return Err(Error::argument("path", path.display(), expected));
    }
    let entries = record::entries()?;
    if entries.iter().all(Entry::is_empty) {
        let expected = "a session that has shown something: display a chart, images.show(0..10)?, and call it again";
        return Err(Error::argument("report", "nothing to write", expected));
    }
    let title = path
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    let page = page::write(&title.unwrap_or_default(), &entries);
    write_whole(&path, page.html.as_bytes())?;
    Ok(Report {
        path,
        cells: entries.len(),
        pictures: page.pictures,
        bytes: page.html.len(),
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}, {}, {}",
            self.path.display(),
            crate::facts::count(self.cells, "cell"),
            crate::facts::count(self.pictures, "picture"),
            crate::facts::size(self.bytes)
        )
    }
}

crate::identity::debug_as_display!(Report);
