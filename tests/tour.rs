//! The README's tour, typed at the prompt.

mod desk;

use desk::{Desk, Terminal, alone, vitrepl};
use std::fs;
use std::path::Path;

/// The lines of the first code of a section of the README, without comments.
fn code_below(heading: &str) -> Vec<&'static str> {
    let readme = include_str!("../README.md");
    let (_, section) = readme.split_once(&format!("\n## {heading}\n")).unwrap();
    let (_, code) = section.split_once("```rust\n").unwrap();
    let (code, _) = code.split_once("```").unwrap();
    let lines = code.lines().filter(|line| !line.is_empty());
    lines.filter(|line| !line.starts_with("//")).collect()
}

/// What the README's table of things that one types most has in code, but for endings such as `.svg`.
fn typed_most() -> Vec<&'static str> {
    let readme = include_str!("../README.md");
    let (_, table) = readme.split_once("What one types most:\n").unwrap();
    let rows = table
        .trim_start()
        .lines()
        .take_while(|line| line.starts_with('|'));
    let code = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
    code.filter(|code| code.ends_with(['?', ')']) && !code.starts_with('.'))
        .collect()
}

/// Whether an answer is an error: of the compiler, or of the library, which begins with the argument and its value.
fn fails(lines: &[String]) -> bool {
    let first = lines.first().and_then(|line| line.split_once(" = "));
    first.is_some_and(|(argument, _)| !argument.contains(' '))
        || lines.iter().any(|line| line.contains("rror"))
}

/// The variables of that table.
const VARIABLES: [&str; 11] = [
    "let vit = load(\"tiny_vit\")?; let model = vit.clone(); let clip = load_clip(\"tiny_clip\")?;",
    "let images = GeneratedSet::new(GeneratedSpec::unbiased(1, 40))?;",
    "let options = DecomposeOptions { granularity: Granularity::Tokens, ..DecomposeOptions::default() };",
    "let c = decompose(&vit, &images, &options)?; let s = decompose(load(\"tiny_swin\")?, &images, &options)?;",
    "let alignment = align(&vit, &clip, &images, &options, &FitOptions::default())?;",
    "let aligned = alignment.apply(&c)?;",
    "let texts = class_embeddings(&clip, &[\"sea\", \"forest\"])?;",
    "let scores = aligned.score(&texts)?;",
    "let classes = images.labels(\"location\")?.values;",
    "let head = vit.factor_head(Factor::Location)?;",
    "let chart = BarChart::ranked(\"chart\", \"score\", &scores.top(8)?);",
];

#[test]
fn all_that_one_types_most_answers_as_the_table_says() {
    let _alone = alone();
    let desk = Desk::new(&[]);
    let mut terminal = Terminal::start(vitrepl().env("TERM", "xterm").current_dir(desk.path("")));
    for (name, picture) in [("cat.jpg", "photo.jpg"), ("dog.png", "rocket.png")] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("prelude/tests/pictures")
            .join(picture);
        fs::copy(from, desk.path(name)).unwrap();
    }
    for statement in VARIABLES {
        let lines = terminal.answer(statement);
        assert!(!fails(&lines), "{statement}: {lines:?}");
    }
    let all = typed_most();
    assert!(all.len() >= 25, "{all:?}");
    for statement in all {
        let lines = terminal.answer(statement);
        let text = lines.join("\n");
        println!(">> {statement}\n{text}");
        // The embedded models have no head of their own, which is all that is wrong with these.
        match statement.starts_with("model.") {
            true => assert!(text.contains("a model with a head"), "{statement}: {text}"),
            false => assert!(!fails(&lines), "{statement}: {text}"),
        }
    }
    // What is done with a store.
    for statement in [
        "c.save(\"runs/vit.zarr\")?",
        "let location = texts.clone();",
    ] {
        terminal.answer(statement);
    }
    for statement in code_below("More images than memory, and many machines") {
        let lines = terminal.answer(statement);
        println!(">> {statement}\n{}", lines.join("\n"));
        assert!(!fails(&lines), "{statement}: {lines:?}");
    }
    // The study of data that are not here is compiled.
    let study = code_below("What it comes to").join(" ");
    terminal.answer("let set = images.clone();");
    let text = terminal.answer(&format!(
        "let study = move || -> Result<()> {{ {study} Ok(()) }};"
    ));
    assert!(!fails(&text), "{text:?}");
    for file in [
        "c.npy",
        "c.npy.json",
        "c.safetensors",
        "scores.parquet",
        "chart.pdf",
    ] {
        assert!(desk.path(file).is_file(), "{file}");
    }
    terminal.types(":quit");
    terminal.ends();
}

#[test]
fn each_statement_of_the_tour_shows_a_screen_of_plain_lines() {
    let _alone = alone();
    let desk = Desk::new(&[]);
    let mut terminal = Terminal::start(vitrepl().env("TERM", "xterm").current_dir(desk.path("")));
    let statements = code_below("A tour of five minutes");
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
