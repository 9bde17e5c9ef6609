//! Where the lines of the cells come from: a cell is compiled with code around it, which nobody has written.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

/// Lines of a cell's code: the first, how many, the name of the source, and the first line there.
type Run = (u32, u32, &'static str, u32);

static CELLS: LazyLock<Mutex<HashMap<&'static str, &'static [Run]>>> =
    LazyLock::new(Mutex::default);

/// Notes where the lines of the cell that was compiled as `file` come from.
#[inline(never)]
pub fn locate(file: &'static str, runs: &'static [Run]) {
    let mut cells = CELLS.lock().unwrap_or_else(PoisonError::into_inner);
    cells.insert(file, runs);
}

/// A place as the user knows it: `script.rs:3:5`.
#[inline(never)]
pub fn place(file: &str, line: u32, column: u32) -> String {
    let cells = CELLS.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(runs) = cells.get(file) else {
        return format!("{file}:{line}:{column}");
    };
    let run = runs
        .iter()
        .find(|(first, count, ..)| (*first..first + count).contains(&line));
    match run {
        Some((first, _, name, start)) => format!("{name}:{}:{column}", start + line - first),
        // A line that the user has not written.
        None => "a cell".to_owned(),
    }
}

/// The `dbg!` of the standard library, with the place as the user knows it.
#[macro_export]
macro_rules! dbg {
    () => {
        ::std::eprintln!("[{}]", $crate::place(::std::file!(), ::std::line!(), ::std::column!()))
    };
    ($value:expr $(,)?) => {
        match $value {
            value => {
                ::std::eprintln!(
                    "[{}] {} = {:#?}",
                    $crate::place(::std::file!(), ::std::line!(), ::std::column!()),
                    ::std::stringify!($value),
                    &value
                );
                value
            }
        }
    };
    ($($value:expr),+ $(,)?) => {
        ($($crate::dbg!($value)),+,)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_cell_are_told_as_those_of_its_source() {
        locate("ctx-1/lib.rs", &[(10, 2, "a.rs", 3), (14, 1, "a.rs", 5)]);
        assert_eq!(place("ctx-1/lib.rs", 11, 7), "a.rs:4:7");
        assert_eq!(place("ctx-1/lib.rs", 14, 1), "a.rs:5:1");
        assert_eq!(place("ctx-1/lib.rs", 13, 1), "a cell");
        assert_eq!(place("other.rs", 13, 1), "other.rs:13:1");
        assert_eq!(dbg!(1, 2), (1, 2));
    }
}
