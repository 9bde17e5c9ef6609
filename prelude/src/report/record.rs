//! What has been shown: by the program's record of the cells, or by what the library itself has displayed.

use crate::{Error, Result};
use serde_json::Value;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Names the file that the program writes its record to.
const VARIABLE: &str = "VITREPL_RECORD";

/// More of what the library has displayed than this (in bytes) is not kept; the oldest goes first.
const MOST: usize = 1 << 27;

/// One cell or statement and what it put out, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Entry {
    /// As it was written, with its comments; empty where it is not known.
    pub code: String,
    pub outputs: Vec<Output>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Output {
    /// Standard output.
    Out(String),
    /// Standard error.
    Err(String),
    /// A displayed value: data by MIME type.
    Value(Vec<(String, String)>),
}

impl Entry {
    /// Whether it has neither code nor output.
    pub fn is_empty(&self) -> bool {
        self.code.trim().is_empty() && self.outputs.is_empty()
    }
}

/// What the library has displayed, in evcxr's blocks, and the bytes of it.
static SHOWN: Mutex<(VecDeque<String>, usize)> = Mutex::new((VecDeque::new(), 0));

/// Shows a value in an evcxr front end, as `blocks` of evcxr's protocol, and keeps them for a report.
pub(crate) fn show(blocks: &str) {
    print!("{blocks}");
    // The program keeps a record of its own, with the code.
    if std::env::var_os(VARIABLE).is_some() {
        return;
    }
    let mut shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    shown.1 += blocks.len();
    shown.0.push_back(blocks.to_owned());
    while shown.1 > MOST {
        match shown.0.pop_front() {
            Some(oldest) => shown.1 -= oldest.len(),
            None => return,
        }
    }
}

/// What the page is made of.
///
/// # Errors
/// When the program's record cannot be read.
pub(super) fn entries() -> Result<Vec<Entry>> {
    if let Some(path) = std::env::var_os(VARIABLE).map(PathBuf::from) {
        let text = std::fs::read(&path).map_err(|e| match e.kind() {
            // The program looks for the word in the code that it runs.
            std::io::ErrorKind::NotFound => Error::argument(
                "report",
                "called where the program does not expect it",
                "a call by its name in the cell itself: report(\"run.html\")?",
            ),
            _ => Error::io("reading", &path, e),
        })?;
        return parse(&path, &text);
    }
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let entry = |blocks: &String| Entry {
        code: String::new(),
        outputs: vec![Output::Value(forms(blocks))],
    };
    Ok(shown.0.iter().map(entry).collect())
}

/// The forms in evcxr's blocks.
fn forms(blocks: &str) -> Vec<(String, String)> {
    let blocks = blocks.split("EVCXR_BEGIN_CONTENT ").skip(1);
    let form = |block: &str| {
        let (mime, rest) = block.split_once('\n')?;
        let data = rest.rsplit_once("\nEVCXR_END_CONTENT")?.0;
        Some((mime.to_owned(), data.to_owned()))
    };
    blocks.filter_map(form).collect()
}

/// The program's record.
fn parse(path: &Path, text: &[u8]) -> Result<Vec<Entry>> {
    let broken = |reason: String| Error::saved(path, reason);
    let value: Value = serde_json::from_slice(text).map_err(|e| broken(e.to_string()))?;
    let entries = value
        .as_array()
        .ok_or_else(|| broken("it is no list of cells".to_owned()))?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let output = |value: &Value| {
        if let Some(out) = text(&value["out"]) {
            return Some(Output::Out(out));
        }
        if let Some(err) = text(&value["err"]) {
            return Some(Output::Err(err));
        }
        let forms = value["value"].as_array()?.iter();
        Some(Output::Value(
            forms
                .filter_map(|form| Some((text(&form[0])?, text(&form[1])?)))
                .collect(),
        ))
    };
    let entry = |value: &Value| Entry {
        code: text(&value["code"]).unwrap_or_default(),
        outputs: value["outputs"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(output)
            .collect(),
    };
    Ok(entries.iter().map(entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_records_are_read() {
        let blocks = "EVCXR_BEGIN_CONTENT text/html\n<b>\nx</b>\nEVCXR_END_CONTENT\nEVCXR_BEGIN_CONTENT text/plain\nx\nEVCXR_END_CONTENT\n";
        let expected = [("text/html", "<b>\nx</b>"), ("text/plain", "x")];
        assert_eq!(
            forms(blocks),
            expected.map(|(mime, data)| (mime.to_owned(), data.to_owned()))
        );
        let record = br#"[{"code": "1", "outputs": [{"out": "a"}, {"err": "b"}, {"value": [["text/plain", "c"]]}, {"new": 1}]}]"#;
        let read = parse(Path::new("record.json"), record).unwrap();
        let outputs = vec![
            Output::Out("a".to_owned()),
            Output::Err("b".to_owned()),
            Output::Value(vec![("text/plain".to_owned(), "c".to_owned())]),
        ];
        assert_eq!(
            read,
            [Entry {
                code: "1".to_owned(),
                outputs
            }]
        );
        let broken = parse(Path::new("record.json"), b"{")
            .unwrap_err()
            .to_string();
        assert!(broken.contains("record.json"), "{broken}");
    }
}
