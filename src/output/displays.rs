//! Displays the value of a cell on standard output: text, and pictures as well as the terminal can.

use super::forms;
use super::value::Value;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Folder for charts when the output is no terminal.
const CHARTS_VARIABLE: &str = "VITREPL_CHARTS";

/// A picture is at most this many columns wide in a terminal.
const WIDEST: u16 = 120;

/// Shows what a cell displayed; `name` (a file name without ending) is that of its chart, and `saved` are the files to
/// which charts of this session were written.
///
/// A picture goes inline where the output is a terminal; elsewhere its text, if it has one, and the path
/// of a PNG file are printed.
pub fn show(value: &Value, name: &str, saved: &mut BTreeSet<PathBuf>) -> Result<()> {
    let picture = forms::picture(value)?;
    if let Some(png) = &picture
        && std::io::stdout().is_terminal()
    {
        return show_inline(png);
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

fn show_inline(png: &[u8]) -> Result<()> {
    let picture = image::load_from_memory(png).context("a picture that is no valid PNG")?;
    let columns = console::Term::stdout().size().1.min(WIDEST);
    let config = viuer::Config {
        absolute_offset: false,
        width: Some(u32::from(columns)),
        use_kitty: speaks_kitty(),
        // Of these the terminal is asked; each of them answers.
        use_sixel: may_speak_sixel(),
        ..viuer::Config::default()
    };
    viuer::print(&picture, &config).context("cannot draw the picture")?;
    Ok(())
}

/// Whether the terminal is one with kitty's graphics protocol. It is not asked: one that does not
/// answer would keep us waiting.
fn speaks_kitty() -> bool {
    std::env::var_os("KITTY_WINDOW_ID").is_some()
        || names("TERM", &["kitty", "ghostty"])
        || names("TERM_PROGRAM", &["ghostty", "wezterm"])
}

/// Whether the terminal is of a kind that draws sixels in some versions or settings.
fn may_speak_sixel() -> bool {
    !speaks_kitty()
        && (names(
            "TERM",
            &["sixel", "foot", "mlterm", "contour", "yaft", "vt340"],
        ) || names("TERM_PROGRAM", &["mintty", "contour", "rio", "blackbox"])
            || ["XTERM_VERSION", "KONSOLE_VERSION", "WT_SESSION"]
                .iter()
                .any(|variable| std::env::var_os(variable).is_some()))
}

/// Whether a variable of the environment contains one of the names.
fn names(variable: &str, names: &[&str]) -> bool {
    std::env::var(variable).is_ok_and(|value| {
        let value = value.to_lowercase();
        names.iter().any(|name| value.contains(name))
    })
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
