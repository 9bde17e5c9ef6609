//! Start and cells of a session next to those of stock evcxr with the same library, in one run.
//!
//!     cargo bench --locked --workspace --bench cells
//!
//! Both are processes that are given the same statements by a pipe; a cell lasts from its line's being written until its
//! answer is read. Stock evcxr gets a folder in which the library is compiled already, so that its start is a warm one
//! too. Runs take turns, because other work comes and goes; `VITREPL_BENCH_ROUNDS` says how many there are (3).

#[path = "../tests/stock/mod.rs"]
mod stock;

use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;
use stock::StockFolder;

/// Statements of each kind in a run.
const STATEMENTS: usize = 20;

/// A line that a cell prints when it is done.
const DONE: &str = "BENCH DONE";

/// The argument with which this program is stock evcxr.
const STOCK: &str = "--as-stock-evcxr";

fn main() -> Result<()> {
    // The processes in which stock evcxr runs its cells are this program.
    evcxr::runtime_hook();
    if std::env::args().any(|argument| argument == STOCK) {
        return be_stock();
    }
    let rounds = match std::env::var("VITREPL_BENCH_ROUNDS") {
        Ok(rounds) => rounds.parse().context("VITREPL_BENCH_ROUNDS")?,
        Err(_) => 3,
    };
    let stock = StockFolder::prepare(&mut vitrepl())?;
    let (mut ours, mut theirs) = (Times::default(), Times::default());
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        ours.measure(&mut vitrepl(), "")?;
        let mut as_stock = Command::new(std::env::current_exe()?);
        stock.set(as_stock.arg(STOCK))?;
        theirs.measure(
            &mut as_stock,
            ":dep vitrepl-prelude = { path = \"prelude\" }",
        )?;
    }
    println!(
        "seconds, medians of {rounds} runs{:>21}{:>14}{:>9}",
        "vitrepl", "stock evcxr", "ratio"
    );
    for (what, ours, theirs) in [
        ("start, to the first loaded model", ours.start, theirs.start),
        ("cell: let x = ...;", ours.lets, theirs.lets),
        ("cell: a displayed expression", ours.shown, theirs.shown),
    ] {
        let (ours, theirs) = (median(ours), median(theirs));
        println!(
            "{what:<38}{ours:>10.2}{theirs:>14.2}{:>8.1}x",
            theirs / ours
        );
    }
    Ok(())
}

fn vitrepl() -> Command {
    Command::new(env!("CARGO_BIN_EXE_vitrepl"))
}

/// A process that takes a statement a line.
struct Process {
    child: Child,
    statements: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Process {
    fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (statements, answers) = pipes.context("no pipes")?;
        Ok(Process {
            child,
            statements,
            answers: BufReader::new(answers),
        })
    }

    /// Gives it a statement that shows one line, and waits for that.
    fn ask(&mut self, statement: &str) -> Result<String> {
        writeln!(self.statements, "{statement}")?;
        let mut answer = String::new();
        if self.answers.read_line(&mut answer)? == 0 {
            bail!("no answer to {statement}");
        }
        Ok(answer.trim().to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What was measured of one of the two, in seconds.
#[derive(Default)]
struct Times {
    start: Vec<f64>,
    lets: Vec<f64>,
    shown: Vec<f64>,
}

impl Times {
    /// Of a fresh process; `import` is what it needs for the library to be there.
    fn measure(&mut self, command: &mut Command, import: &str) -> Result<()> {
        let start = Instant::now();
        let mut process = Process::start(command)?;
        if !import.is_empty() {
            process.ask(&format!(
                "{import}\u{1}use vitrepl_prelude::prelude::*; println!(\"{DONE}\");"
            ))?;
        }
        process.ask(&format!(
            "let vit = load(\"tiny_vit\")?; println!(\"{DONE}\");"
        ))?;
        self.start.push(start.elapsed().as_secs_f64());
        for number in 0..STATEMENTS {
            let make =
                format!("let x{number} = vit.name().len() + {number}; println!(\"{DONE}\");");
            let show = format!("x{number} * 2");
            for (statement, times) in [(make, &mut self.lets), (show, &mut self.shown)] {
                let start = Instant::now();
                process.ask(&statement)?;
                times.push(start.elapsed().as_secs_f64());
            }
        }
        Ok(())
    }
}

/// Evaluates lines of standard input by stock evcxr, and prints what they print and show.
fn be_stock() -> Result<()> {
    let context = evcxr::CommandContext::new();
    let (mut context, outputs) =
        context.map_err(|error| anyhow::anyhow!("evcxr does not start: {error}"))?;
    std::thread::spawn(move || outputs.stdout.iter().for_each(|line| println!("{line}")));
    std::thread::spawn(move || outputs.stderr.iter().for_each(|line| eprintln!("{line}")));
    for line in std::io::stdin().lines() {
        // Of lines that are one cell only the first may be a command.
        let code = line?.replace('\u{1}', "\n");
        match context.execute(&code) {
            Ok(done) => {
                if let Some(text) = done.get("text/plain") {
                    println!("{}", text.trim_end());
                }
            }
            Err(error) => bail!("{code} fails: {error}"),
        }
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
