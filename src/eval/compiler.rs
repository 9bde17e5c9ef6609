//! The compiler of cells: this program once more, run by cargo in the place of rustc.
//!
//! evcxr has cargo build the crate of a cell. Were the library a dependency of that crate, cargo would look at the
//! whole crate graph each time (0.2 s), and rust-analyzer read all of it (7 s). So the crate has no dependencies;
//! here rustc is given the compiled library. Along the way it says which types the variables of the cell have: its
//! lint against dropping a reference names the type of what is dropped, with the paths by which the cell can name
//! it when it is told not to shorten them, which stable rustc does under `RUSTC_BOOTSTRAP`.
//!
//! evcxr's code holds the statements of a cell and, in their place, marks for the lines of [`super::plan`]. These are
//! written here, again and again until the compiler agrees ([`super::objections`]), and the items of all cells are put
//! before them. What rustc then says of a line is told of the line that evcxr knows.

use super::objections::{self, Decision, types};
use super::places;
use super::plan::{BEGIN, CELL_MARK, ITEMS_MARK, LINE_MARK, Mode, Plan};
use crate::syntax::statements::mentions;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
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

/// In the session's folder: what the next cell consists of.
const PLAN: &str = "vitrepl-plan.json";

/// In the session's folder: the crates that the user has added, with the files that the last cell was compiled with.
const ADDED: &str = "vitrepl-crates.json";

/// Told of every cell in the place of what cargo tells, which is another after each `:dep`: to the compiler cells with
/// the same are one crate, and a type of the session is the same in all of them.
const METADATA: &str = "metadata=cell";

/// Where evcxr writes the code of a cell.
const SOURCE: &str = "src/lib.rs";

/// What the cells of a session are compiled with.
#[derive(Default, Serialize, Deserialize)]
pub struct Setup {
    /// Crates that a cell may name, with their files.
    pub crates: BTreeMap<String, PathBuf>,
    /// Their versions.
    #[serde(default)]
    pub versions: BTreeMap<String, String>,
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

    /// What rustc is told, for `code`, beyond what is `given` to it already: a crate that the user has added comes before one of the same
    /// name here.
    pub fn arguments(&self, code: &str, given: &[OsString]) -> Vec<OsString> {
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

/// What became of the variables of a cell that has been compiled; numbers are those of its [`Plan`].
#[derive(Default, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Types of the ones it makes.
    pub types: BTreeMap<usize, String>,
    /// Variables that are moved away, and by which step.
    pub gone: BTreeMap<usize, usize>,
    /// Variables that borrow from the cell.
    pub unkept: BTreeSet<usize>,
}

impl Report {
    /// The report on the last cell of the session in `folder`.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(REPORT);
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }
}

/// The crates that the user has added to the session in `folder`, with their files: a crate that is compiled otherwise
/// has another.
pub fn added_crates(folder: &Path) -> BTreeMap<String, String> {
    // Before the first cell there is none.
    let text = fs::read(folder.join(ADDED)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

fn write_added_crates(arguments: &[OsString]) -> Result<()> {
    let externs = arguments.windows(2).filter(|pair| pair[0] == "--extern");
    let added: BTreeMap<String, String> = externs
        .filter_map(|pair| {
            let value = pair[1].to_string_lossy();
            let (name, file) = value.split_once('=')?;
            Some((name.to_owned(), file.to_owned()))
        })
        .collect();
    fs::write(ADDED, serde_json::to_vec(&added)?)
        .context("the disk may be full: the added crates cannot be written")
}

/// Has the next cell of the session in `folder` compiled by this plan.
pub fn write_plan(plan: &Plan, folder: &Path) -> Result<()> {
    let path = folder.join(PLAN);
    fs::write(&path, serde_json::to_vec(plan)?)
        .with_context(|| format!("cannot write {} (is the disk full?)", path.display()))
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
    let arguments: Vec<OsString> = arguments
        .iter()
        .map(
            |argument| match argument.to_string_lossy().starts_with("metadata=") {
                true => METADATA.into(),
                false => argument.clone(),
            },
        )
        .collect();
    let compiled = compile(rustc, &arguments).and_then(|compiled| {
        if compiled.succeeded {
            write_added_crates(&arguments)?;
        }
        Ok(compiled)
    });
    match compiled {
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

/// The most forms of a cell that are tried.
const MOST_TRIES: usize = 30;

fn compile(rustc: &OsString, arguments: &[OsString]) -> Result<Compiled> {
    let setup: Setup = match fs::read(SETUP) {
        Ok(text) => serde_json::from_slice(&text).context("vitrepl-setup.json is broken")?,
        Err(_) => Setup::default(),
    };
    let original = fs::read_to_string(SOURCE).context("the cell's code is not there")?;
    let rustc = |code: &str, tell_types: bool| {
        let mut rustc = Command::new(rustc);
        rustc.args(arguments).args(setup.arguments(code, arguments));
        // A panic or a `dbg!` tells the file: each cell's is another.
        let name = format!("src={CELL}-{}", std::process::id());
        rustc.args(["--remap-path-prefix", &name]);
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
    if !original.contains(CELL_MARK) {
        return rustc(&original, false);
    }
    let plan = fs::read(PLAN).context("the cell's plan is not there")?;
    let plan: Plan = serde_json::from_slice(&plan).context("vitrepl-plan.json is broken")?;
    // To get the errors to show, evcxr compiles once more without this.
    let is_plain = !original.contains("catch_unwind");
    let mut mode = Mode {
        plain: is_plain,
        ..plan.first_mode()
    };
    let mut has_doubted = false;
    for _ in 0..MOST_TRIES {
        let composed = Composed::new(&original, &plan, &mode);
        fs::write(SOURCE, &composed.code).context("the cell's code cannot be written")?;
        let mut output = rustc(&composed.code, !is_plain)?;
        let messages = messages(&output.stderr);
        if !output.succeeded && !is_plain {
            match objections::decide(&messages, &plan, &mode, &composed.code) {
                Decision::Try(other) if other != mode => {
                    mode = other;
                    continue;
                }
                _ => {}
            }
        }
        if output.succeeded && !has_doubted {
            has_doubted = true;
            let doubted = objections::may_be_kept(&types(&messages, &plan), &mode);
            if !doubted.is_empty() {
                mode.unkept.retain(|variable| !doubted.contains(variable));
                continue;
            }
        }
        // evcxr looks at its own text the next time.
        fs::write(SOURCE, &original).context("the cell's code cannot be written")?;
        if output.succeeded {
            let report = Report {
                types: types(&messages, &plan),
                gone: mode.gone,
                unkept: mode.unkept,
            };
            fs::write(REPORT, serde_json::to_vec(&report)?)
                .context("the disk may be full: the cell's report cannot be written")?;
        }
        output.stderr = composed.told_of_original(messages, &output.stderr);
        return Ok(output);
    }
    fs::write(SOURCE, &original).context("the cell's code cannot be written")?;
    anyhow::bail!("no form of the cell compiles; put it in braces {{ ... }}")
}

fn messages(stderr: &[u8]) -> Vec<Value> {
    let lines = stderr.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect()
}

/// Where a line of composed code comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// A line (from 1) of evcxr's code.
    Original(usize),
    /// A line (from 1) of the items of earlier cells.
    Item(usize),
    /// A line that is put in here.
    Other,
}

/// The code of a cell as rustc is given it.
struct Composed {
    code: String,
    places: Vec<Place>,
}

impl Composed {
    fn new(original: &str, plan: &Plan, mode: &Mode) -> Self {
        let lines: Vec<&str> = original.lines().collect();
        let find = |mark: &str| lines.iter().position(|line| line.ends_with(mark));
        let head = lines.iter().position(|line| !line.starts_with("#!"));
        let head = head.unwrap_or(0);
        let cell = find(CELL_MARK).unwrap_or(head);
        let items = find(ITEMS_MARK).unwrap_or(cell);
        let mut composed = Composed {
            code: String::new(),
            places: Vec::new(),
        };
        composed.originals(&lines, 0..head, plan, mode);
        if original.contains("dbg!") || plan.items.contains("dbg!") {
            composed.others("#[allow(unused_imports)] use ::vitrepl_runtime::dbg;");
        }
        composed.items(&plan.items);
        composed.originals(&lines, cell + 1..items, plan, mode);
        composed.originals(&lines, head..cell + 1, plan, mode);
        composed.originals(&lines, items..lines.len(), plan, mode);
        composed.others(&plan.behind);
        composed.locate(plan, cell + 1);
        composed
    }

    fn originals(
        &mut self,
        lines: &[&str],
        range: std::ops::Range<usize>,
        plan: &Plan,
        mode: &Mode,
    ) {
        for number in range {
            let line = lines[number];
            let ours = line
                .strip_prefix(LINE_MARK)
                .and_then(|number| number.parse().ok())
                .filter(|number| *number < plan.lines.len());
            match ours {
                Some(ours) => self.code.push_str(&plan.render(ours, mode)),
                None => self.code.push_str(line),
            }
            self.code.push('\n');
            self.places.push(Place::Original(number + 1));
        }
    }

    fn items(&mut self, code: &str) {
        for (number, line) in code.lines().enumerate() {
            self.code.push_str(line);
            self.code.push('\n');
            self.places.push(Place::Item(number + 1));
        }
    }

    fn others(&mut self, code: &str) {
        for line in code.lines() {
            self.code.push_str(line);
            self.code.push('\n');
            self.places.push(Place::Other);
        }
    }

    /// Has the cell tell its runtime where its lines come from; `mark` is the line of evcxr's code at which it begins.
    fn locate(&mut self, plan: &Plan, mark: usize) {
        let places = self.places.iter().map(|place| match place {
            Place::Original(line) => {
                places::find(&plan.places, (line + plan.mark).checked_sub(mark)?)
            }
            Place::Item(line) => places::find(&plan.item_places, *line),
            Place::Other => None,
        });
        let call = places::call(&places::runs(places));
        self.code = self.code.replacen(BEGIN, &format!("{call} {BEGIN}"), 1);
    }

    fn place(&self, line: &Value) -> Option<Place> {
        let line = usize::try_from(line.as_u64()?).ok()?;
        self.places.get(line.checked_sub(1)?).copied()
    }

    /// What rustc has said, told of the lines of evcxr's code. Errors in items of earlier cells are told in words.
    fn told_of_original(&self, messages: Vec<Value>, stderr: &[u8]) -> Vec<u8> {
        if messages.is_empty() {
            return stderr.to_vec();
        }
        let mut told = Vec::new();
        for mut message in messages {
            self.tell_item(&mut message);
            // Of this one evcxr would take that it has to compile tokio, and fail after that.
            if message["code"]["code"] == "E0728" {
                message["code"] = Value::Null;
            }
            self.move_lines(&mut message);
            told.extend(message.to_string().into_bytes());
            told.push(b'\n');
        }
        told
    }

    fn tell_item(&self, message: &mut Value) {
        let spans = message["spans"].as_array().into_iter().flatten();
        let primary = spans.into_iter().find(|span| span["is_primary"] == true);
        let Some(primary) = primary else { return };
        let place = self.place(&primary["line_start"]);
        if message["level"] != "error" || !matches!(place, Some(Place::Item(_) | Place::Other)) {
            return;
        }
        let line = primary["text"][0]["text"].as_str().unwrap_or_default();
        let label = primary["label"].as_str().unwrap_or_default();
        let text = format!(
            "error: {}\n  in what was defined earlier: {}\n  {label}",
            message["message"].as_str().unwrap_or_default(),
            line.trim()
        );
        message["rendered"] = json!(text.trim_end());
    }

    fn move_lines(&self, value: &mut Value) {
        match value {
            Value::Array(values) => values.iter_mut().for_each(|value| self.move_lines(value)),
            Value::Object(fields) => {
                let is_ours = fields
                    .get("file_name")
                    .and_then(Value::as_str)
                    .is_some_and(|name| name.ends_with("lib.rs"));
                if is_ours {
                    for name in ["line_start", "line_end"] {
                        match fields.get(name).and_then(|line| self.place(line)) {
                            Some(Place::Original(line)) => {
                                fields.insert(name.to_owned(), json!(line));
                            }
                            _ => {
                                fields.insert("file_name".to_owned(), json!("an earlier cell"));
                            }
                        }
                    }
                }
                fields.values_mut().for_each(|value| self.move_lines(value));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::plan::Line;

    #[test]
    fn only_crates_that_are_named_are_passed() {
        let setup = Setup {
            crates: [
                ("a".to_owned(), "/a.so".into()),
                ("b".to_owned(), "/b.so".into()),
            ]
            .into(),
            search: vec!["/deps".into()],
            ..Setup::default()
        };
        let passed = ["--extern", "a=/a.so", "-L", "dependency=/deps"];
        assert_eq!(setup.arguments("use a::x;", &[]), passed);
        let given = ["--extern".into(), "a=/of/the/user.rlib".into()];
        assert_eq!(setup.arguments("use a::x;", &given), passed[2..]);
    }

    #[test]
    fn items_come_before_the_cell_and_errors_keep_their_lines() {
        let original = format!(
            "#![allow(x)]\nfn run() {{\nlet _ = {{ {CELL_MARK}\nstruct New;\n{ITEMS_MARK}\n{LINE_MARK}0\nnew();\n}}\n"
        );
        let plan = Plan {
            lines: vec![Line::Open(0)],
            steps: 1,
            items: "struct A;\nstruct B;\n".to_owned(),
            ..Plan::default()
        };
        let composed = Composed::new(&original, &plan, &Mode::default());
        let lines: Vec<&str> = composed.code.lines().collect();
        assert_eq!(
            lines[..4],
            ["#![allow(x)]", "struct A;", "struct B;", "struct New;"]
        );
        assert!(lines[7].starts_with("let () = match"), "{lines:#?}");
        let span = |line: usize| {
            json!({
                "level": "error", "message": "no", "rendered": "",
                "spans": [{
                    "file_name": "src/lib.rs", "line_start": line, "line_end": line, "is_primary": true,
                    "text": [{"text": "struct B;"}], "label": "here",
                }],
            })
        };
        let told = composed.told_of_original(vec![span(9), span(3)], b"x");
        let told: Vec<Value> = messages(&told);
        assert_eq!(told[0]["spans"][0]["line_start"], 7);
        assert_eq!(told[1]["spans"][0]["file_name"], "an earlier cell");
        assert!(
            told[1]["rendered"]
                .as_str()
                .unwrap()
                .contains("defined earlier: struct B;")
        );
    }
}
