//! A notebook under the kernel that users of Rust in Jupyter know, evcxr_jupyter as it is published, with the first cell
//! that the README has for it.
//!
//! This program is that kernel too, when Jupyter starts it with a connection file, and the process in which it runs cells:
//! evcxr starts its own program again for them.
//!
//! By its name this test comes after all others that start vitrepl. Evcxr's rust-analyzer has rustup install the standard
//! library's sources where they are missing, and with them vitrepl compiles its library anew.

mod desk;
mod python;
mod stock;

use desk::{Desk, Ran, vitrepl};
use libtest_mimic::{Arguments, Failed, Trial};
use std::path::Path;
use std::process::{Command, ExitCode};
use stock::StockFolder;

const README: &str = include_str!("../README.md");

/// The notebook: its cells are plain Rust, and show a table, charts and pictures.
const NOTEBOOK: &str = "compare";

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--control_file") || !is_started_by_cargo() {
        return match evcxr_jupyter::main() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    let trial = Trial::test("a_notebook_runs_under_stock_evcxr", run_notebook);
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

/// Evcxr tells the processes that it starts, those of cells and those in the place of rustc, by variables.
fn is_started_by_cargo() -> bool {
    let asked = |variable| std::env::var_os(variable).is_some();
    !asked("EVCXR_IS_RUNTIME") && !asked("EVCXR_RUSTC_WRAPPER")
}

/// The cell that the README has for stock evcxr.
fn first_cell() -> String {
    let begins = README
        .find(":dep vitrepl-prelude")
        .expect("the README has the first cell");
    let cell = &README[begins..];
    cell[..cell.find("```").expect("its end")]
        .trim()
        .to_string()
}

fn run_notebook() -> Result<(), Failed> {
    let python = python::python();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let desk = Desk::new(&[]);
    let kernel = serde_json::json!({
        "argv": [std::env::current_exe()?, "--control_file", "{connection_file}"],
        "display_name": "Rust",
        "language": "rust",
    });
    let folder = desk.path("share/jupyter/kernels/rust");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("kernel.json"), kernel.to_string())?;
    let executed = Path::new(env!("CARGO_TARGET_TMPDIR")).join("with_stock_evcxr.ipynb");
    let mut command = Command::new(python);
    command
        .arg(root.join("tests/jupyter/run_notebook.py"))
        .arg(root.join(format!("notebooks/{NOTEBOOK}.ipynb")))
        .arg(&executed)
        .args(["rust", &first_cell()])
        .env("JUPYTER_PATH", desk.path("share/jupyter"))
        .env("JUPYTER_RUNTIME_DIR", desk.path("runtime"))
        .env("VITREPL_QUICK", "1");
    StockFolder::prepare(&mut vitrepl())?.set(&mut command)?;
    let ran = Ran::from(command.output()?);
    println!("{}", ran.out);
    match ran.code {
        Some(0) if !ran.out.contains(" 0 pictures") => Ok(()),
        _ => Err(format!("{ran:#?}").into()),
    }
}
