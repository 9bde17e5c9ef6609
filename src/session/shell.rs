//! A line for the shell.

use super::interrupt::Interrupts;
use crate::output::content::cut_character;
use crate::output::failure::Failure;
use crate::output::{FrontEnd, Stream};
use anyhow::Context as _;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Between two looks whether it has ended, or Ctrl-C was pressed.
const PAUSE: Duration = Duration::from_millis(20);

/// Has `sh` carry out a line in `folder`, passes on what it writes as it comes, and fails where it does.
pub fn run(
    line: &str,
    folder: &Path,
    interrupts: &Interrupts,
    output: &FrontEnd,
) -> Result<(), Failure> {
    let mut command = Command::new("sh");
    crate::eval::environment::leave(&mut command);
    let mut child = command
        .args(["-c", line])
        .current_dir(folder)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run sh")?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (of_out, of_err) = (output.clone(), output.clone());
    let readers = [
        std::thread::spawn(move || out.map(|pipe| pass(pipe, Stream::Out, &of_out))),
        std::thread::spawn(move || err.map(|pipe| pass(pipe, Stream::Err, &of_err))),
    ];
    let (ended, interrupted) = interrupts.during(|| wait(&mut child, interrupts));
    if !interrupted {
        // What it has left in the background may hold its output open: that is not waited for.
        for _ in 0..10 {
            if readers.iter().all(|reader| reader.is_finished()) {
                break;
            }
            std::thread::sleep(PAUSE);
        }
    }
    output.cell_ended();
    let status = ended.context("cannot wait for sh")?;
    if interrupted {
        return Err("interrupted".to_owned().into());
    }
    if status.success() {
        Ok(())
    } else {
        Err(format!("`{line}` failed ({status})").into())
    }
}

fn wait(child: &mut Child, interrupts: &Interrupts) -> std::io::Result<std::process::ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if interrupts.was_pressed()
            && let Ok(id) = i32::try_from(child.id())
        {
            let group = nix::unistd::Pid::from_raw(id);
            // It may have ended meanwhile.
            let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        }
        std::thread::sleep(PAUSE);
    }
}

fn pass(mut pipe: impl Read, stream: Stream, output: &FrontEnd) {
    let mut chunk = [0; 4096];
    let mut rest = Vec::new();
    while let Ok(length) = pipe.read(&mut chunk) {
        if length == 0 {
            break;
        }
        rest.extend_from_slice(&chunk[..length]);
        let whole = rest.len() - cut_character(&rest);
        let text: Vec<u8> = rest.drain(..whole).collect();
        output.write(stream, &String::from_utf8_lossy(&text));
    }
    if !rest.is_empty() {
        output.write(stream, &String::from_utf8_lossy(&rest));
    }
}
