//! The one way in which statements are carried out, whether they are typed, piped, loaded or sent by a notebook.

use super::commands::{self, Asks};
use super::script::{self, Script};
use super::{Session, magic};
use crate::output::errors;
use crate::output::failure::Failure;
use crate::syntax::items::defines_main;
use crate::syntax::statements::{Kind, Piece, Source, mentions};
use console::style;
use std::path::Path;
use std::time::Duration;

/// Before a statement, where it is typed and where it is echoed.
pub const PROMPT: &str = ">> ";

/// Before every further line of a statement in an echo.
const CONTINUED: &str = ".. ";

/// What to do after statements that went well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    Continue,
    Quit,
}

/// Said where Ctrl-C was pressed between two evaluations.
const INTERRUPTED: &str = "interrupted; what follows was not run";

/// Carries out what was entered at once: neighbouring statements are one evaluation. `before` is told before each
/// evaluation whether it is the last.
pub fn run(
    session: &mut Session,
    source: &Source,
    before: impl FnMut(bool),
) -> Result<Next, Failure> {
    session.interrupts.begin();
    run_part(session, source, before)
}

/// The same of a part of what was entered: a Ctrl-C that has been pressed since ends it.
fn run_part(
    session: &mut Session,
    source: &Source,
    mut before: impl FnMut(bool),
) -> Result<Next, Failure> {
    if let Some(hint) = magic::hint(&source.text, |name| session.knows(name)) {
        return Err(hint.into());
    }
    if !source.syntax_errors.is_empty() {
        session.output.err(&errors::of_parser(source));
        let at = source.syntax_errors[0].at.start;
        return Err(Failure::ShownAt(source.position(at).0));
    }
    let mut groups = groups(source).peekable();
    while let Some(group) = groups.next() {
        go_on(session)?;
        before(groups.peek().is_none());
        let next = if std::mem::take(&mut session.times_rest) {
            let next = timed(session, |session| step(session, source, group));
            session.times_rest = groups.peek().is_some();
            next
        } else {
            step(session, source, group)
        };
        if next? == Next::Quit {
            return Ok(Next::Quit);
        }
    }
    tell_of_main(session, source);
    Ok(Next::Continue)
}

/// Fails when Ctrl-C was pressed between two evaluations.
fn go_on(session: &Session) -> Result<(), Failure> {
    match session.interrupts.ends_what_follows() {
        true => Err(INTERRUPTED.to_owned().into()),
        false => Ok(()),
    }
}

/// Says so where a function `main` is defined and nothing calls it, as in a program that was written for a compiler.
fn tell_of_main(session: &Session, source: &Source) {
    let code = |piece: &Piece| source.text[piece.code.clone()].to_owned();
    let is_main = |piece: &&Piece| piece.kind == Kind::Item && defines_main(&code(piece));
    let mut others = source.pieces.iter().filter(|piece| !is_main(piece));
    if source.pieces.iter().any(|piece| is_main(&piece))
        && !others.any(|piece| mentions(&code(piece), "main"))
    {
        session
            .output
            .note("`main` is defined, and nothing has called it; `main()` does");
    }
}

/// Carries out a script statement by statement, each echoed before it is evaluated, up to the first error.
pub fn run_script(session: &mut Session, script: &Script) -> Result<Next, Failure> {
    session.interrupts.begin();
    load(session, script)
}

/// The same of a script that is loaded by what was entered.
fn load(session: &mut Session, script: &Script) -> Result<Next, Failure> {
    let identity = script
        .path
        .canonicalize()
        .unwrap_or_else(|_| script.path.clone());
    if session.loading.contains(&identity) {
        let name = script.path.display();
        return Err(format!("{name} loads itself; remove one of the `:load` lines").into());
    }
    session.loading.push(identity);
    let result = run_echoed(session, &script.source);
    session.loading.pop();
    result
}

fn run_echoed(session: &mut Session, source: &Source) -> Result<Next, Failure> {
    for piece in &source.pieces {
        echo(session, source, piece);
        let done = go_on(session).and_then(|()| step(session, source, std::slice::from_ref(piece)));
        match done {
            Ok(Next::Continue) => {}
            Ok(Next::Quit) => return Ok(Next::Quit),
            Err(failure) => {
                return Err(script::stopped(
                    &failure,
                    source,
                    piece.line,
                    &session.output,
                ));
            }
        }
    }
    tell_of_main(session, source);
    Ok(Next::Continue)
}

/// Carries out a command, or neighbouring statements as one evaluation.
fn step(session: &mut Session, source: &Source, pieces: &[Piece]) -> Result<Next, Failure> {
    let [command] = pieces else {
        return session.evaluate(source, pieces).map(|()| Next::Continue);
    };
    if command.kind != Kind::Command {
        return session.evaluate(source, pieces).map(|()| Next::Continue);
    }
    match commands::run(session, &source.text[command.code.clone()])? {
        Asks::Nothing => Ok(Next::Continue),
        Asks::Quit => Ok(Next::Quit),
        Asks::Load(path) => {
            let script = script::read(&path, &session.output)?;
            session.last_loaded = Some(path);
            load(session, &script)
        }
        Asks::Watch(path) => watch(session, &path),
        Asks::Run(text) => run_part(session, &Source::new(source.name.as_str(), text), |_| {}),
        Asks::Time(text) => {
            let source = Source::new(source.name.as_str(), text);
            timed(session, |session| run_part(session, &source, |_| {}))
        }
        Asks::TimeRest => {
            let rest = source
                .pieces
                .iter()
                .filter(|piece| piece.line > command.line);
            if rest.count() == 0 {
                return Err("%%time stands above the statements that are timed"
                    .to_owned()
                    .into());
            }
            session.times_rest = true;
            Ok(Next::Continue)
        }
    }
}

/// Does something with the times of cells told.
fn timed<R>(session: &mut Session, action: impl FnOnce(&mut Session) -> R) -> R {
    let before = std::mem::replace(&mut session.timed, true);
    let result = action(session);
    session.timed = before;
    result
}

/// Between two looks whether a watched file has been saved.
const PAUSE: Duration = Duration::from_millis(100);

/// Runs a script now and whenever it is saved, until Ctrl-C, which ends nothing else.
fn watch(session: &mut Session, path: &Path) -> Result<Next, Failure> {
    let next = watch_until_pressed(session, path);
    session.interrupts.begin();
    next
}

fn watch_until_pressed(session: &mut Session, path: &Path) -> Result<Next, Failure> {
    let time = || {
        std::fs::metadata(path)
            .and_then(|file| file.modified())
            .ok()
    };
    loop {
        let seen = time();
        match script::read(path, &session.output).and_then(|script| run_script(session, &script)) {
            Ok(Next::Quit) => return Ok(Next::Quit),
            Ok(Next::Continue) => {}
            Err(failure) => failure.tell(&session.output),
        }
        if session.interrupts.was_pressed() {
            return Ok(Next::Continue);
        }
        session.output.note(&format!(
            "{} runs again when it is saved; Ctrl-C ends that",
            path.display()
        ));
        let interrupts = session.interrupts.clone();
        let (_, ended) = session.interrupts.during(|| {
            // A file that is being saved may be gone for a moment.
            while !interrupts.was_pressed() && (time() == seen || time().is_none()) {
                std::thread::sleep(PAUSE);
            }
        });
        if ended {
            return Ok(Next::Continue);
        }
    }
}

fn echo(session: &Session, source: &Source, piece: &Piece) {
    for (number, line) in source.text[piece.whole.clone()].lines().enumerate() {
        let prompt = if number == 0 { PROMPT } else { CONTINUED };
        session
            .output
            .out(&format!("{}{line}", style(prompt).cyan()));
    }
}

/// Groups of neighbouring pieces that can be evaluated as one: a command stands alone, and an expression that is
/// displayed ends its group. One that ends with a brace, such as a `match`, does not: several are one evaluation.
fn groups(source: &Source) -> impl Iterator<Item = &[Piece]> {
    source.pieces.chunk_by(|one, next| {
        let is_value =
            one.kind == Kind::Expression && !source.text[one.code.clone()].ends_with('}');
        one.kind != Kind::Command && next.kind != Kind::Command && !is_value
    })
}
