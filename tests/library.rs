//! The library as a person uses it: through the real program, at a terminal and in the main script.

mod desk;

use desk::{Desk, Terminal, alone};
use expectrl::ControlCode;

#[test]
fn what_is_loaded_stays_resident_from_line_to_line() {
    let desk = Desk::new(&[]);
    let ran = desk.pipe(
        r#"let vit = load("tiny_vit")?;
let images = GeneratedSet::new(GeneratedSpec::unbiased(1, 64))?;
let c = decompose(&vit, &images, &DecomposeOptions::default())?;
assert!(c.sum_error()? < 1e-5);
println!("{} components of {} images", c.len(), c.values().dims()[1]);
// Another cell is another shared object: the session must be the same one.
let again = decompose(&*load("tiny_vit")?, &images, &DecomposeOptions::default())?;
println!("the same: {}", Arc::ptr_eq(&c, &again));
resident()
"#,
    );
    ran.ends_with(0)
        .says("components of 64 images\n")
        .says("the same: true\n")
        .says("tiny_vit, generated seed 1");
}

#[test]
fn bad_input_is_named_with_a_remedy_and_the_session_goes_on() {
    let desk = Desk::new(&[
        ("cut.safetensors", "not weights"),
        ("photos/broken.png", "no picture"),
    ]);
    std::fs::create_dir(desk.path("empty")).unwrap();
    let ran = desk.pipe(
        r#"let vit = load("tiny_vit")?;
let none = load("vit_huge")?;
let none = load("missing.safetensors")?;
let none = load("cut.safetensors")?;
let none = load_clip("tiny_vit")?;
let none = set_device("cuda:99")?;
let none = FolderSet::open("empty", OnUnreadable::Fail)?;
let none = FolderSet::open("photos", OnUnreadable::Fail)?.pixels(&[0], 48.into())?;
let none = GeneratedSet::new(GeneratedSpec::unbiased(1, 0))?;
let images = GeneratedSet::new(GeneratedSpec::unbiased(1, 16))?;
let none = decompose(&vit, &images, &DecomposeOptions { first_block: Some(Block::at(40)), ..DecomposeOptions::default() })?;
let c = decompose(&vit, &images, &DecomposeOptions::default())?;
let none = score::top(&c.names(), &vec![0.0; c.len()], 1_000_000)?;
let none = BarChart::new("a", "b").bar("c", 1.0).save("chart.xyz")?;
println!("after all that: {} images", c.values().dims()[1]);
"#,
    );
    ran.ends_with(1)
        .complains("unknown model \"vit_huge\"; known: tiny_vit")
        .complains("reading missing.safetensors")
        .complains("weights cut.safetensors: not a whole safetensors file")
        .complains("this model has no text tower")
        .complains("device \"cuda:99\"")
        .complains("empty")
        .complains("broken.png")
        .complains("len = 0")
        .complains("first_block = block 40")
        .complains("k = 1000000")
        .complains("xyz")
        .says("after all that: 16 images\n");
    assert!(!ran.err.contains("panicked"), "{ran:#?}");
}

#[test]
fn ctrl_c_stops_a_decomposition_and_a_fit_and_both_go_on_where_they_were() {
    let _alone = alone();
    let mut terminal = Terminal::open();
    for statement in [
        r#"let vit = load("tiny_vit")?;"#,
        r#"let clip = load_clip("tiny_clip")?;"#,
        "let many = GeneratedSet::new(GeneratedSpec::unbiased(4, 100_000))?;",
        "let few = GeneratedSet::new(GeneratedSpec::unbiased(5, 600))?;",
        r#"let path = std::env::temp_dir().join(format!("vitrepl-fit-{}.safetensors", std::process::id()));"#,
        "fn fit(epochs: usize, path: &std::path::Path) -> FitOptions<'static> { FitOptions { epochs, patience: 100_000, checkpoint: Some(path.into()), ..FitOptions::default() } }",
    ] {
        terminal.types(statement);
    }
    terminal.types("let c = decompose(&vit, &many, &DecomposeOptions::default())?;");
    terminal.shows("decompose tiny_vit");
    std::thread::sleep(std::time::Duration::from_secs(2));
    terminal.presses(ControlCode::EndOfText);
    terminal.shows("of 100000 images are kept");
    terminal.types("resident()");
    terminal.shows("unfinished contributions");
    terminal.types(
        "let a = align(&vit, &clip, &few, &DecomposeOptions::default(), &fit(5000, &path))?;",
    );
    terminal.shows("align tiny_vit");
    std::thread::sleep(std::time::Duration::from_secs(2));
    terminal.presses(ControlCode::EndOfText);
    terminal.shows("interrupted");
    terminal
        .types("let a = align(&vit, &clip, &few, &DecomposeOptions::default(), &fit(1, &path))?;");
    terminal.types(
        r#"println!("resumed: {}", a.report.as_ref().is_some_and(|r| r.resumed_at.is_some())); std::fs::remove_file(&path)?;"#,
    );
    terminal.shows("resumed: true");
    // It is meant for all calls of its cell, and for none of the next.
    terminal.types(
        r#"println!("slee{}", "ping"); std::thread::sleep(std::time::Duration::from_secs(1)); println!("stopped: {}", embed_images(&vit, &many).is_err());"#,
    );
    terminal.shows("sleeping");
    terminal.presses(ControlCode::EndOfText);
    terminal.shows("stopped: true");
    terminal.types(r#"println!("goes on: {}", embed_images(&vit, &few).is_ok());"#);
    terminal.shows("goes on: true");
    terminal.types(r#"println!("{} is still here", vit.name());"#);
    terminal.shows("tiny_vit is still here");
    terminal.types(":quit");
    terminal.ends();
}

/// The numbers of a row of the last table: every "before → after", or single ones, in order.
fn row(out: &str, label: &str) -> Vec<f64> {
    let table = &out[out.rfind("switched off").unwrap()..];
    let line = table.lines().find(|line| line.contains(label));
    let line = line.unwrap_or_else(|| panic!("no row {label:?} in {table}"));
    let cells = &line[line.find(label).unwrap() + label.len()..];
    let words = cells.split(|c: char| !(c.is_ascii_digit() || c == '.'));
    words.filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn the_main_script_mitigates_and_random_components_do_not() {
    let desk = Desk::new(&[]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/notebooks/spurious.rs");
    let ran = desk.run(&[script]);
    ran.ends_with(0).says("sum error").says("held-out cosine");
    // Each model's line says whether anything beats mean ablation.
    assert_eq!(ran.out.matches(": best by ").count(), 6, "{}", ran.out);
    let worst = row(&ran.out, "worst group");
    let average = row(&ran.out, "│ average");
    let random = row(&ran.out, "random, worst group, mean of 20");
    let fitted = row(&ran.out, "worst group, fitted weights");
    assert_eq!(fitted.len(), 6, "{}", ran.out);
    for (model, fitted) in fitted.iter().enumerate() {
        // Half a point is what rounding on another machine may move.
        let ablated = worst[2 * model + 1];
        assert!(
            *fitted > ablated - 0.5,
            "model {model}: fitted weights {fitted}, mean ablation {ablated}"
        );
    }
    assert_eq!(
        (worst.len(), average.len(), random.len()),
        (12, 12, 6),
        "{}",
        ran.out
    );
    for (model, random) in random.iter().enumerate() {
        let (before, after) = (worst[2 * model], worst[2 * model + 1]);
        let average = average[2 * model];
        assert!(
            before < average - 8.0,
            "model {model}: worst {before}, average {average}"
        );
        assert!(
            after > before + 3.0,
            "model {model}: worst group {before} -> {after}"
        );
        assert!(
            after > random + 3.0,
            "model {model}: {after}, random components {random}"
        );
    }
    let charts: Vec<_> = ran
        .out
        .lines()
        .filter_map(|line| line.strip_prefix("chart: "))
        .collect();
    assert!(charts.len() >= 3, "{charts:?}");
    for chart in charts {
        let picture = image::open(desk.path(chart)).unwrap();
        assert!(
            picture.width() >= 800,
            "{chart} is {} wide",
            picture.width()
        );
    }
}
