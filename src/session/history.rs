//! What was entered, in this session and in earlier ones.

use crate::library::folder::cache_folder;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

/// In the cache folder: what was entered, a JSON string a line.
const FILE: &str = "entered.jsonl";

/// A longer file is cut to its half, the newer one.
const LONGEST: u64 = 4 << 20;

/// Entries that are shown unless more are asked for.
const SHOWN: usize = 20;

/// What was entered in a session.
#[derive(Debug, Default)]
pub struct History {
    entries: Vec<String>,
    /// Where entries are kept for later sessions.
    file: Option<PathBuf>,
}

impl History {
    /// Has entries kept for later sessions, and those of earlier ones found.
    pub fn keep(&mut self) {
        self.file = cache_folder().ok().map(|folder| folder.join(FILE));
    }

    /// Something was entered.
    pub fn enter(&mut self, text: &str) {
        let text = text.trim_end();
        if text.is_empty() {
            return;
        }
        self.entries.push(text.to_owned());
        // A history that cannot be written is no reason to stop.
        let _ = self.write(text);
    }

    fn write(&self, text: &str) -> std::io::Result<()> {
        let Some(path) = &self.file else {
            return Ok(());
        };
        if fs::metadata(path).is_ok_and(|file| file.len() > LONGEST) {
            let kept = fs::read_to_string(path)?;
            let half = kept.len() / 2;
            let newer = kept[kept.ceil_char_boundary(half)..].split_once('\n');
            fs::write(path, newer.map_or("", |(_, newer)| newer))?;
        }
        let line = serde_json::to_string(text)? + "\n";
        let mut file = File::options().create(true).append(true).open(path)?;
        file.write_all(line.as_bytes())
    }

    /// What was asked for, as text: nothing (the last entries), `all`, a number or range of this session, or a word
    /// that occurs in what was entered in any session.
    pub fn show(&self, asked: &str) -> String {
        if asked == "all" {
            return numbered(&self.entries, 0);
        }
        if asked.is_empty() {
            let first = self.entries.len().saturating_sub(SHOWN);
            return numbered(&self.entries[first..], first);
        }
        if let Ok((first, last)) = self.range(asked) {
            return numbered(&self.entries[first..last], first);
        }
        let mut found: Vec<String> = self.earlier();
        found.retain(|entry| entry.contains(asked));
        found.dedup();
        let first = found.len().saturating_sub(SHOWN);
        if found.is_empty() {
            return format!("nothing that was entered contains {asked:?}");
        }
        found[first..].join("\n")
    }

    /// The text of a number or range of this session.
    pub fn text(&self, asked: &str) -> Result<String, String> {
        let (first, last) = self.range(asked)?;
        Ok(self.entries[first..last].join("\n"))
    }

    /// Every entry of every session, the oldest first.
    fn earlier(&self) -> Vec<String> {
        let Some(path) = &self.file else {
            return self.entries.clone();
        };
        let text = fs::read_to_string(path).unwrap_or_default();
        let lines = text.lines();
        // A line that another session is just writing is left out.
        lines
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// `3`, `3-5`, `-1` (the last but this): places in `entries`.
    fn range(&self, asked: &str) -> Result<(usize, usize), String> {
        let wrong = || {
            format!(
                "{asked:?} is no entry of this session: give a number, or a range such as 2-4; there are {}",
                self.entries.len()
            )
        };
        let number = |text: &str| text.trim().parse::<usize>().map_err(|_| wrong());
        let (first, last) = match asked.split_once('-') {
            Some(("", back)) => {
                let at = (self.entries.len() + 1)
                    .checked_sub(number(back)?)
                    .ok_or_else(wrong)?;
                (at, at)
            }
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(asked)?, number(asked)?),
        };
        if first == 0 || first > last || last > self.entries.len() {
            return Err(wrong());
        }
        Ok((first - 1, last))
    }
}

fn numbered(entries: &[String], first: usize) -> String {
    let lines = entries.iter().enumerate().map(|(number, entry)| {
        let entry = entry.replace('\n', "\n      ");
        format!("{:>4}  {entry}", first + number + 1)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_by_number_range_and_word_in_all_sessions() {
        let folder = tempfile::tempdir().unwrap();
        let file = Some(folder.path().join(FILE));
        let session = |entries: &[&str]| {
            let mut history = History {
                entries: Vec::new(),
                file: file.clone(),
            };
            entries.iter().for_each(|entry| history.enter(entry));
            history
        };
        session(&["let old = 1;\nold"]);
        let history = session(&["let a = 1;", "  ", "a + 1", "a + 2\n"]);
        assert_eq!(
            history.show(""),
            "   1  let a = 1;\n   2  a + 1\n   3  a + 2"
        );
        assert_eq!(history.show("2-3"), "   2  a + 1\n   3  a + 2");
        assert_eq!(history.text("1-2").unwrap(), "let a = 1;\na + 1");
        assert_eq!(history.text("-1").unwrap(), "a + 2");
        assert_eq!(history.show("let"), "let old = 1;\nold\nlet a = 1;");
        assert!(history.show("nowhere").contains("nothing"));
        for wrong in ["0", "4", "3-2", "-5", "x"] {
            assert!(history.text(wrong).is_err(), "{wrong}");
        }
    }
}
