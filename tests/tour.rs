//! The README's tour, typed at the prompt.

mod desk;

use desk::{Desk, Terminal, alone, vitrepl};

/// The statements of the README's tour.
fn tour() -> Vec<&'static str> {
    let readme = include_str!("../README.md");
    let (_, section) = readme.split_once("\n## A tour of five minutes\n").unwrap();
    let (_, code) = section.split_once("```rust\n").unwrap();
    let (code, _) = code.split_once("```").unwrap();
    let statements = code.lines().filter(|line| !line.is_empty());
    statements.filter(|line| !line.starts_with("//")).collect()
}

#[test]
fn each_statement_of_the_tour_shows_a_screen_of_plain_lines() {
    let _alone = alone();
    let desk = Desk::new(&[]);
    let mut terminal = Terminal::start(vitrepl().env("TERM", "xterm").current_dir(desk.path("")));
    let statements = tour();
    assert!(statements.len() >= 12, "{statements:?}");
    for statement in statements {
        let lines = terminal.answer(statement);
        let text = lines.join("\n");
        println!(">> {statement}\n{text}");
        for line in &lines {
            assert!(line.chars().count() <= 200, "{statement}: {line}");
        }
        assert!(lines.len() <= 60, "{statement}: {} lines", lines.len());
        for dump in ["Tensor[", "error", "Err(", "Some(", " { ", "[["] {
            assert!(!text.contains(dump), "{dump} after {statement}: {text}");
        }
        if !statement.ends_with(';') {
            assert!(!lines.is_empty(), "{statement} shows nothing");
        }
    }
    assert!(desk.path("scores.csv").is_file());
    terminal.types(":quit");
    terminal.ends();
}
