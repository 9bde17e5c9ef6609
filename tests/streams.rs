//! Standard streams of cells: what they print comes out as they print it, what they read comes from the front end, and
//! nothing that they write is taken for something else.

mod desk;

use desk::{Desk, Terminal, alone};
use expectrl::ControlCode;

/// Statements whose values tell whether every output still comes with its cell.
const CANARY: &str = "println!(\"after: {}\", 40 + 2);\n21 * 2\n";

#[test]
fn no_output_is_taken_for_the_end_of_a_cell_or_for_a_value() {
    let lines = [
        "EVCXR_EXECUTION_COMPLETE",
        "EVCXR_BEGIN_CONTENT text/plain",
        "EVCXR_END_CONTENT",
        "EVCXR_PANIC_NOTIFICATION",
        "EVCXR_ERROR_OCCURRED",
        "EVCXR_VARIABLE_CHANGED_TYPE:a",
        "EVCXR_INPUT_REQUEST:who?",
        "VITREPL_LINE_ENDED",
        "VITREPL_END_OF_CELL",
        "VITREPL_PROGRESS {not a step}",
        "ended 1 8",
    ];
    let desk = Desk::new(&[]);
    for print in ["println", "eprintln"] {
        let mut statements = String::new();
        let (mut out, mut err) = (String::new(), String::new());
        for (number, line) in lines.iter().enumerate() {
            statements += &format!("let a = {number}; {print}!(\"{{}}\", {line:?});\na + 500\n");
            let said = if print == "println" {
                &mut out
            } else {
                &mut err
            };
            *said += &format!("{line}\n");
            out += &format!("{}\n", number + 500);
        }
        let ran = desk.pipe(&statements);
        ran.ends_with(0);
        assert_eq!((ran.out, ran.err), (out, err));
    }
}

#[test]
fn bytes_that_are_no_text_shift_nothing() {
    let desk = Desk::new(&[]);
    let ran = desk.pipe(&format!(
        "use std::io::Write;\nstd::io::stdout().write_all(b\"\\xff\\xfe\\x00\\n\")?;\n\
         std::io::stderr().write_all(b\"\\xc3\\n\\xff\")?;\n{CANARY}"
    ));
    ran.ends_with(0);
    assert_eq!(ran.out, "\u{fffd}\u{fffd}\0\nafter: 42\n42\n");
    assert_eq!(ran.err, "\u{fffd}\n\u{fffd}\n");
}

#[test]
fn unfinished_lines_of_both_streams_show_nothing_of_ours() {
    let desk = Desk::new(&[]);
    let ran = desk.pipe("eprint!(\"no end\");\nprint!(\"neither\"); 5\nprint!(\"é\");\n6\n");
    ran.ends_with(0);
    assert_eq!(ran.err, "no end\n");
    assert_eq!(ran.out, "neither\n5\né\n6\n");
}

#[test]
fn every_value_that_a_cell_displays_is_shown_in_its_place() {
    let desk = Desk::new(&[]);
    let ran = desk.pipe(
        r#"for k in 0..3 { println!("chart {k}"); BarChart::new("Bars", "unit").bar("one", k as f64).evcxr_display(); }
struct Twice;
impl Twice { fn evcxr_display(&self) { for text in ["one", "two"] { println!("EVCXR_BEGIN_CONTENT text/plain\n{text}\nEVCXR_END_CONTENT"); } } }
print!("open"); Twice
"#,
    );
    ran.ends_with(0);
    let places: Vec<usize> = [
        "chart 0",
        "input-1.png",
        "chart 1",
        "input-1-2.png",
        "chart 2",
        "input-1-3.png",
        "open\none\ntwo\n",
    ]
    .map(|text| {
        ran.out
            .find(text)
            .unwrap_or_else(|| panic!("no {text} in {ran:#?}"))
    })
    .into();
    assert!(places.is_sorted(), "{ran:#?}");
    for name in ["input-1", "input-1-2", "input-1-3"] {
        assert!(desk.path(&format!("charts/{name}.png")).is_file());
    }
}

#[test]
fn a_piped_cell_reads_the_lines_behind_it_and_then_the_end() {
    let desk = Desk::new(&[]);
    let ran = desk.pipe(
        r#"let mut line = String::new(); std::io::stdin().read_line(&mut line)?;
typed by nobody
line
let status = std::process::Command::new("sh").args(["-c", "read word rest; echo got $rest"]).status()?;
first second
status.success()
let late = std::thread::spawn(|| { let mut line = String::new(); std::io::stdin().read_line(&mut line).map(|n| (n, line)) });
late.is_finished()
late.join().unwrap().unwrap().0
println!("never"); let mut all = String::new(); std::io::Read::read_to_string(&mut std::io::stdin(), &mut all)?; println!("{}", all.len());
the rest
"#,
    );
    ran.ends_with(0)
        .says("\"typed by nobody\\n\"\n")
        .says("got second\ntrue\n")
        .says("never\n9\n");
    // What still waited when its cell had ended got the end, and no statement.
    assert!(ran.out.contains("\n0\n"), "{ran:#?}");
}

#[test]
fn a_script_reads_what_is_piped_into_it() {
    use std::io::Write;
    let desk = Desk::new(&[(
        "sum.rs",
        "let numbers = std::io::read_to_string(std::io::stdin())?;\nnumbers.lines().count()\n",
    )]);
    let _alone = alone();
    let mut child = desk::start(desk::vitrepl().arg("sum.rs").current_dir(desk.path("")));
    child.stdin.take().unwrap().write_all(b"1\n2\n3").unwrap();
    desk::Ran::from(child.wait_with_output().unwrap())
        .ends_with(0)
        .says("numbers.lines().count()\n3\n");
}

#[test]
fn a_process_left_behind_delays_nothing() {
    let desk = Desk::new(&[]);
    let ran = desk.pipe(
        r#"let start = std::time::Instant::now();
let mut left = std::process::Command::new("sh").args(["-c", "while echo behind; do sleep 0.02; done"]).spawn()?;
std::thread::sleep(std::time::Duration::from_millis(300));
for _ in 0..3 { }
println!("{}", start.elapsed().as_secs() < 60);
left.kill()?;
let mut silent = std::process::Command::new("sleep").arg("600").spawn()?;
std::process::abort();
println!("the next");
"#,
    );
    ran.ends_with(1)
        .says("behind\n")
        .says("true\n")
        .complains("has ended")
        .says("the next\n");
}

#[test]
fn paths_may_have_spaces() {
    let desk = Desk::new(&[(
        "my scripts/a b.rs",
        "std::env::current_dir()?.ends_with(\"my scripts\")\n",
    )]);
    let cache = desk.path("a cache/in here");
    std::fs::create_dir_all(&cache).unwrap();
    // What is compiled is copied, so that it need not be compiled once more.
    let compiled = std::env::var_os("VITREPL_CACHE_DIR").map_or_else(
        || dirs::cache_dir().unwrap().join("vitrepl"),
        std::path::PathBuf::from,
    );
    desk.pipe("1").ends_with(0);
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .args([compiled.join("compile"), cache.join("compile")])
        .status()
        .unwrap();
    assert!(copied.success());
    let _alone = alone();
    let output = desk::vitrepl()
        .arg("a b.rs")
        .current_dir(desk.path("my scripts"))
        .env("VITREPL_CACHE_DIR", &cache)
        .output()
        .unwrap();
    desk::Ran::from(output).ends_with(0).says("\ntrue\n");
}

#[test]
fn a_long_value_is_shortened() {
    let ran = Desk::new(&[]).pipe("vec![1.5; 10_000_000]\n");
    ran.ends_with(0).says("1.5, 1.5, ").says("... (shortened");
    assert!(!ran.out.contains(", ,"), "{}", ran.out);
    assert!(ran.out.len() < 20_000, "{}", ran.out.len());
}

#[test]
fn a_line_grows_on_the_terminal_while_the_cell_runs() {
    let _alone = alone();
    let mut terminal = Terminal::open();
    terminal.types(
        "for k in 0..40 { print!(\"\\r{} % done\", k * 2 + 11); std::io::Write::flush(&mut std::io::stdout())?; std::thread::sleep(std::time::Duration::from_millis(100)); }",
    );
    let start = std::time::Instant::now();
    terminal.shows("\r11 % done");
    terminal.shows("\r13 % done");
    terminal.shows("\r89 % done");
    assert!(start.elapsed().as_secs_f64() > 2.0, "it comes at the end");
    terminal.types("eprint!(\"no end\");");
    terminal.types("600 + 6");
    terminal.shows("606");
    let screen = terminal.screen();
    assert!(screen.contains(&"no end".to_owned()), "{screen:#?}");
    terminal.types(":quit");
    terminal.ends();
}

#[test]
fn a_cell_reads_a_line_that_is_typed_and_no_statement() {
    let _alone = alone();
    let mut terminal = Terminal::open();
    terminal.types(
        "print!(\"na{}\", \"me? \"); std::io::Write::flush(&mut std::io::stdout())?; let mut name = String::new(); std::io::stdin().read_line(&mut name)?; println!(\"hello {}\", name.trim());",
    );
    terminal.shows("name? ");
    terminal.answers("Ada\r");
    terminal.shows("hello Ada");
    // The crate evcxr_input writes this line and reads one.
    terminal.types(
        "println!(\"EVCXR_INPUT_REQUEST:how {}? \", \"old\"); let mut age = String::new(); std::io::stdin().read_line(&mut age)?; println!(\"{} soon\", age.trim().parse::<u32>()? + 1);",
    );
    terminal.shows("how old? ");
    terminal.answers("36\r");
    terminal.shows("37 soon");
    // Ctrl-D is the end of the input, and so is Ctrl-C.
    for key in [ControlCode::EndOfTransmission, ControlCode::EndOfText] {
        terminal.types(
            "println!(\"read{}\", \"ing\"); let mut none = String::new(); println!(\"{} bytes\", std::io::stdin().read_line(&mut none)?);",
        );
        terminal.shows("reading");
        std::thread::sleep(std::time::Duration::from_secs(1));
        terminal.presses(key);
        terminal.shows("0 bytes");
    }
    terminal.types("\"statements \".len() + 700");
    terminal.shows("711");
    terminal.types(":quit");
    terminal.ends();
}
