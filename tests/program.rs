//! The real program: at a terminal, from a pipe, and as a runner of scripts.

mod desk;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use desk::{Desk, Ran, Terminal, alone, feed, start, vitrepl};
use expectrl::ControlCode;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// A small PNG in base64.
fn picture() -> String {
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(3, 2)
        .write_to(&mut png, image::ImageFormat::Png)
        .unwrap();
    STANDARD.encode(png.into_inner())
}

#[test]
fn a_script_is_echoed_with_its_values_and_charts() {
    let script = r#"// A number.
let a = 20 + 1; // half
fn twice(x: i32) -> i32 {
    x * 2
}
twice(a)
:load more/inner.rs
println!("inner has left {from_inner}");
print!("no line end");
struct Chart;
impl Chart {
    fn evcxr_display(&self) {
        println!("EVCXR_BEGIN_CONTENT text/plain\nbars of a\nEVCXR_END_CONTENT");
        println!("EVCXR_BEGIN_CONTENT image/png\nPICTURE\nEVCXR_END_CONTENT");
    }
}
Chart
"#;
    let desk = Desk::new(&[
        ("outer.rs", &script.replace("PICTURE", &picture())),
        (
            "more/inner.rs",
            ":load innermost.rs\nlet from_inner = deepest + 1;\n",
        ),
        ("more/innermost.rs", "let deepest = 6;\n"),
    ]);
    let ran = desk.run(&["outer.rs"]);
    ran.ends_with(0)
        .says(">> // A number.\n.. let a = 20 + 1; // half\n>> fn twice(x: i32) -> i32 {\n..     x * 2\n.. }\n")
        .says(">> twice(a)\n42\n>> :load more/inner.rs\n>> :load innermost.rs\n>> let deepest = 6;\n")
        .says("inner has left 7\n")
        .says("no line end\n>> struct Chart;")
        .says("bars of a\nchart: charts/outer-17.png\n");
    let picture = image::open(desk.path("charts/outer-17.png")).unwrap();
    assert_eq!((picture.width(), picture.height()), (3, 2));
}

#[test]
fn a_library_error_stops_a_script_at_its_line() {
    let desk = Desk::new(&[(
        "fails.rs",
        "let a = 1;\n\nlet b: i32 = \"x7\".parse::<i32>()?;\nprintln!(\"never\");\n",
    )]);
    let ran = desk.run(&["fails.rs"]);
    ran.ends_with(1)
        .complains("invalid digit found in string\nstopped at fails.rs:3\n");
    assert!(!ran.err.contains("panicked"), "{ran:#?}");
    assert!(!ran.out.contains("never\n"), "{ran:#?}");
}

#[test]
fn compile_errors_and_panics_stop_a_script_at_their_line_through_load() {
    let desk = Desk::new(&[
        ("outer.rs", "let a = 1;\n:load inner.rs\n"),
        (
            "inner.rs",
            "// é shifts bytes, not columns\nlet ü: i32 =\n    \"ß\";\n",
        ),
    ]);
    desk.run(&["outer.rs"])
        .ends_with(1)
        .complains("mismatched types")
        .complains("inner.rs:3:5")
        .complains("inner.rs:3\nstopped at outer.rs:2\n");
}

#[test]
fn an_unreadable_script_is_refused_before_anything_starts() {
    let desk = Desk::new(&[
        ("broken.rs", "let a = 1;\nlet = 2;\n"),
        ("self.rs", "let a = 1;\n"),
    ]);
    std::fs::write(desk.path("binary.rs"), [0xff, 0xfe, 0x00]).unwrap();
    desk.run(&["missing.rs"])
        .ends_with(1)
        .complains("cannot read the script missing.rs")
        .complains("check the path");
    desk.run(&["broken.rs"])
        .ends_with(1)
        .complains("stopped at broken.rs:2\n");
    desk.run(&["binary.rs"]).ends_with(1).complains("UTF-8");
    desk.run(&["."])
        .ends_with(1)
        .complains("cannot read the script .");
    desk.run(&["--no-such-flag"]).ends_with(2);
    desk.run(&["--version"])
        .ends_with(0)
        .says(env!("CARGO_PKG_VERSION"));
    desk.run(&["--help"]).ends_with(0).says("VITREPL_CACHE_DIR");
}

#[test]
fn a_library_or_cache_that_cannot_be_used_is_named_with_a_remedy() {
    let refused = |variable: &str, value: &Path| {
        let output = vitrepl()
            .env(variable, value)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Ran::from(output)
    };
    refused("VITREPL_PRELUDE", Path::new("/nowhere/prelude"))
        .ends_with(1)
        .complains("/nowhere/prelude")
        .complains("set VITREPL_PRELUDE");
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/cache-in-workspace");
    refused("VITREPL_CACHE_DIR", &workspace)
        .ends_with(1)
        .complains("workspace")
        .complains("VITREPL_CACHE_DIR");
    let desk = Desk::new(&[("file", "")]);
    refused("VITREPL_CACHE_DIR", &desk.path("file/cache"))
        .ends_with(1)
        .complains("cannot use the cache folder");
}

#[test]
fn nothing_that_goes_wrong_ends_a_session() {
    let desk = Desk::new(&[("loop.rs", ":load loop.rs\n")]);
    let ran = desk.pipe(
        r#"let kept = vec![1, 2, 3];
kept[7]
println!("after a panic: {}", kept.len());
let lost = "x".parse::<i32>()?;
println!("after an error: {}", kept.len());
lost
let wrong: i32 = "text";
print!("half a line"); panic!("second")
:no-such-command
:load missing.rs
:load loop.rs
struct Mute;
Mute
println!("after all that: {}", kept.len());
:vars
fn survives() -> i32 { 77 }
std::process::abort();
survives()
kept.len()
let s = "open to the end
"#,
    );
    ran.ends_with(1)
        .complains("panicked: index out of bounds: the len is 3 but the index is 7 (input:1:5)\n")
        .says("after a panic: 3\n")
        .complains("invalid digit found in string\n")
        .says("after an error: 3\n")
        .complains("cannot find value `lost`")
        .complains("mismatched types")
        .says("half a line\n")
        .complains("panicked: second (input:1:24)\n")
        .complains("unknown command :no-such-command")
        .complains("cannot read the script missing.rs")
        .complains("loads itself")
        .complains("cannot be displayed")
        .says("after all that: 3\n")
        .says("kept: Vec<i32>\n")
        .complains("lost with it: kept")
        .says("77\n")
        .complains("`kept` was lost with the process");
    assert!(!ran.err.contains("backtrace"), "{ran:#?}");
}

#[test]
fn two_sessions_run_side_by_side() {
    let _alone = alone();
    let (mut one, mut other) = (start(&mut vitrepl()), start(&mut vitrepl()));
    for (child, value) in [(&mut one, 1), (&mut other, 2)] {
        let statements = format!("let mine = {value};\nprintln!(\"mine is {{mine}}\");\n");
        feed(child, &statements);
    }
    for (child, value) in [(one, 1), (other, 2)] {
        Ran::from(child.wait_with_output().unwrap())
            .ends_with(0)
            .says(&format!("mine is {value}\n"));
    }
}

#[test]
fn the_prompt_evaluates_completes_and_continues_open_brackets() {
    let _alone = alone();
    let mut terminal = Terminal::open();
    terminal.types("40 + 2");
    terminal.shows("42");
    terminal.types("let numbers = vec![");
    terminal.continues("100, 20,");
    terminal.continues("3];");
    terminal.types("numbers.iter().sum::<i32>()");
    terminal.shows("123");
    terminal.types(":he\t vars");
    terminal.shows("Variables and their types");
    terminal.types(":vars");
    terminal.shows("numbers: Vec<i32>");
    // A half-typed line goes away with Ctrl-C, and nothing else does.
    terminal.starts("nonsense(");
    terminal.presses(ControlCode::EndOfText);
    terminal.types("numbers.len() + 60");
    terminal.shows("63");
    terminal.types(":help");
    terminal.shows("Run a script, statement by statement");
    terminal.prompts();
    terminal.presses(ControlCode::EndOfTransmission);
    terminal.ends();
}

#[test]
fn ctrl_c_during_a_call_loses_nothing() {
    let _alone = alone();
    let mut terminal = Terminal::open();
    terminal.types("let kept = 500 + 55;");
    terminal.types(
        r#"println!("go{}", "ing"); std::thread::sleep(std::time::Duration::from_secs(2)); println!("wo{}", "ke");"#,
    );
    terminal.shows("going");
    terminal.presses(ControlCode::EndOfText);
    terminal.shows("not stopped yet");
    terminal.shows("woke");
    terminal.shows("error: interrupted");
    terminal.types("kept");
    terminal.shows("555");
    // Code that does not stop is ended by another, whenever that comes.
    terminal.types(r#"println!("spin{}", "ning"); loop { std::hint::spin_loop() }"#);
    terminal.shows("spinning");
    terminal.presses(ControlCode::EndOfText);
    terminal.shows("not stopped yet");
    terminal.shows("Another Ctrl-C");
    std::thread::sleep(Duration::from_secs(3));
    terminal.presses(ControlCode::EndOfText);
    terminal.shows("lost with it: kept");
    terminal.types("700 + 77");
    terminal.shows("777");
    terminal.types(":quit");
    terminal.ends();
}

#[test]
fn after_a_kill_models_contributions_and_aligners_come_back() {
    let desk = Desk::new(&[]);
    let ran = desk.pipe(
        r#"let vit = load("tiny_vit")?;
let images = GeneratedSet::new(GeneratedSpec::unbiased(31, 96))?;
let c = decompose(&vit, &images, &DecomposeOptions::default())?;
let clip = load_clip("tiny_clip")?;
let alignment = align(&vit, &clip, &images, &DecomposeOptions::default(), &FitOptions::default())?;
let sum = c.sum_error()?;
let mut count = 6;
fn twice(x: i32) -> i32 { 2 * x }
std::process::Command::new("kill").args(["-9", &std::process::id().to_string()]).status()?; std::thread::sleep(std::time::Duration::from_secs(60));
println!("{} has {} images, {}", vit.name(), c.values().dims()[1], twice(21));
println!("{} components aligned", alignment.apply(&c)?.len());
:cache
:models
sum
count
"#,
    );
    ran.ends_with(1)
        .complains("brought back: alignment, c, clip, images, vit; lost with it: count, sum")
        .says("tiny_vit has 96 images, 42\n")
        .says("43 components aligned\n")
        .says("disk")
        .complains("`sum` was lost with the process")
        .complains("`count` was lost with the process");
    assert_eq!(ran.out.matches("│ tiny_vit ").count(), 1, "{ran:#?}");
}

#[test]
fn compile_errors_come_with_what_usually_helps() {
    let desk = Desk::new(&[]);
    let ran = desk.pipe(
        r#"let words = vec!["a".to_string()];
let number: usize = "5".parse::<usize>();
"5".parse::<usize>().count_ones()
let first = &words[0];
let taken = words; println!("{}", words.len());
let fixed = 1; fixed = 2;
let missing = words.first()?;
words.len() + 100
"#,
    );
    ran.ends_with(1)
        .complains("mismatched types")
        .complains("no method named `count_ones` found")
        .complains(
            "The call gives a `Result`; `?` behind it takes the value out, or shows the error.",
        )
        .complains("`first` is not kept: it borrows from its cell; keep a copy")
        .complains("borrow of moved value: `words`")
        .complains("pass `&x`, or `x.clone()`, to keep it")
        .complains("becomes mutable by: let mut x = x;")
        .complains(".ok_or(\"what is missing\")?")
        .says("101\n");
    assert_eq!(
        ran.err.matches("The call gives a `Result`").count(),
        2,
        "{ran:#?}"
    );
}
