//! The program as users install it: by `cargo install`, and by pip as a wheel with its kernel.
//!
//! Both find in the target folder what `cargo test` has compiled, so that neither compiles the dependencies again.

mod desk;
mod python;

use desk::{Desk, Ran, alone};
use python::{must, python};
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Cargo's target folder.
fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap()
}

#[test]
fn cargo_install_gives_a_program_that_needs_no_checkout() {
    let desk = Desk::new(&[("script.rs", "let vit = load(\"tiny_vit\")?;\nvit.name()\n")]);
    let _alone = alone();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    must(
        Command::new(cargo)
            .args(["install", "--locked", "--path", ROOT, "--root"])
            .arg(desk.path("root"))
            .arg("--target-dir")
            .arg(target()),
        "`cargo install --locked --path .` is in the README",
    );
    let output = Command::new(desk.path("root/bin/vitrepl"))
        .arg("script.rs")
        .current_dir(desk.path(""))
        .env_remove("VITREPL_PRELUDE")
        .output();
    Ran::from(output.unwrap())
        .ends_with(0)
        .says("\"tiny_vit\"\n");
    // What it was compiled from is its own copy.
    let cache = std::env::var_os("VITREPL_CACHE_DIR")
        .map(PathBuf::from)
        .unwrap_or_else(|| dirs::cache_dir().unwrap().join("vitrepl"));
    let manifests: Vec<String> = std::fs::read_dir(cache.join("compile"))
        .unwrap()
        .filter_map(|folder| {
            std::fs::read_to_string(folder.unwrap().path().join("library/Cargo.toml")).ok()
        })
        .collect();
    assert!(!manifests.is_empty());
    for manifest in manifests {
        // A folder whose name only begins like the checkout's is another.
        let mut quoted = manifest.split('"');
        let in_checkout = quoted.any(|text| Path::new(text).starts_with(ROOT));
        assert!(!in_checkout, "{manifest}");
    }
}

/// A virtual environment of Python with the wheel of this program in it, and with Jupyter's packages.
fn environment_with_wheel(desk: &Desk) -> PathBuf {
    let jupyter = python();
    let (wheels, venv) = (desk.path("wheels"), desk.path("venv"));
    must(
        Command::new(jupyter)
            .args(["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"])
            .arg(&wheels)
            .arg(ROOT)
            .env("CARGO_TARGET_DIR", target()),
        "maturin, which builds the wheel, must come from PyPI",
    );
    let wheel = std::fs::read_dir(&wheels).unwrap().next().unwrap().unwrap();
    let mut made = Command::new("python3");
    must(made.args(["-m", "venv"]).arg(&venv), "");
    let python = venv.join("bin/python");
    must(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--no-index", "--no-deps"])
            .arg(wheel.path()),
        "",
    );
    let packages = |python: &Path| {
        let code = "import sysconfig; print(sysconfig.get_path('purelib'))";
        let ran = must(Command::new(python).args(["-c", code]), "");
        PathBuf::from(ran.out.trim())
    };
    let link = packages(&python).join("jupyter.pth");
    std::fs::write(link, packages(jupyter).to_str().unwrap()).unwrap();
    python
}

/// Runs a notebook with the kernel that the environment of `python` has.
fn run_notebook(desk: &Desk, python: &Path, prepare: impl Fn(&mut Command)) -> Ran {
    let script = Path::new(ROOT).join("tests/jupyter/run_notebook.py");
    let mut command = Command::new(python);
    command
        .arg(script)
        .args(["script.ipynb", "executed.ipynb"])
        .current_dir(desk.path(""))
        .env_remove("JUPYTER_PATH")
        .env("JUPYTER_DATA_DIR", desk.path("data"))
        .env("JUPYTER_RUNTIME_DIR", desk.path("runtime"));
    prepare(&mut command);
    Ran::from(command.output().unwrap())
}

#[test]
fn pip_installs_the_program_and_its_kernel_and_the_first_cell_says_what_else_it_needs() {
    let desk = Desk::new(&[("script.rs", "let vit = load(\"tiny_vit\")?;\nvit.name()\n")]);
    let python = environment_with_wheel(&desk);
    let _alone = alone();
    let convert = Command::new(python.with_file_name("vitrepl"))
        .args(["convert", "script.rs", "script.ipynb"])
        .current_dir(desk.path(""))
        .output();
    Ran::from(convert.unwrap()).ends_with(0);
    run_notebook(&desk, &python, |_| {}).ends_with(0);
    let executed = std::fs::read_to_string(desk.path("executed.ipynb")).unwrap();
    assert!(executed.contains("\\\"tiny_vit\\\""), "{executed}");
    // No Rust toolchain: neither in PATH nor where rustup puts one.
    let bare = run_notebook(&desk, &python, |command| {
        command
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", desk.path(""))
            .env_remove("CARGO_HOME")
            .env("VITREPL_CACHE_DIR", desk.path("cache"));
    });
    bare.ends_with(1).complains("https://rustup.rs");
}
