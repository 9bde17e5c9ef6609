//! Driving the real program: scripts and statements in a folder of their own, or a terminal.
//!
//! All tests use the user's compile folder (`VITREPL_CACHE_DIR` names another): the first to start
//! compiles the library there, the others find it.

#![allow(dead_code, reason = "each test file uses its part")]

use expectrl::session::OsSession;
use expectrl::{ControlCode, Eof, Expect, Regex, Session};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Sessions one after the other, so that each takes the same warm folder.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn vitrepl() -> Command {
    Command::new(env!("CARGO_BIN_EXE_vitrepl"))
}

/// Starts a program whose input and output are pipes.
pub fn start(command: &mut Command) -> Child {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Gives a started program all of its input.
pub fn feed(child: &mut Child, statements: &str) {
    let mut input = child.stdin.take().unwrap();
    input.write_all(statements.as_bytes()).unwrap();
}

/// A folder with scripts in it.
pub struct Desk(tempfile::TempDir);

impl Desk {
    pub fn new(files: &[(&str, &str)]) -> Self {
        let desk = Desk(tempfile::tempdir().unwrap());
        for (name, text) in files {
            let path = desk.path(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs the program in this folder.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        let _alone = alone();
        Ran::from(
            vitrepl()
                .args(arguments)
                .current_dir(self.0.path())
                .output()
                .unwrap(),
        )
    }

    /// Runs the program in this folder with statements on standard input.
    pub fn pipe(&self, statements: &str) -> Ran {
        let _alone = alone();
        let mut child = start(vitrepl().current_dir(self.0.path()));
        feed(&mut child, statements);
        Ran::from(child.wait_with_output().unwrap())
    }
}

/// What came of a run.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Ran {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        assert!(self.out.contains(text), "no {text:?} in {self:#?}");
        self
    }

    #[track_caller]
    pub fn complains(&self, text: &str) -> &Self {
        assert!(
            self.err.contains(text),
            "no {text:?} in the errors of {self:#?}"
        );
        self
    }

    #[track_caller]
    pub fn ends_with(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }
}

/// What terminals say of themselves: the one the tests run in is not the one they speak of.
const TERMINAL_VARIABLES: &[&str] = &[
    "TERM_PROGRAM",
    "KITTY_WINDOW_ID",
    "XTERM_VERSION",
    "KONSOLE_VERSION",
    "WT_SESSION",
];

/// A session at a terminal.
pub struct Terminal {
    session: OsSession,
    /// The prompt is waiting.
    ready: bool,
    /// All that it has shown up to what was waited for last.
    shown: Vec<u8>,
}

impl Terminal {
    pub fn open() -> Self {
        Terminal::start(vitrepl().env("TERM", "xterm"))
    }

    /// A session at a terminal of the kind that the command's environment tells.
    pub fn start(command: &mut Command) -> Self {
        if command.get_envs().all(|(name, _)| name != "NO_COLOR") {
            command.env("NO_COLOR", "1");
        }
        for variable in TERMINAL_VARIABLES {
            if command.get_envs().all(|(name, _)| name != *variable) {
                command.env_remove(variable);
            }
        }
        let command = std::mem::replace(command, vitrepl());
        let mut session = Session::spawn(command).unwrap();
        session.set_expect_timeout(Some(Duration::from_secs(900)));
        let mut terminal = Terminal {
            session,
            ready: true,
            shown: Vec::new(),
        };
        terminal.shows(">> ");
        let patience = Some(Duration::from_secs(120));
        terminal.session.set_expect_timeout(patience);
        terminal
    }

    #[track_caller]
    pub fn shows(&mut self, text: &str) {
        match self.session.expect(text) {
            Ok(found) => self.shown.extend(found.as_bytes()),
            Err(error) => panic!("waiting for {text:?}: {error}"),
        }
    }

    /// The lines of the screen now.
    pub fn screen(&self) -> Vec<String> {
        let mut screen = vt100::Parser::new(24, 80, 0);
        screen.process(&self.shown);
        let lines = screen.screen().rows(0, 80);
        lines.map(|line| line.trim_end().to_owned()).collect()
    }

    /// The next number on a line of its own.
    #[track_caller]
    pub fn number(&mut self) -> String {
        let found = self.session.expect(Regex("\r\n([0-9]+)\r\n")).unwrap();
        let number = found.get(1).unwrap_or_default();
        String::from_utf8_lossy(number).into_owned()
    }

    /// Waits for the next prompt.
    #[track_caller]
    pub fn prompts(&mut self) {
        self.shows("\r\u{1b}[K>> \r");
        self.ready = true;
    }

    /// Types a line at the next prompt.
    #[track_caller]
    pub fn types(&mut self, line: &str) {
        if !self.ready {
            self.prompts();
        }
        self.continues(line);
    }

    /// Types a line now: one more of a statement that goes on.
    pub fn continues(&mut self, line: &str) {
        self.session.send(format!("{line}\r")).unwrap();
        self.ready = false;
    }

    /// Types a line at the next prompt and waits for the one after it: the lines shown between them, however long.
    #[track_caller]
    pub fn answer(&mut self, line: &str) -> Vec<String> {
        if !self.ready {
            self.prompts();
        }
        self.continues(line);
        self.shows("\r\n");
        let before = self.shown.len();
        self.prompts();
        let mut screen = vt100::Parser::new(400, 1000, 0);
        screen.process(&self.shown[before..]);
        let lines = screen.screen().rows(0, 1000);
        let mut lines: Vec<_> = lines.map(|line| line.trim_end().to_owned()).collect();
        while lines
            .last()
            .is_some_and(|line| line.is_empty() || line == ">>")
        {
            lines.pop();
        }
        lines
    }

    /// Types without entering.
    pub fn starts(&mut self, text: &str) {
        if !self.ready {
            self.prompts();
        }
        self.session.send(text).unwrap();
    }

    /// Says what a terminal does when it is asked.
    pub fn answers(&mut self, text: &str) {
        self.session.send(text).unwrap();
    }

    pub fn presses(&mut self, key: ControlCode) {
        self.session.send(key).unwrap();
        self.ready = false;
    }

    /// Waits for the program to end.
    #[track_caller]
    pub fn ends(&mut self) {
        self.session.expect(Eof).unwrap();
    }
}
