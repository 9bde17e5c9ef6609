//! Displays the value of a cell on standard output: text, and pictures as well as the terminal can.

use super::value::Value;
use super::{forms, pictures};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Folder for charts when the output is no terminal.
const CHARTS_VARIABLE: &str = "VITREPL_CHARTS";

/// Shows what a cell displayed; `name` (a file name without ending) is that of its chart, and `saved` are the files to
/// which charts of this session were written.
///
/// A picture goes inline where the output is a terminal, with its text, if it has one, where letters in it cannot be read;
/// elsewhere the text and the path of a PNG file are printed.
pub fn show(value: &Value, name: &str, saved: &mut BTreeSet<PathBuf>) -> Result<()> {
    let picture = forms::picture(value)?;
    if let Some(png) = &picture
        && std::io::stdout().is_terminal()
    {
        let legible = pictures::print(png)?;
        if let (false, Some(text)) = (legible, forms::text(value)) {
            print_text(&text);
        }
        return Ok(());
    }
    if let Some(text) = forms::text(value) {
        print_text(&text);
    }
    if let Some(png) = picture {
        let path = save(&png, name, saved)?;
        print_text(&format!("chart: {}", path.display()));
    }
    Ok(())
}

/// Writes a line; that its reader has gone away is not the cell's fault.
fn print_text(text: &str) {
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end_matches('\n'));
}

fn save(png: &[u8], name: &str, saved: &mut BTreeSet<PathBuf>) -> Result<PathBuf> {
    let folder =
        std::env::var_os(CHARTS_VARIABLE).map_or_else(|| PathBuf::from("charts"), PathBuf::from);
    let path = unused(&folder, name, saved);
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(&path, png))
        .with_context(|| {
            format!(
                "cannot write the chart {} (name another folder in {CHARTS_VARIABLE})",
                path.display()
            )
        })?;
    saved.insert(path.clone());
    Ok(path)
}

/// The file `NAME.png` in `folder`, or `NAME-2.png` and so on where the session has written that one: every statement
/// at the prompt has the name of line 1. A file that an earlier session has left is replaced, so that a script that is
/// run again has its charts under the same names.
fn unused(folder: &Path, name: &str, saved: &BTreeSet<PathBuf>) -> PathBuf {
    let mut path = folder.join(format!("{name}.png"));
    let mut number = 1;
    while saved.contains(&path) {
        number += 1;
        path = folder.join(format!("{name}-{number}.png"));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_takes_a_name_that_no_other_of_the_session_has() {
        let folder = Path::new("charts");
        let mut saved = BTreeSet::new();
        for file in ["input-1.png", "input-1-2.png", "input-1-3.png"] {
            let path = unused(folder, "input-1", &saved);
            assert_eq!(path, folder.join(file));
            saved.insert(path);
        }
        assert_eq!(
            unused(folder, "outer-1", &saved),
            folder.join("outer-1.png")
        );
    }
}
