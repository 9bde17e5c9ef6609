//! What a terminal shows, and what a session leaves: charts, documentation, saved sessions.

mod desk;

use desk::{Desk, Terminal, alone, vitrepl};
use expectrl::ControlCode;

const CHART: &str = r#"BarChart::new("Bars", "unit").bar("one", 1.0).bar("two", 2.0)"#;

#[test]
fn charts_are_drawn_as_well_as_the_terminal_can() {
    let _alone = alone();
    let mut blocks = Terminal::open();
    blocks.types(CHART);
    blocks.shows("\u{2584}");
    blocks.types(":quit");
    blocks.ends();

    let mut iterm = Terminal::start(
        vitrepl()
            .env("TERM", "xterm")
            .env("TERM_PROGRAM", "iTerm.app"),
    );
    iterm.types(CHART);
    iterm.shows("\u{1b}]1337;File=inline=1");
    iterm.types(":quit");
    iterm.ends();

    // It is asked what it can, and answers that sixels are part of it (4); or that they are not.
    for (answer, chart) in [("\u{1b}[?62;4c", "\u{1b}P"), ("\u{1b}[?62;22c", "\u{2584}")] {
        let mut foot = Terminal::start(vitrepl().env("TERM", "foot"));
        foot.types(CHART);
        foot.shows("\u{1b}[c");
        foot.answers(answer);
        foot.shows(chart);
        foot.types("40 + 2");
        foot.shows("42");
        foot.types(":quit");
        foot.ends();
    }
}

#[test]
fn a_saved_session_is_loaded_again_from_a_script_and_from_a_notebook() {
    let _alone = alone();
    let desk = Desk::new(&[("more.rs", "// Doubled.\nlet twice = kept * 2;\n")]);
    let mut terminal = Terminal::start(vitrepl().env("TERM", "xterm").current_dir(desk.path("")));
    for line in [
        "let kept = 20 + 1; // half",
        "let lost: i32 = \"x\".parse()?;",
        ":load more.rs",
        "twice",
        CHART,
        ":save session.rs",
        ":save session.ipynb",
        ":save none/session.rs",
    ] {
        terminal.types(line);
    }
    terminal.shows("cannot write none/session.rs");
    for file in ["session.rs", "session.ipynb"] {
        terminal.types(":clear");
        terminal.types("twice");
        terminal.shows("cannot find value");
        terminal.types(&format!(":load {file}"));
        terminal.types("twice + 100");
        terminal.shows("142");
    }
    terminal.types(":quit");
    terminal.ends();

    let script = std::fs::read_to_string(desk.path("session.rs")).unwrap();
    assert_eq!(
        script,
        format!(
            "let kept = 20 + 1; // half\n\n// Doubled.\nlet twice = kept * 2;\n\ntwice\n\n{CHART}\n"
        )
    );
    let notebook = std::fs::read_to_string(desk.path("session.ipynb")).unwrap();
    let notebook: serde_json::Value = serde_json::from_str(&notebook).unwrap();
    let cells = notebook["cells"].as_array().unwrap();
    let kinds: Vec<_> = cells
        .iter()
        .map(|cell| cell["cell_type"].as_str())
        .collect();
    assert_eq!(kinds.len(), 5, "{kinds:?}");
    assert_eq!(kinds[1], Some("markdown"));
    assert_eq!(cells[3]["outputs"][0]["data"]["text/plain"], "42");
    let chart = &cells[4]["outputs"][0]["data"];
    assert!(
        chart["image/png"]
            .as_str()
            .is_some_and(|png| png.starts_with("iVBOR"))
    );
}

#[test]
fn documentation_comes_from_the_library_and_from_rust() {
    let desk = Desk::new(&[]);
    let ran = desk.pipe(
        "let numbers = vec![1u8];\n:doc decompose\n:doc FitOptions\n:doc score::top\n:doc numbers\n:doc nothing_of_the_kind\n:doc\n",
    );
    ran.ends_with(1)
        .says("pub fn decompose(")
        .says("A call that is stopped keeps its finished images")
        .says("pub epochs: usize")
        .says("pub fn top(")
        .says("Vec<u8>")
        .complains("no documentation of \"nothing_of_the_kind\"")
        .complains(":doc decompose");
}

#[test]
fn scripts_and_notebooks_are_converted_and_nothing_else_is() {
    let desk = Desk::new(&[
        ("a.rs", "// About.\nlet a = 1;\n\na + 1\n"),
        ("text.ipynb", "none"),
    ]);
    desk.run(&["convert", "a.rs", "a.ipynb"]).ends_with(0);
    desk.run(&["convert", "a.ipynb", "b.rs"]).ends_with(0);
    let read = |name: &str| std::fs::read_to_string(desk.path(name)).unwrap();
    assert_eq!(read("b.rs"), read("a.rs"));
    let refused = |from: &str, to: &str, complaint: &str| {
        desk.run(&["convert", from, to])
            .ends_with(1)
            .complains(complaint);
    };
    refused("a.rs", "b.txt", "b.txt must end in .rs");
    refused("a.rs", "b.rs", "one of the two");
    refused("none.rs", "b.ipynb", "cannot read none.rs");
    refused("text.ipynb", "b.rs", "text.ipynb is no notebook");
}

#[test]
fn what_is_typed_has_colours_hints_and_candidates_with_documentation() {
    let _alone = alone();
    let mut terminal = Terminal::start(
        vitrepl()
            .env("TERM", "xterm-256color")
            .env("CLICOLOR", "1")
            .env_remove("NO_COLOR"),
    );
    terminal.answers("let a = load(");
    terminal.shows("\u{1b}[35mlet\u{1b}[0m");
    terminal.shows("\u{1b}[34mload\u{1b}[0m");
    // What the open call takes and gives.
    terminal.shows("name_or_path: &str) -> Result<Arc<Model>>");
    terminal.answers("\"tiny_vit\")");
    terminal.shows("\u{1b}[32m\"tiny_vit\"\u{1b}[0m");
    // Both brackets of the pair at the cursor.
    terminal.shows("\u{1b}[1m\u{1b}[4m(\u{1b}[0m");
    terminal.shows("\u{1b}[1m\u{1b}[4m)\u{1b}[0m");
    terminal.presses(ControlCode::NegativeAcknowledge);
    terminal.answers("load_\t\t");
    terminal.shows("fn load_clip(name_or_path: &str) -> Result<Arc<Model>>");
    terminal.shows("`load` for a ");
    terminal.presses(ControlCode::NegativeAcknowledge);
    // An entered line keeps its colours and loses its hint.
    terminal.answers("21 * 2\r");
    terminal.shows("42");
    // A search in the history finds it.
    terminal.shows(">> ");
    terminal.presses(ControlCode::DeviceControl2);
    terminal.answers("1 *");
    terminal.shows("(reverse-i-search)`1 *'");
    terminal.answers("\r");
    terminal.shows("42");
    terminal.answers(":quit\r");
    terminal.ends();
}

#[test]
fn what_is_typed_while_a_cell_runs_is_evaluated_after_it() {
    let _alone = alone();
    let mut terminal = Terminal::open();
    terminal.types(
        r#"println!("go{}", "ing"); std::thread::sleep(std::time::Duration::from_secs(2)); 1"#,
    );
    terminal.shows("going");
    terminal.answers("let queued = 20;\rqueued * 2 + 3\r");
    terminal.shows("43");
    terminal.types(":quit");
    terminal.ends();
}

#[test]
fn a_panic_and_a_kill_leave_the_session_and_the_one_beside_it() {
    let _alone = alone();
    let mut one = Terminal::open();
    one.types(r#"let vit = load("tiny_vit")?;"#);
    one.types("let kept = vec![1, 2, 3];");
    let mut other = Terminal::open();
    other.types("let beside = 5;");
    one.types("kept[7]");
    one.shows("index out of bounds: the len is 3 but the index is 7");
    one.types("kept.len() + 60");
    one.shows("63");
    one.types("std::process::id()");
    let child = one.number();
    let killed = std::process::Command::new("kill")
        .args(["-9", &child])
        .status()
        .unwrap();
    assert!(killed.success());
    // The next cell finds it gone.
    one.types("kept.len()");
    one.shows("brought back: vit; lost with it: kept");
    one.types("vit.name().len() + 100");
    one.shows("108");
    other.types("beside + 800");
    other.shows("805");
    for mut terminal in [one, other] {
        terminal.types(":quit");
        terminal.ends();
    }
}

#[test]
fn a_session_that_cannot_start_says_why_and_ends() {
    let _alone = alone();
    let mut terminal = Terminal::start(
        vitrepl()
            .env("TERM", "xterm")
            .env("CARGO_BUILD_JOBS", "several"),
    );
    // It is said as soon as it is known, which may be before the prompt is there, and again when a line is entered.
    terminal.continues("1 + 1");
    terminal.shows("error: the session cannot start: ");
    terminal.shows("several");
    terminal.ends();
}

#[test]
fn bars_leave_nothing_behind() {
    let _alone = alone();
    let mut terminal = Terminal::open();
    terminal.types(r#"let vit = load("tiny_vit")?;"#);
    for (name, images) in [("few", 700), ("many", 100_000)] {
        terminal.types(&format!(
            "let {name} = GeneratedSet::new(GeneratedSpec::unbiased(8, {images}))?;"
        ));
    }
    terminal.types("let z = embed_images(&vit, &few)?;");
    terminal.shows("embed tiny_vit");
    terminal.types("let z = embed_images(&vit, &many)?;");
    terminal.shows("embed tiny_vit");
    terminal.shows("/100000 ");
    std::thread::sleep(std::time::Duration::from_secs(1));
    terminal.presses(ControlCode::EndOfText);
    terminal.shows("interrupted");
    terminal.types("400 + 42");
    terminal.shows("442");
    let screen = terminal.screen();
    assert!(screen.contains(&"442".to_owned()), "{screen:#?}");
    let left = screen
        .iter()
        .filter(|line| line.starts_with("embed tiny_vit"));
    assert_eq!(left.count(), 0, "{screen:#?}");
    terminal.types(":quit");
    terminal.ends();
}
