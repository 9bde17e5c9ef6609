//! The Jupyter kernel: installed, against Jupyter's own tests, and with the notebooks.
//!
//! Needs Python 3 with its `venv` module (Debian: `apt-get install python3-venv`) and PyPI the first time;
//! what it installs lies in the target folder.

mod desk;
mod python;

use desk::{Desk, Ran, alone, vitrepl};
use python::{jupyter, run_jupyter, texts};
use std::path::Path;

#[test]
fn jupyters_own_tests_pass() {
    let desk = Desk::new(&[]);
    let ran = jupyter(&desk, "test_protocol.py", &["--verbose"]);
    ran.complains("OK");
    // Every optional part of them was taken.
    assert!(!ran.err.contains("skipped"), "{}", ran.err);
}

/// Texts that the outputs of a notebook hold, for those that are not looked at more closely elsewhere.
const SHOWN: &[(&str, &[&str])] = &[
    ("models", &["residual", "tiny_maxvit"]),
    (
        "spurious",
        &[
            "sum error",
            "worst group",
            "random, worst group, mean of 20",
        ],
    ),
];

/// Characters of a line of text that a cell shows at most.
const WIDEST: usize = 200;

#[test]
fn every_notebook_runs_to_its_end_with_what_it_shows() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("notebooks");
    let files = std::fs::read_dir(&folder).unwrap();
    let mut names: Vec<String> = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "ipynb"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert!(names.len() >= SHOWN.len(), "{names:?}");
    let mut failed = Vec::new();
    for name in &names {
        let desk = Desk::new(&[]);
        let notebook = folder.join(format!("{name}.ipynb"));
        let executed = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.ipynb"));
        let arguments = [&notebook, &executed].map(|path| path.to_str().unwrap());
        let started = std::time::Instant::now();
        let ran = run_jupyter(&desk, "run_notebook.py", &arguments);
        println!(
            "{name}: {:.0} s, {}",
            started.elapsed().as_secs_f64(),
            ran.out.trim()
        );
        if ran.code != Some(0) {
            let tail: Vec<&str> = ran.err.lines().rev().take(40).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            failed.push(format!("{name}: {}", tail.join("\n")));
            continue;
        }
        if name != "models" && ran.out.contains(" 0 pictures") {
            failed.push(format!("{name} shows no picture"));
        }
        let outputs = std::fs::read_to_string(&executed).unwrap();
        let shown = SHOWN.iter().find(|(known, _)| known == name);
        for text in shown.map_or(&[][..], |(_, shown)| shown) {
            if !outputs.contains(text) {
                failed.push(format!("{name}: no {text:?} in {executed:?}"));
            }
        }
        let texts = texts(&outputs).concat();
        let long = texts
            .iter()
            .find(|text| text.lines().any(|line| line.chars().count() > WIDEST));
        failed.extend(long.map(|text| format!("{name} shows a long line: {text}")));
        if texts.iter().any(|text| text.contains("Tensor[")) {
            failed.push(format!("{name} shows a tensor as Rust does"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

#[test]
fn a_kernel_is_registered_and_removed_where_it_was_asked_for() {
    let _alone = alone();
    let desk = Desk::new(&[]);
    let data = desk.path("data");
    let kernel = |arguments: &[&str]| {
        let mut command = vitrepl();
        command.arg("kernel").args(arguments);
        command.env("HF_HOME", "/hub").env("HF_TOKEN", "secret");
        Ran::from(command.env("JUPYTER_DATA_DIR", &data).output().unwrap())
    };
    kernel(&["uninstall"])
        .ends_with(1)
        .complains("no kernel is registered")
        .complains("--prefix");
    kernel(&["install", "--user"])
        .ends_with(0)
        .says("registered");
    let folder = data.join("kernels/vitrepl");
    let text = std::fs::read_to_string(folder.join("kernel.json")).unwrap();
    let kernel_json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(kernel_json["language"], "rust");
    assert_eq!(kernel_json["interrupt_mode"], "message");
    assert_eq!(kernel_json["argv"][0], env!("CARGO_BIN_EXE_vitrepl"));
    // Jupyter may run where nothing of this is set, and is no place for secrets.
    assert_eq!(kernel_json["env"]["HF_HOME"], "/hub");
    assert!(
        !text.contains("secret") && !text.contains("VITREPL_SESSION"),
        "{text}"
    );
    let path = kernel_json["env"]["PATH"].as_str().unwrap();
    let cargo = path.strip_suffix(":${PATH}").unwrap();
    assert!(Path::new(cargo).join("cargo").is_file(), "{path}");
    for size in [32, 64] {
        let logo = image::open(folder.join(format!("logo-{size}x{size}.png"))).unwrap();
        assert_eq!((logo.width(), logo.height()), (size, size));
    }
    kernel(&["uninstall", "--user"])
        .ends_with(0)
        .says("removed");
    assert!(!folder.exists());
    kernel(&["install", "--user", "--prefix", "x"]).ends_with(2);
}

#[test]
fn a_connection_that_cannot_be_served_is_named_with_a_remedy() {
    let connection = |transport: &str, scheme: &str| {
        format!(
            r#"{{"transport": "{transport}", "ip": "127.0.0.1", "key": "k", "signature_scheme": "{scheme}",
            "shell_port": 1, "control_port": 1, "stdin_port": 1, "iopub_port": 1, "hb_port": 1}}"#
        )
    };
    let desk = Desk::new(&[
        ("text.json", "none"),
        ("ipc.json", &connection("ipc", "hmac-sha256")),
        ("md5.json", &connection("tcp", "hmac-md5")),
    ]);
    for (file, complaint) in [
        (
            "missing.json",
            "cannot read the connection file missing.json",
        ),
        ("text.json", "text.json is no connection file"),
        ("ipc.json", "set Jupyter's to \"tcp\""),
        ("md5.json", "hmac-sha256"),
    ] {
        let ran = desk.run(&["kernel", "run", file]);
        ran.ends_with(1).complains(complaint);
    }
}
