//! Code means the same in a script, through a pipe, by `:load`, in a notebook, pasted at the prompt and under Jupyter.
//!
//! Jupyter needs Python 3 with its `venv` module (Debian: `apt-get install python3-venv`) and PyPI the first time; what
//! is installed lies in the target folder.

mod desk;
mod python;

use desk::{Desk, Ran, Terminal, alone, feed, start, vitrepl};
use python::{jupyter, texts};
use serde_json::json;

/// Statements, and what comes of them.
const SNIPPETS: &[(&str, &str)] = &[
    ("1 + 1", "2"),
    ("let a = 5;\na", "5"),
    ("let b = 6\nb + 1", "7"),
    ("let s = \"two\nlines\";\ns", "\"two\\nlines\""),
    ("let raw = r#\"a \"quoted\"\n:vars\nb\"#;\nraw.len()", "18"),
    ("br##\"x\"#\ny\"##.len()", "5"),
    (
        "let chain = vec![3, 1, 2]\n    .into_iter()\n    .map(|x| x * 2)\n    .max();\nchain",
        "Some(6)",
    ),
    (
        "vec![1, 2, 3]\n    // Those that are odd.\n    .iter()\n\n    .filter(|x| **x % 2 == 1)\n    .count()",
        "2",
    ),
    (
        "if a > 9 { \"large\" }\nelse if a > 4 { \"middle\" }\nelse { \"small\" }",
        "\"middle\"",
    ),
    ("let sign = if a > 0 { 1 }\nelse { -1 };\nsign", "1"),
    (
        "#[derive(Debug, Clone)]\n#[allow(dead_code)]\nstruct Pair { x: i32, y: i32 }\nPair { x: 1, y: 2 }",
        "Pair { x: 1, y: 2 }",
    ),
    (
        "/// Doubles.\n// Why: it is wanted.\nfn twice(x: i32) -> i32 {\n    x * 2\n}\ntwice(21)",
        "42",
    ),
    (
        "fn generic<T>(x: T) -> T\nwhere\n    T: Copy,\n{\n    x\n}\ngeneric('q')",
        "'q'",
    ),
    (
        "enum Either { Left, Right }\nimpl Either {\n    fn name(&self) -> &str {\n        match self { Either::Left => \"l\", Either::Right => \"r\" }\n    }\n}\n(Either::Left.name(), Either::Right.name())",
        "(\"l\", \"r\")",
    ),
    (
        "match a {\n    5 => \"five\",\n    _ => \"other\",\n}",
        "\"five\"",
    ),
    ("let (p, mut q) = (1, 2); q += p;\nq", "3"),
    ("let Some(inner) = Some(8) else { panic!() };\ninner", "8"),
    (
        "let mut sum = 0;\nfor k in 0..4 {\n    sum += k;\n}\nsum",
        "6",
    ),
    ("while sum > 0 { sum -= 4; }\nsum", "-2"),
    (
        "let found = loop {\n    sum += 1;\n    if sum == 3 { break sum * 10; }\n};\nfound",
        "30",
    ),
    ("/* a comment\n   /* in a comment */ */ 11", "11"),
    ("// { ( [ \" '\n12", "12"),
    ("'{'", "'{'"),
    ("\"} ) ]\"", "\"} ) ]\""),
    (
        "let lifetime: &'static str = \"life\";\nlifetime",
        "\"life\"",
    ),
    (
        "let closure: fn(i32) -> i32 = |x| x\n    + 1;\nclosure(1)",
        "2",
    ),
    ("println!(\"{}\", 7); println!(\"8\")", "7\n8"),
    ("print!(\"open\"); 9", "open\n9"),
    ("assert_eq!(twice(2), 4);\n13", "13"),
    ("const LIMIT: usize = 14;\nLIMIT", "14"),
    (
        "use std::collections::BTreeMap;\nBTreeMap::from([(1, 'a')])",
        "{1: 'a'}",
    ),
    (
        "macro_rules! add { ($a:expr, $b:expr) => { $a + $b } }\nadd!(7, 8)",
        "15",
    ),
    (
        "mod inner { pub fn number() -> u8 { 16 } }\ninner::number()",
        "16",
    ),
    ("\"17\".parse::<i32>()?", "17"),
    ("[1, 2, 3]\n[1]", "2"),
    ("let long = 1 +\n    2 +\n    3;\nlong", "6"),
    ("a\n    + 1", "6"),
    ("twice(\n    1,\n)", "2"),
    ("{\n    let hidden = 3;\n    hidden\n}", "3"),
    ("unsafe { 18 }", "18"),
    ("let t = (1, \"x\");\nt.0", "1"),
    ("!true", "false"),
    ("-a", "-5"),
    ("&a", "5"),
    ("a..a + 2", "5..7"),
    ("a as f64 / 2.", "2.5"),
    ("let shadow = 1; let shadow = shadow + 1;\nshadow", "2"),
    (
        "let words = [\"a\", \"b\"].map(str::to_owned);\nwords.join(\"-\")",
        "\"a-b\"",
    ),
    (
        "struct Unit;\nimpl std::fmt::Debug for Unit {\n    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result { f.write_str(\"unit\") }\n}\nUnit",
        "unit",
    ),
    (
        "static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(19);\nCOUNT.load(std::sync::atomic::Ordering::SeqCst)",
        "19",
    ),
    ("async fn later() {}\n20", "20"),
    ("let é = \"ü\";\né.chars().count()", "1"),
    ("if a == 5 { println!(\"it is\"); }\n21", "it is\n21"),
    ("let nothing = ();\n22", "22"),
    ("let r#type = 23;\nr#type", "23"),
    ("0xff_u8", "255"),
    ("\"tab\\t\"", "\"tab\\t\""),
    (
        "let n: Vec<Vec<i32>> = vec![vec![1], vec![]];\nn",
        "[[1], []]",
    ),
    ("Some(a).map(|x| x + 1)", "Some(6)"),
    ("let last = (1..=3).fold(0, |sum, x| sum + x)\nlast", "6"),
];

/// The snippets as one text, with an empty line between them.
fn text() -> String {
    let codes: Vec<&str> = SNIPPETS.iter().map(|(code, _)| *code).collect();
    codes.join("\n\n") + "\n"
}

/// What is expected, a line each.
fn expected() -> String {
    SNIPPETS
        .iter()
        .map(|(_, value)| format!("{value}\n"))
        .collect()
}

/// The output without the echo of statements.
fn without_echo(out: &str) -> String {
    let lines = out
        .lines()
        .filter(|line| !(line.starts_with(">> ") || line.starts_with(".. ")));
    lines
        .filter(|line| *line != ">>" && *line != "..")
        .map(|line| format!("{line}\n"))
        .collect()
}

#[track_caller]
fn is_alike(way: &str, ran: &Ran, out: &str) {
    assert_eq!(ran.code, Some(0), "{way}: {}", ran.err);
    let pairs = out
        .lines()
        .zip(expected().lines().map(str::to_owned).collect::<Vec<_>>());
    for (number, (line, wanted)) in pairs.enumerate() {
        assert_eq!(line, wanted, "{way}, line {number}: {}", ran.err);
    }
    assert_eq!(out, expected(), "{way}");
}

#[test]
fn sixty_snippets_give_the_same_in_every_way() {
    assert!(SNIPPETS.len() >= 60);
    let text = text();
    let desk = Desk::new(&[
        ("all.rs", &text),
        (
            "windows.rs",
            &format!(
                "\u{feff}#!/usr/bin/env vitrepl\r\n{}",
                text.replace('\n', "\r\n")
            ),
        ),
    ]);
    let ran = desk.pipe(&text);
    is_alike("pipe", &ran, &ran.out);
    let ran = {
        let _alone = alone();
        let mut child = start(vitrepl().arg("-").current_dir(desk.path("")));
        feed(&mut child, &text.replace('\n', "\r\n"));
        Ran::from(child.wait_with_output().unwrap())
    };
    is_alike("-", &ran, &ran.out);
    for name in ["all.rs", "windows.rs"] {
        let ran = desk.run(&[name]);
        is_alike(name, &ran, &without_echo(&ran.out));
        let ran = desk.pipe(&format!(":load {name}\n"));
        is_alike(":load", &ran, &without_echo(&ran.out));
    }
    desk.run(&["convert", "all.rs", "all.ipynb"]).ends_with(0);
    let ran = desk.run(&["all.ipynb"]);
    is_alike("notebook", &ran, &without_echo(&ran.out));
}

#[test]
fn sixty_snippets_give_the_same_when_they_are_pasted() {
    let _alone = alone();
    let mut terminal = Terminal::open();
    for (code, value) in SNIPPETS {
        let lines = terminal.answer(&format!("{PASTE}{code}{PASTED}"));
        let wanted: Vec<String> = value.lines().map(str::to_owned).collect();
        assert!(lines.ends_with(&wanted), "{code}: {lines:#?}");
    }
    terminal.types(":quit");
    terminal.ends();
}

#[test]
fn sixty_snippets_give_the_same_under_jupyter() {
    let cells: Vec<_> = SNIPPETS
        .iter()
        .map(|(code, _)| {
            json!({
                "cell_type": "code", "source": code, "metadata": {}, "outputs": [], "execution_count": null,
            })
        })
        .collect();
    let notebook = json!({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells});
    let desk = Desk::new(&[("all.ipynb", &notebook.to_string())]);
    jupyter(&desk, "run_notebook.py", &["all.ipynb", "executed.ipynb"]);
    let executed = std::fs::read_to_string(desk.path("executed.ipynb")).unwrap();
    let shown = texts(&executed);
    assert_eq!(shown.len(), SNIPPETS.len());
    for ((code, value), texts) in SNIPPETS.iter().zip(shown) {
        // Each output begins a line of its own.
        let lines: Vec<&str> = texts.iter().flat_map(|text| text.lines()).collect();
        assert_eq!(lines.join("\n"), *value, "{code}");
    }
}

/// What terminals put around what is pasted.
const PASTE: &str = "\u{1b}[200~";
const PASTED: &str = "\u{1b}[201~";

#[test]
fn what_is_pasted_at_the_prompt_is_one_text() {
    let _alone = alone();
    let mut terminal = Terminal::open();
    terminal.starts(PASTE);
    terminal.answers("let chain = vec![300, 100]\n    .into_iter()\n    .max();\nlet text = r#\"a\n:vars\n\"#;\nchain\n#[derive(Debug)]\nstruct Pasted(u8);\nPasted(77)\n");
    terminal.answers(&format!("{PASTED}\r"));
    terminal.shows("Some(300)");
    terminal.shows("Pasted(77)");
    terminal.prompts();
    terminal.types("text.len() + 800");
    terminal.shows("808");
    terminal.types(":quit");
    terminal.ends();
}

/// Texts that are no Rust, a part of what is said of each, and the line and column (from 1) of its place.
const WRONG: &[(&str, &str, &str)] = &[
    (
        "let a = 1;\n}\nprintln!(\"never\");\n",
        "`}` closes nothing",
        "2:1",
    ),
    ("println!(\"never\"));\n", "`)` closes nothing", "1:18"),
    (
        "println!(\"never\"); /* open\n",
        "missing `*/` symbols",
        "1:20",
    ),
    ("let x = 5 let y = 6\n", "expected `;`", "1:10"),
    ("1 2\n", "expected `;`", "1:2"),
    ("let s = \"open\n", "missing `\"` symbol", "1:9"),
    ("let s = r##\"open\"#\n", "missing `\"##`", "1:9"),
    ("let f = vec![1, 2;\n", "`[` is never closed", "1:13"),
    ("let = 3;\n", "expected pattern", "1:4"),
];

#[test]
fn what_is_no_rust_is_refused_at_its_place_and_nothing_of_it_is_run() {
    for (text, says, place) in WRONG {
        let desk = Desk::new(&[("wrong.rs", text)]);
        let line = place.split(':').next().unwrap();
        let ran = desk.run(&["wrong.rs"]);
        ran.ends_with(1)
            .complains(says)
            .complains(&format!("wrong.rs:{place}"))
            .complains(&format!("stopped at wrong.rs:{line}\n"));
        assert!(!ran.out.contains("never"), "{ran:#?}");
    }
    let all: String = WRONG
        .iter()
        .filter(|(_, says, _)| says.starts_with("expected") || says.contains("closes nothing"))
        .map(|(text, ..)| *text)
        .collect();
    let ran = Desk::new(&[]).pipe(&format!("{all}println!(\"after: {{}}\", 40 + 2);\n"));
    ran.ends_with(1)
        .says("after: 42\n")
        .complains("`}` closes nothing")
        .complains("expected `;`")
        .complains("expected pattern");
}

#[test]
fn a_main_that_nothing_calls_is_spoken_of() {
    let desk = Desk::new(&[
        ("silent.rs", "fn main() {\n    println!(\"never\");\n}\n"),
        (
            "called.rs",
            "fn main() {\n    println!(\"run\");\n}\nmain()\n",
        ),
    ]);
    let ran = desk.run(&["silent.rs"]);
    ran.ends_with(0)
        .complains("nothing has called it; `main()` does");
    let ran = desk.run(&["called.rs"]);
    ran.ends_with(0).says("run\n");
    assert_eq!(ran.err, "");
}

#[test]
fn panics_errors_and_dbg_tell_what_the_user_wrote() {
    let desk = Desk::new(&[
        (
            "panics.rs",
            "// One.\nfn third(x: &[i32]) -> i32 {\n    x[2]\n}\nthird(&[1])\n",
        ),
        (
            "later.rs",
            "let a = 3;\n\n\n  dbg!(a + 1);\npanic!(\"here\");\n",
        ),
    ]);
    desk.run(&["panics.rs"])
        .ends_with(1)
        .complains("the len is 1 but the index is 2 (panics.rs:3:5)\nstopped at panics.rs:5\n");
    desk.run(&["later.rs"])
        .ends_with(1)
        .complains("[later.rs:4:3] a + 1 = 4\n")
        .complains("panicked: here (later.rs:5:1)\nstopped at later.rs:5\n");
    let ran = desk.pipe(
        r#"#[derive(Debug)] struct Outer(std::num::ParseIntError);
impl std::fmt::Display for Outer { fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result { f.write_str("no number") } }
impl std::error::Error for Outer { fn source(&self) -> Option<&(dyn std::error::Error + 'static)> { Some(&self.0) } }
"x".parse::<i32>().map_err(Outer)?
fn deep(x: u64) -> u64 { if x == u64::MAX { 0 } else { std::hint::black_box(deep(std::hint::black_box(x + 1))) + 1 } }
deep(0)
std::thread::spawn(|| panic!("aside")).join().is_err()
"text" + 1
let wrong: i32 = undefined_name;
"#,
    );
    ran.ends_with(1)
        .complains("no number\ncaused by: invalid digit found in string\n")
        .complains("stack overflow")
        .complains("a thread panicked: aside (input:1:23)")
        .says("true\n");
    for leak in ["src/lib.rs", "vitrepl_", "ctx-", "evcxr"] {
        assert!(!ran.err.contains(leak), "{leak} in {}", ran.err);
    }
}

#[test]
fn many_loops_in_a_cell_are_one_compilation() {
    let loops = "for k in 0..2 { std::hint::black_box(k); }\n".repeat(10);
    let desk = Desk::new(&[]);
    // Through a pipe each line is entered by itself; what `:rerun` enters is one text.
    let ran = desk.pipe(&format!(
        "{loops}match 5 {{ x => x + 100 }}\n:time on\n:rerun 1-11\n"
    ));
    ran.ends_with(0).says("105\n");
    assert_eq!(
        ran.err.matches(" s to compile it").count(),
        1,
        "{}",
        ran.err
    );
}
