//! What hands type that have used IPython or a shell.

mod desk;

use desk::{Desk, Terminal, alone};
use expectrl::ControlCode;

#[test]
fn questions_are_answered_with_documentation_and_source() {
    let desk = Desk::new(&[]);
    let ran = desk.pipe(
        r#"let vit = load("tiny_vit")?;
let parsed: Result<i32, std::num::ParseIntError> = "700".parse();
struct Mine { field: u8 }
?load
decompose?
decompose??
vit.name?
Contributions?
Mine?
*select_im*?
parsed?
vit?
nothing_of_the_kind?
"#,
    );
    ran.ends_with(1)
        .says("pub fn load(")
        .says("pub fn decompose(")
        .says("// session::contributions::decompose\n")
        .says("pub fn name(&self)")
        .says("Methods (:doc Contributions::NAME has more of one):")
        .says("pub fn select(")
        .says("struct Mine { field: u8 }")
        .says("Contributions::select_images")
        .says("\n700\n")
        .says("let vit: ")
        .complains("no documentation of \"nothing_of_the_kind\"");
}

#[test]
fn times_are_told_and_variables_stay() {
    let ran = Desk::new(&[]).pipe(
        "%time let kept = (0..1000u64).sum::<u64>();\nkept\n%timeit kept * 2\n:timeit std::thread::sleep(std::time::Duration::from_millis(20))\n%timeit \"x\".parse::<i32>()?\n%timeit undefined_name\n",
    );
    ran.ends_with(1)
        .says("499500\n")
        .complains(" s to compile it")
        .says(" ns \u{b1} ")
        .says(" ms \u{b1} ")
        .complains("invalid digit")
        .complains("undefined_name");
    assert!(!ran.err.contains("vitrepl_runtime"), "{}", ran.err);
    assert_eq!(ran.err.matches("to compile it").count(), 1, "{}", ran.err);
}

#[test]
fn the_shell_does_its_lines_where_the_cells_are() {
    let desk = Desk::new(&[("inner/here.txt", "found")]);
    let ran = desk.pipe(
        "std::env::set_current_dir(\"inner\")?;\n!cat here.txt; echo wrong >&2\nlet done = false;\n!done\n!exit 3\n%pwd\n",
    );
    ran.ends_with(1)
        .says("found")
        .complains("wrong\n")
        .says("true\n")
        .complains("`exit 3` failed (exit status: 3)")
        .says("/inner\n");
}

#[test]
fn a_line_of_the_shell_stops_at_ctrl_c() {
    let _alone = alone();
    let mut terminal = Terminal::open();
    terminal.types("!echo go''ing; sleep 600");
    terminal.shows("going");
    std::thread::sleep(std::time::Duration::from_millis(300));
    terminal.presses(ControlCode::EndOfText);
    terminal.shows("interrupted");
    terminal.types("700 + 7");
    terminal.shows("707");
    terminal.types(":quit");
    terminal.ends();
}

#[test]
fn what_was_entered_is_found_and_run_again() {
    let ran = Desk::new(&[]).pipe(
        "let mut count = 100;\ncount += 1;\n:rerun 2-2\n:rerun\ncount\n:history 1-2\n:history 99\n:rerun 99\n",
    );
    ran.ends_with(1)
        .says("   1  let mut count = 100;\n   2  count += 1;\n")
        .complains("\"99\" is no entry of this session")
        .complains("run itself");
    assert!(ran.out.contains("\n102\n"), "{ran:#?}");
}

#[test]
fn familiar_words_name_what_does_it_here() {
    let ran = Desk::new(&[]).pipe(
        "help\nquit\nexit()\ncd data\nls -l\n%matplotlib inline\n%cd x\nprint(5)\nimport numpy\nlet help = 5;\nhelp\n",
    );
    ran.ends_with(1)
        .complains(":help lists the commands")
        .complains(":quit leaves")
        .complains("set_current_dir(\"data\")")
        .complains("!ls -l")
        .complains("charts are shown as they are")
        .complains("set_current_dir(\"x\")")
        .complains("println!(\"{:?}\", 5)")
        .complains(":dep CRATE")
        .says("5\n");
}

#[test]
fn a_watched_script_runs_whenever_it_is_saved() {
    let desk = Desk::new(&[("watched.rs", "println!(\"fi{}\", \"rst\");\n")]);
    let _alone = alone();
    let mut terminal = Terminal::start(
        desk::vitrepl()
            .env("TERM", "xterm")
            .current_dir(desk.path("")),
    );
    terminal.types(":watch watched.rs");
    terminal.shows("first");
    terminal.shows("runs again when it is saved");
    std::fs::write(desk.path("watched.rs"), "let = 3;\n").unwrap();
    terminal.shows("stopped at watched.rs:1");
    terminal.shows("runs again when it is saved");
    std::fs::write(desk.path("watched.rs"), "println!(\"sec{}\", \"ond\");\n").unwrap();
    terminal.shows("second");
    terminal.shows("runs again when it is saved");
    terminal.presses(ControlCode::EndOfText);
    terminal.types("600 + 6");
    terminal.shows("606");
    terminal.types(":quit");
    terminal.ends();
}
