//! Whether the compiler says of cells what is expected of it.
//!
//! Which variables a cell moves, which borrow and what their types are is learned from rustc's messages
//! ([`crate::eval::objections`]), whose wording may change with its version. So a few cells are tried right after the
//! library has been compiled: a compiler that speaks in another way is found then, and not when a variable is lost.

use super::Session;
use crate::output::{FrontEnd, Silent};
use crate::syntax::statements::Source;
use anyhow::{Result, bail};

/// Cells, and what the session then knows: a variable's type, or what became of it.
const CELLS: &[(&str, &[(&str, &str)])] = &[
    (
        "let mut vitrepl_a = vec![1u8]; let vitrepl_b = String::new();",
        &[("vitrepl_a", "Vec<u8>"), ("vitrepl_b", "String")],
    ),
    (
        "vitrepl_a = vitrepl_a.into_iter().rev().collect();",
        &[("vitrepl_a", "Vec<u8>")],
    ),
    (
        "let vitrepl_c = vitrepl_b;",
        &[("vitrepl_b", "was moved"), ("vitrepl_c", "String")],
    ),
    (
        "let vitrepl_d = vitrepl_a.iter();",
        &[
            ("vitrepl_a", "Vec<u8>"),
            ("vitrepl_d", "was not kept: it borrowed"),
        ],
    ),
    (
        "let vitrepl_e = || 1;",
        &[("vitrepl_e", "was not kept: its type has no name")],
    ),
];

/// Tries them; nothing of them stays.
///
/// # Errors
/// When a variable is not what it has to be: this rustc's messages are worded in another way.
pub fn check(session: &mut Session) -> Result<()> {
    let output = std::mem::replace(&mut session.output, FrontEnd::new(Box::new(Silent)));
    let found = CELLS.iter().find_map(|cell| wrong(session, cell));
    session.output = output;
    session.names = super::Names::default();
    session.record.clear();
    match found {
        None => Ok(()),
        Some(what) => bail!(
            "this rustc words its messages in another way than the ones that vitrepl knows, so that variables would be \
             lost ({what}); choose rustc {} (`rustup toolchain install {0}`, then RUSTUP_TOOLCHAIN={0}), or a newer vitrepl",
            env!("CARGO_PKG_RUST_VERSION")
        ),
    }
}

/// What is not as it has to be after a cell.
fn wrong(session: &mut Session, (code, expected): &(&str, &[(&str, &str)])) -> Option<String> {
    let source = Source::new("probe", *code);
    if let Err(failure) = session.evaluate(&source, &source.pieces) {
        return Some(format!("`{code}` fails: {failure:?}"));
    }
    let variables = session.variables();
    expected.iter().find_map(|(name, wanted)| {
        let kept = variables.iter().find(|(other, _)| other == name);
        let lost = session.names.lost.get(*name);
        let now = match (kept, lost) {
            (Some((_, kind)), _) => kind.clone(),
            (None, Some(lost)) => lost.how.clone(),
            (None, None) => "is not there".to_owned(),
        };
        (!now.starts_with(wanted)).then(|| format!("after `{code}` {name} {now}, not {wanted}"))
    })
}
