//! `vitrepl --timings`: start and cells of a session next to those of stock evcxr with the same library, in one run.
//!
//! Both are given the same statements by a process of their own; stock evcxr gets a folder in which the library is
//! compiled already, so that its start is a warm one too. Runs take turns, because other work comes and goes.

use crate::eval::environment;
use crate::library::folder::CompileFolder;
use crate::library::sources::{CRATE, IMPORT};
use crate::session::interrupt::Interrupts;
use crate::session::{Prepared, Session};
use crate::syntax::statements::Source;
use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;
use evcxr::CommandContext;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Statements of each kind in a run.
const STATEMENTS: usize = 20;

/// Starts a line in which a process under test says something.
const PREFIX: &str = "VITREPL_TIMING ";

/// The statement that ends the start.
const FIRST: &str = "let vit = load(\"tiny_vit\")?;";

/// Whose time is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Whose {
    Session,
    Stock,
}

/// What was measured of one of the two, in seconds.
#[derive(Default)]
struct Times {
    start: Vec<f64>,
    lets: Vec<f64>,
    shown: Vec<f64>,
}

/// Measures both, `runs` times in turn, and prints a table of medians.
pub fn compare(runs: usize) -> Result<()> {
    let prepared = Prepared::new()?;
    let stock_folder = prepare_stock(prepared.folder())?;
    let library_path = library_path(prepared.folder(), &stock_folder);
    drop(prepared);
    let (mut session, mut stock) = (Times::default(), Times::default());
    for run in 1..=runs.max(1) {
        eprintln!("run {run} of {runs}");
        measure(Whose::Session, &mut session, &stock_folder, &library_path)?;
        measure(Whose::Stock, &mut stock, &stock_folder, &library_path)?;
    }
    println!(
        "seconds, medians of {runs} runs{:>21}{:>14}",
        "vitrepl", "stock evcxr"
    );
    for (what, of) in [
        (
            "start, to the first loaded model",
            (&session.start, &stock.start),
        ),
        ("cell: let x = ...;", (&session.lets, &stock.lets)),
        (
            "cell: a displayed expression",
            (&session.shown, &stock.shown),
        ),
    ] {
        println!("{what:<38}{:>10.2}{:>14.2}", median(of.0), median(of.1));
    }
    Ok(())
}

/// Runs the statements in this process, and prints how long each took.
pub fn run(whose: Whose) -> Result<()> {
    let mut evaluate = match whose {
        Whose::Session => session()?,
        Whose::Stock => stock()?,
    };
    evaluate(FIRST)?;
    println!("{PREFIX}start 0");
    for number in 0..STATEMENTS {
        let statements = [
            (
                "let",
                format!("let x{number} = vit.name().len() + {number};"),
            ),
            ("shown", format!("x{number} * 2")),
        ];
        for (kind, statement) in statements {
            let start = Instant::now();
            evaluate(&statement)?;
            println!("{PREFIX}{kind} {}", start.elapsed().as_secs_f64());
        }
    }
    Ok(())
}

type Evaluate = Box<dyn FnMut(&str) -> Result<()>>;

fn session() -> Result<Evaluate> {
    let mut session = Session::start(Interrupts::listen()?)?;
    Ok(Box::new(move |statement| {
        let source = Source::new("timings", statement);
        let done = session.evaluate(&source, &source.pieces);
        done.map_err(|failure| anyhow!("{statement} fails: {failure:?}"))
    }))
}

fn stock() -> Result<Evaluate> {
    let (mut context, outputs) =
        CommandContext::new().map_err(|error| anyhow!("evcxr does not start: {error}"))?;
    std::thread::spawn(move || for _ in outputs.stdout {});
    std::thread::spawn(move || {
        for line in outputs.stderr {
            eprintln!("{line}")
        }
    });
    let dependency = std::env::var(DEPENDENCY).context("run `vitrepl --timings`")?;
    let mut evaluate = move |code: &str| match context.execute(code) {
        Ok(_) => Ok(()),
        Err(error) => Err(anyhow!("stock evcxr: {code} fails: {error}")),
    };
    evaluate(&format!(":dep {CRATE} = {dependency}\n{IMPORT}"))?;
    Ok(Box::new(evaluate))
}

/// Tells the process that runs stock evcxr where the library is.
const DEPENDENCY: &str = "VITREPL_TIMED_LIBRARY";

/// A folder for stock evcxr, with all that cargo has made of the library.
fn prepare_stock(folder: &CompileFolder) -> Result<PathBuf> {
    let stock = folder.shared.with_file_name("stock");
    let _ = std::fs::remove_dir_all(&stock);
    let link = || -> std::io::Result<()> {
        link_all(&folder.shared.join("target"), &stock.join("target"))?;
        std::fs::copy(folder.shared.join("Cargo.lock"), stock.join("Cargo.lock"))?;
        Ok(())
    };
    link().with_context(|| format!("cannot fill {}", stock.display()))?;
    Ok(stock)
}

/// The same files under another folder, but for what belongs to the crate that was compiled there.
fn link_all(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        let is_own = ["ctx.", "ctx-", "libctx."]
            .iter()
            .any(|start| text.starts_with(start));
        if is_own || text == "incremental" || text == ".cargo-lock" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            link_all(&entry.path(), &to.join(&name))?;
        } else {
            std::fs::hard_link(entry.path(), to.join(&name))?;
        }
    }
    Ok(())
}

fn library_path(folder: &CompileFolder, stock: &Path) -> String {
    let target = stock.join("target").join(&folder.target).join("debug/deps");
    format!("{}:{}", target.display(), folder.std_library.display())
}

fn measure(whose: Whose, times: &mut Times, stock: &Path, library_path: &str) -> Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    environment::leave(&mut command);
    command
        .arg("--timings-of")
        .arg(format!("{whose:?}").to_lowercase());
    if whose == Whose::Stock {
        let sources = stock.with_file_name("source").join("prelude");
        command
            .env("EVCXR_TMPDIR", stock)
            .env(
                DEPENDENCY,
                format!("{{ path = {sources:?}, features = [] }}"),
            )
            .env("LD_LIBRARY_PATH", library_path)
            .current_dir(stock);
    }
    let start = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().context("no pipe")?;
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        let Some((kind, seconds)) = line
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once(' '))
        else {
            continue;
        };
        let seconds: f64 = seconds.parse()?;
        match kind {
            "start" => times.start.push(start.elapsed().as_secs_f64()),
            "let" => times.lets.push(seconds),
            _ => times.shown.push(seconds),
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("the run of {whose:?} failed ({status})");
    }
    Ok(())
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert!(median(&[]).is_nan());
    }
}
