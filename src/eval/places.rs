//! Where the lines of a cell's code come from, for the places that panics and `dbg!` tell while it runs.

use serde::{Deserialize, Serialize};

/// Neighbouring lines of code that are neighbouring lines of one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The first line (from 1) in the code.
    pub first: usize,
    pub count: usize,
    /// The source's name.
    pub name: String,
    /// The first line (from 1) in the source.
    pub line: usize,
}

/// The runs of lines that come, in order, from these sources and lines.
pub fn runs<'a>(lines: impl Iterator<Item = Option<(&'a str, usize)>>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (number, place) in lines.enumerate() {
        let Some((name, line)) = place else { continue };
        let number = number + 1;
        match runs.last_mut() {
            Some(last)
                if last.name == name
                    && last.first + last.count == number
                    && last.line + last.count == line =>
            {
                last.count += 1;
            }
            _ => runs.push(Run {
                first: number,
                count: 1,
                name: name.to_owned(),
                line,
            }),
        }
    }
    runs
}

/// The place that a line comes from.
pub fn find(runs: &[Run], line: usize) -> Option<(&str, usize)> {
    let after = runs.partition_point(|run| run.first <= line);
    let run = &runs[after.checked_sub(1)?];
    let behind = line - run.first;
    (behind < run.count).then_some((run.name.as_str(), run.line + behind))
}

/// A call by which a cell tells its runtime where its lines come from.
pub fn call(runs: &[Run]) -> String {
    let runs: String = runs
        .iter()
        .map(|run| {
            format!(
                "({}, {}, {:?}, {}), ",
                run.first, run.count, run.name, run.line
            )
        })
        .collect();
    format!("::vitrepl_runtime::locate(::std::file!(), &[{runs}]);")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_lines_are_one_run() {
        let lines = [
            None,
            Some(("a", 7)),
            Some(("a", 8)),
            None,
            Some(("a", 9)),
            Some(("b", 10)),
        ];
        let runs = runs(lines.into_iter());
        assert_eq!(runs.len(), 3);
        for (number, place) in lines.iter().enumerate() {
            assert_eq!(find(&runs, number + 1), *place);
        }
        assert_eq!(find(&runs, 7), None);
        assert!(call(&runs).contains("(2, 2, \"a\", 7), "));
    }
}
