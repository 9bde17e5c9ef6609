//! Registering the kernel with Jupyter: a folder with `kernel.json` and logos.

use super::logo;
use crate::eval::environment;
use crate::notebook::{KERNEL, KERNEL_TITLE};
use crate::output::FrontEnd;
use crate::output::failure::Failure;
use crate::session::Session;
use crate::session::Surroundings;
use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names, and beginnings of names, of what a session needs of the environment: Jupyter may be started from another one.
const ENVIRONMENT: &[&str] = &[
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "RUSTFLAGS",
    "HF_",
    "VITREPL_",
];

/// Of these, what is not written to a file that others can read, or is not the user's.
const LEFT_OUT: &[&str] = &["HF_TOKEN", environment::SESSION];

/// For whom the kernel is registered.
#[derive(Args)]
#[group(multiple = false)]
pub struct Place {
    /// For this user (the default)
    #[arg(long)]
    user: bool,
    /// Below PREFIX/share/jupyter
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<PathBuf>,
    /// For the active Python environment
    #[arg(long)]
    sys_prefix: bool,
}

impl Place {
    fn folder(&self) -> Result<PathBuf> {
        let below = |prefix: PathBuf| prefix.join("share/jupyter");
        let data = match &self.prefix {
            Some(prefix) => below(std::path::absolute(prefix).context("no such folder")?),
            None if self.sys_prefix => below(python_prefix()?),
            None => user_data()?,
        };
        Ok(data.join("kernels").join(KERNEL))
    }
}

/// Registers this program, after the library has been compiled for it.
pub fn install(place: &Place, output: &FrontEnd) -> Result<(), Failure> {
    let folder = place.folder()?;
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    // The first start compiles the library: better here, where one sees it, than in a notebook.
    Session::start(Surroundings::of_terminal(output)?)?;
    write(&folder, &program)
        .with_context(|| format!("cannot register the kernel in {}", folder.display()))?;
    output.out(&format!(
        "registered {KERNEL_TITLE:?} in {}",
        folder.display()
    ));
    Ok(())
}

/// Removes the registration.
pub fn uninstall(place: &Place, output: &FrontEnd) -> Result<(), Failure> {
    let folder = place.folder()?;
    if !folder.join("kernel.json").is_file() {
        let name = folder.display();
        return Err(format!(
            "no kernel is registered in {name}; name the place it was installed to (--user, --prefix or --sys-prefix)"
        )
        .into());
    }
    std::fs::remove_dir_all(&folder)
        .with_context(|| format!("cannot remove {}", folder.display()))?;
    output.out(&format!("removed {}", folder.display()));
    Ok(())
}

/// Writes the folder whole or not at all; one that is there already is replaced.
fn write(folder: &Path, program: &Path) -> Result<()> {
    let parent = folder.parent().context("no folder to write to")?;
    std::fs::create_dir_all(parent)?;
    let new = tempfile::Builder::new()
        .prefix(".vitrepl-")
        .tempdir_in(parent)?;
    let specification = serde_json::to_string_pretty(&specification(program))?;
    std::fs::write(new.path().join("kernel.json"), specification)?;
    std::fs::write(new.path().join("logo-32x32.png"), logo::png(32)?)?;
    std::fs::write(new.path().join("logo-64x64.png"), logo::png(64)?)?;
    std::fs::write(new.path().join("logo-svg.svg"), logo::svg())?;
    open_to_all(new.path())?;
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::rename(new.keep(), folder)?;
    Ok(())
}

fn specification(program: &Path) -> Value {
    let is_wanted = |name: &String| {
        ENVIRONMENT.iter().any(|wanted| name.starts_with(wanted))
            && !LEFT_OUT.contains(&name.as_str())
    };
    let variables = std::env::vars_os().filter_map(|(name, value)| {
        Some((name.into_string().ok()?, value.into_string().ok()?.into()))
    });
    let mut environment: Map<String, Value> =
        variables.filter(|(name, _)| is_wanted(name)).collect();
    if let Some(folder) = cargo_folder() {
        // Jupyter puts its own in the place of the name.
        environment.insert("PATH".to_owned(), format!("{folder}:${{PATH}}").into());
    }
    json!({
        "argv": [program, "kernel", "run", "{connection_file}"],
        "display_name": KERNEL_TITLE,
        "language": "rust",
        "interrupt_mode": "message",
        "env": environment,
        "metadata": {"debugger": false},
    })
}

/// Where cargo is, with which cells are compiled.
fn cargo_folder() -> Option<String> {
    let path = std::env::var_os("PATH")?;
    let folder = std::env::split_paths(&path).find(|folder| folder.join("cargo").is_file())?;
    folder.into_os_string().into_string().ok()
}

/// Temporary folders are for their owner only; a kernel may be for every user.
fn open_to_all(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))
}

/// Jupyter's data folder of the user, as `jupyter --data-dir` says it.
fn user_data() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("JUPYTER_DATA_DIR") {
        return Ok(PathBuf::from(named));
    }
    if cfg!(target_os = "macos") {
        let home = dirs::home_dir().context("the user has no home folder; use --prefix")?;
        return Ok(home.join("Library/Jupyter"));
    }
    let data = dirs::data_dir().context("the user has no data folder; use --prefix")?;
    Ok(data.join("jupyter"))
}

/// The folder of the Python environment that is active.
fn python_prefix() -> Result<PathBuf> {
    let active = ["VIRTUAL_ENV", "CONDA_PREFIX"];
    if let Some(prefix) = active.iter().find_map(std::env::var_os) {
        return Ok(PathBuf::from(prefix));
    }
    let output = Command::new("python3")
        .args(["-c", "import sys; print(sys.prefix)"])
        .output()
        .context("no Python environment is active and python3 cannot be run; use --prefix")?;
    if !output.status.success() {
        bail!("python3 does not say where it is installed; use --prefix");
    }
    Ok(PathBuf::from(
        String::from_utf8_lossy(&output.stdout).trim(),
    ))
}
