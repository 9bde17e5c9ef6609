//! Named pipes between the process of the session and the process that runs the cells.
//!
//! evcxr gives its orders to the process that runs the cells on that process's standard input, and reads its answers
//! from the standard output. Cells must not come between: so that process keeps those two for itself and gives the
//! cells three pipes of the session's instead. Two more carry what the cells' runtime (`prelude/runtime/`) has to say.
//!
//! | pipe | from | to | what |
//! | --- | --- | --- | --- |
//! | `input` | session | cells | standard input |
//! | `output`, `errors` | cells | session | standard output and error, as they come |
//! | `messages` | runtime | session | displayed values, errors, the end of a cell |
//! | `answers` | session | runtime | the number of each message, when it has been taken |
//!
//! Named pipes outlive the process that runs the cells, so a new one finds the same.

use anyhow::{Context, Result};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::Mode;
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, mkfifo};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Tells the process that runs the cells, and the runtime in it, the folder of the pipes.
pub const VARIABLE: &str = "VITREPL_CHANNELS";

const INPUT: &str = "input";
const OUTPUT: &str = "output";
const ERRORS: &str = "errors";
const MESSAGES: &str = "messages";
const ANSWERS: &str = "answers";

/// The session's ends of the pipes. Reading from one never waits.
pub struct Channels {
    pub output: File,
    pub errors: File,
    pub messages: File,
    pub answers: File,
    pub input: PathBuf,
}

impl Channels {
    /// Makes the pipes in `folder`. Older ones are replaced: a process that an earlier session has left behind may
    /// still write into those.
    pub fn create(folder: &Path) -> Result<Self> {
        let open = |name: &str| -> Result<File> {
            let path = folder.join(name);
            // Held open for both, the pipe has no end when a process that wrote into it is gone.
            File::options()
                .read(true)
                .write(true)
                .custom_flags(OFlag::O_NONBLOCK.bits())
                .open(&path)
                .with_context(|| format!("cannot open the pipe {}", path.display()))
        };
        let make = || -> std::io::Result<()> {
            if folder.exists() {
                fs::remove_dir_all(folder)?;
            }
            fs::create_dir_all(folder)?;
            for name in [INPUT, OUTPUT, ERRORS, MESSAGES, ANSWERS] {
                mkfifo(&folder.join(name), Mode::S_IRUSR | Mode::S_IWUSR)?;
            }
            Ok(())
        };
        make().with_context(|| {
            format!(
                "cannot make pipes in {} (set VITREPL_CACHE_DIR to a folder on a file system that has named pipes)",
                folder.display()
            )
        })?;
        Ok(Channels {
            output: open(OUTPUT)?,
            errors: open(ERRORS)?,
            messages: open(MESSAGES)?,
            answers: open(ANSWERS)?,
            input: folder.join(INPUT),
        })
    }

    /// Drops what the pipes hold.
    pub fn discard(&self) {
        let mut buffer = [0; 1 << 16];
        for mut pipe in [&self.output, &self.errors, &self.messages] {
            while pipe.read(&mut buffer).is_ok_and(|length| length > 0) {}
        }
    }
}

/// In the process that runs the cells: gives them the pipes in `folder` for standard streams.
pub fn take_streams(folder: &Path) -> Result<()> {
    let write = |name: &str| {
        let path = folder.join(name);
        let file = File::options().write(true).open(&path);
        file.with_context(|| format!("cannot open the pipe {}", path.display()))
    };
    // Opened without waiting for the session to open the other end, which it does when a cell runs.
    let input = File::options()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(folder.join(INPUT))
        .context("cannot open the pipe of the standard input")?;
    fcntl(&input, FcntlArg::F_SETFL(OFlag::empty()))?;
    dup2_stdin(&input)?;
    dup2_stdout(write(OUTPUT)?)?;
    dup2_stderr(write(ERRORS)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn pipes_are_made_anew_and_reading_from_them_never_waits() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("with spaces");
        let mut older = Channels::create(&place).unwrap();
        let mut channels = Channels::create(&place).unwrap();
        older.output.write_all(b"of another session").unwrap();
        let mut text = [0; 16];
        assert!(channels.output.read(&mut text).is_err());
        File::options()
            .write(true)
            .open(place.join(OUTPUT))
            .unwrap()
            .write_all(b"x")
            .unwrap();
        channels.discard();
        assert!(channels.output.read(&mut text).is_err());
    }
}
