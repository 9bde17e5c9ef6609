//! Pictures in a terminal: by kitty's, iTerm's or the sixel protocol, or drawn in half blocks.

use anyhow::{Context, Result};
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use std::sync::LazyLock;

/// A picture is at most this many columns wide.
const WIDEST: u32 = 120;

/// Pixels of a column, about.
const COLUMN: u32 = 8;

/// Draws a PNG file; whether letters in it can be read, which two pixels a character do not allow.
pub fn print(png: &[u8]) -> Result<bool> {
    static LEGIBLE: LazyLock<bool> = LazyLock::new(|| without_echo(speaks_a_protocol));
    let picture = image::load_from_memory(png).context("a picture that is no valid PNG")?;
    let columns = u32::from(console::Term::stdout().size().1).min(WIDEST);
    let columns = match *LEGIBLE {
        // A small picture is not enlarged.
        true => columns.min(picture.width().div_ceil(COLUMN)),
        false => columns,
    };
    let config = viuer::Config {
        absolute_offset: false,
        width: Some(columns),
        use_kitty: speaks_kitty(),
        use_sixel: may_speak_sixel(),
        ..viuer::Config::default()
    };
    viuer::print(&picture, &config).context("cannot draw the picture")?;
    Ok(*LEGIBLE)
}

/// Whether the terminal shows pixels.
fn speaks_a_protocol() -> bool {
    viuer::is_iterm_supported()
        || speaks_kitty() && viuer::get_kitty_support() != viuer::KittySupport::None
        || may_speak_sixel() && viuer::is_sixel_supported()
}

/// Does something during which the terminal may be asked: what it answers is not shown as if it had been typed.
fn without_echo<T>(ask: impl FnOnce() -> T) -> T {
    let terminal = std::fs::File::open("/dev/tty").ok();
    let before = terminal.as_ref().and_then(|terminal| {
        let before = tcgetattr(terminal).ok()?;
        let mut quiet = before.clone();
        quiet
            .local_flags
            .remove(LocalFlags::ECHO | LocalFlags::ICANON);
        tcsetattr(terminal, SetArg::TCSANOW, &quiet).ok()?;
        Some(before)
    });
    let answer = ask();
    if let (Some(terminal), Some(before)) = (&terminal, &before) {
        let _ = tcsetattr(terminal, SetArg::TCSANOW, before);
    }
    answer
}

/// Whether the terminal is one with kitty's graphics protocol. Others are not asked: one that does not answer would keep us
/// waiting.
fn speaks_kitty() -> bool {
    std::env::var_os("KITTY_WINDOW_ID").is_some()
        || names("TERM", &["kitty", "ghostty"])
        || names("TERM_PROGRAM", &["ghostty", "wezterm"])
}

/// Whether the terminal is of a kind that draws sixels in some versions or settings. Each of them answers when it is asked.
fn may_speak_sixel() -> bool {
    !speaks_kitty()
        && (names(
            "TERM",
            &["sixel", "foot", "mlterm", "contour", "yaft", "vt340"],
        ) || names("TERM_PROGRAM", &["mintty", "contour", "rio", "blackbox"])
            || ["XTERM_VERSION", "KONSOLE_VERSION", "WT_SESSION"]
                .iter()
                .any(|variable| std::env::var_os(variable).is_some()))
}

/// Whether a variable of the environment contains one of the names.
fn names(variable: &str, names: &[&str]) -> bool {
    std::env::var(variable).is_ok_and(|value| {
        let value = value.to_lowercase();
        names.iter().any(|name| value.contains(name))
    })
}
