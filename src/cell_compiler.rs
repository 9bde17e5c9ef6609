//! The compiler of cells: this program once more, run by cargo in the place of rustc.
//!
//! evcxr has cargo build the crate of a cell. Were the library a dependency of that crate, cargo would look at the
//! whole crate graph each time (0.2 s), and rust-analyzer read all of it (7 s). So the crate has no dependencies;
//! here rustc is given the compiled library. Along the way it says which types the variables of the cell have: its
//! lint against dropping a reference names the type of what is dropped, with the paths by which the cell can name
//! it when it is told not to shorten them, which stable rustc does under `RUSTC_BOOTSTRAP`.

use crate::cell::{KEEP_MARK, TYPE_MARK};
use crate::source::mentions;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

/// Name that evcxr gives the crate of a cell.
const CELL: &str = "ctx";

/// In the session's folder: what every cell is compiled with.
const SETUP: &str = "vitrepl-setup.json";

/// In the session's folder: what became of the variables of the last cell.
const REPORT: &str = "vitrepl-report.json";

/// Where evcxr writes the code of a cell.
const SOURCE: &str = "src/lib.rs";

/// What the cells of a session are compiled with.
#[derive(Default, Serialize, Deserialize)]
pub struct Setup {
    /// Crates that a cell may name, with their files.
    pub crates: BTreeMap<String, PathBuf>,
    /// Folders of what these depend on.
    pub search: Vec<PathBuf>,
}

impl Setup {
    /// Has the cells of the session in `folder` compiled so.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(SETUP);
        fs::write(&path, serde_json::to_vec(self)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// What rustc is told beyond what cargo tells it: a crate that the user has added comes before one of the same
    /// name here.
    fn arguments(&self, code: &str, given: &[OsString]) -> Vec<OsString> {
        let is_given = |name: &str| {
            let start = format!("{name}=");
            given
                .iter()
                .any(|one| one.to_string_lossy().starts_with(&start))
        };
        let mut arguments = Vec::new();
        for (name, file) in &self.crates {
            if !mentions(code, name) || is_given(name) {
                continue;
            }
            let mut value = OsString::from(format!("{name}="));
            value.push(file);
            arguments.extend(["--extern".into(), value]);
        }
        for folder in &self.search {
            let mut value = OsString::from("dependency=");
            value.push(folder);
            arguments.extend(["-L".into(), value]);
        }
        arguments
    }
}

/// What became of the variables of a cell that has been compiled.
#[derive(Default, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Names and types of the ones it makes.
    pub types: BTreeMap<String, String>,
    /// Those that it moves away.
    pub moved: Vec<String>,
}

impl Report {
    /// The report on the last cell of the session in `folder`.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(REPORT);
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }
}

/// Does rustc's work; `arguments` are rustc's own path and what cargo would pass to it.
pub fn run(arguments: &[OsString]) -> ExitCode {
    let Some((rustc, arguments)) = arguments.split_first() else {
        return ExitCode::FAILURE;
    };
    let is_cell = arguments
        .windows(2)
        .any(|pair| pair[0] == "--crate-name" && pair[1] == CELL);
    if !is_cell {
        let error = Command::new(rustc).args(arguments).exec();
        eprintln!("cannot run {}: {error}", Path::new(rustc).display());
        return ExitCode::FAILURE;
    }
    match compile(rustc, arguments) {
        Ok(compiled) => {
            // Where they cannot be written, cargo has gone away.
            let _ = std::io::stdout().write_all(&compiled.stdout);
            let _ = std::io::stderr().write_all(&compiled.stderr);
            ExitCode::from(u8::from(!compiled.succeeded))
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What rustc has to say.
struct Compiled {
    succeeded: bool,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl From<Output> for Compiled {
    fn from(output: Output) -> Self {
        Compiled {
            succeeded: output.status.success(),
            stdout: output.stdout,
            stderr: output.stderr,
        }
    }
}

fn compile(rustc: &OsString, arguments: &[OsString]) -> Result<Compiled> {
    let setup: Setup = match fs::read(SETUP) {
        Ok(text) => serde_json::from_slice(&text).context("vitrepl-setup.json is broken")?,
        Err(_) => Setup::default(),
    };
    let mut code = fs::read_to_string(SOURCE).context("the cell's code is not there")?;
    let rustc = |code: &str, tell_types: bool| {
        let mut rustc = Command::new(rustc);
        rustc.args(arguments).args(setup.arguments(code, arguments));
        if tell_types {
            rustc
                .args(["--verbose", "--force-warn", "dropping_references"])
                .args(["-Z", "trim-diagnostic-paths=no"])
                .env("RUSTC_BOOTSTRAP", "1");
        }
        rustc
            .output()
            .map(Compiled::from)
            .context("cannot run rustc")
    };
    // To get the errors to show, evcxr compiles once more without this.
    if !code.contains("catch_unwind") {
        return rustc(&code, false);
    }
    let mut report = Report::default();
    loop {
        let mut output = rustc(&code, true)?;
        let messages = messages(&output.stderr);
        if output.succeeded {
            report.types = types(&messages);
            if let Some(error) = nameless(&messages, &report.types) {
                output.succeeded = false;
                output.stderr = format!("{error}\n").into_bytes();
                return Ok(output);
            }
            fs::write(REPORT, serde_json::to_vec(&report)?)
                .context("the disk may be full: the cell's report cannot be written")?;
            return Ok(output);
        }
        let Some(moved) = moved(&messages) else {
            return Ok(output);
        };
        for name in moved {
            code = without_keeping(&code, &name);
            report.moved.push(name);
        }
        fs::write(SOURCE, &code).context("the cell's code cannot be written")?;
    }
}

fn messages(stderr: &[u8]) -> Vec<Value> {
    let lines = stderr.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect()
}

/// The variable whose generated line a message is about, if its line carries `mark`.
fn variable(message: &Value, mark: &str) -> Option<String> {
    let spans = message["spans"].as_array()?;
    let primary = spans.iter().find(|span| span["is_primary"] == true)?;
    let line = primary["text"][0]["text"].as_str()?;
    Some(line.split_once(mark)?.1.to_owned())
}

/// The types that the lint has named.
fn types(messages: &[Value]) -> BTreeMap<String, String> {
    let lints = messages
        .iter()
        .filter(|message| message["code"]["code"] == "dropping_references");
    lints
        .filter_map(|lint| {
            let name = variable(lint, TYPE_MARK)?;
            let spans = lint["spans"].as_array()?;
            let kind = spans.iter().find_map(|span| {
                let label = span["label"].as_str()?;
                label.split_once("`&")?.1.strip_suffix('`')
            })?;
            Some((name, kind.to_owned()))
        })
        .collect()
}

/// The variables that a cell moves away, when that is all that is wrong with it.
fn moved(messages: &[Value]) -> Option<Vec<String>> {
    let errors = messages
        .iter()
        .filter(|message| message["level"] == "error" && message["spans"] != json!([]));
    let mut names = Vec::new();
    for error in errors {
        if error["code"]["code"] != "E0382" {
            return None;
        }
        let name = variable(error, KEEP_MARK).or_else(|| variable(error, TYPE_MARK))?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    (!names.is_empty()).then_some(names)
}

/// `code` with the lines that keep the variable emptied; all others stay where they are.
fn without_keeping(code: &str, name: &str) -> String {
    let ends = [format!("{KEEP_MARK}{name}"), format!("{TYPE_MARK}{name}")];
    let lines = code.lines().map(|line| {
        let of_this = ends.iter().any(|end| line.ends_with(end));
        if of_this { "" } else { line }
    });
    lines.fold(String::new(), |code, line| code + line + "\n")
}

/// An error, as rustc writes it, when a variable has a type that no other cell can name.
fn nameless(messages: &[Value], types: &BTreeMap<String, String>) -> Option<Value> {
    let (name, kind) = types
        .iter()
        .find(|(_, kind)| kind.contains('{') || kind.contains("impl "))?;
    let lint = messages
        .iter()
        .find(|message| variable(message, TYPE_MARK).as_ref() == Some(name))?;
    let message = format!("`{name}` cannot be kept: its type has no name");
    let help = "Box it with its type written (`let f: Box<dyn Fn(i32) -> i32> = Box::new(|x| x + 1);`), collect it, \
                or use it within braces { ... }";
    Some(json!({
        "message": message, "code": null, "level": "error", "rendered": message,
        "spans": [{
            "file_name": SOURCE, "is_primary": true, "expansion": null, "label": format!("of type {kind}"),
            "line_start": lint["spans"][0]["line_start"], "line_end": lint["spans"][0]["line_end"],
            "column_start": lint["spans"][0]["column_start"], "column_end": lint["spans"][0]["column_end"],
        }],
        "children": [{ "message": help, "code": null, "level": "help", "spans": [], "children": [], "rendered": null }],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(level: &str, code: &str, line: &str, label: &str) -> Value {
        json!({
            "level": level, "code": { "code": code },
            "spans": [{ "is_primary": true, "label": label, "text": [{ "text": line }] }],
        })
    }

    #[test]
    fn types_are_read_from_the_lint_at_marked_lines() {
        let lint = |line: &str, label: &str| message("warning", "dropping_references", line, label);
        let messages = [
            lint("drop(&x);//vitrepl type x", "argument has type `&&str`"),
            lint("drop(&y);", "argument has type `&i32`"),
        ];
        let types = types(&messages);
        assert_eq!(types, [("x".to_owned(), "&str".to_owned())].into());
        assert_eq!(nameless(&messages, &types), None);
        let closure = [lint(
            "drop(&f);//vitrepl type f",
            "argument has type `&{closure@src/lib.rs:8:11: 8:13}`",
        )];
        let error = nameless(&closure, &super::types(&closure)).unwrap();
        assert!(error["message"].as_str().unwrap().contains("`f`"));
    }

    #[test]
    fn a_moved_variable_is_no_longer_kept_and_other_errors_stay() {
        let gone = message("error", "E0382", "keep(\"x\", x);//vitrepl keep x", "");
        assert_eq!(
            moved(std::slice::from_ref(&gone)),
            Some(vec!["x".to_owned()])
        );
        let other = message("error", "E0308", "let a: i32 = \"\";", "");
        assert_eq!(moved(&[gone, other]), None);
        let code = "a\nkeep(\"x\", x);//vitrepl keep x\nkeep(\"xx\", xx);//vitrepl keep xx\n";
        assert_eq!(
            without_keeping(code, "x"),
            "a\n\nkeep(\"xx\", xx);//vitrepl keep xx\n"
        );
    }

    #[test]
    fn only_crates_that_are_named_are_passed() {
        let setup = Setup {
            crates: [
                ("a".to_owned(), "/a.so".into()),
                ("b".to_owned(), "/b.so".into()),
            ]
            .into(),
            search: vec!["/deps".into()],
        };
        let passed = ["--extern", "a=/a.so", "-L", "dependency=/deps"];
        assert_eq!(setup.arguments("use a::x;", &[]), passed);
        let given = ["--extern".into(), "a=/of/the/user.rlib".into()];
        assert_eq!(setup.arguments("use a::x;", &given), passed[2..]);
    }
}
