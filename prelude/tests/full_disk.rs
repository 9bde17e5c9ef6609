//! A write that fails in the middle leaves what was there before, whole, and nothing half written.
//!
//! A full disk is played by a limit on the size of files: this test starts itself again under one.

use candle_core::{Device, Tensor};
use std::path::PathBuf;
use std::process::Command;
use vitrepl_prelude::align::Aligner;
use vitrepl_prelude::charts::BarChart;

const FOLDER: &str = "VITREPL_TEST_FULL_DISK";

/// Bytes a file may have under the limit: 16 blocks of 1024.
const ROOM: u64 = 16 * 1024;

fn aligner(value: f32, components: usize) -> Aligner {
    let weights = Tensor::full(value, (components, 32, 32), &Device::Cpu).unwrap();
    Aligner::from_maps(
        weights,
        Tensor::zeros(32, candle_core::DType::F32, &Device::Cpu).unwrap(),
    )
    .unwrap()
}

fn chart(bars: usize) -> BarChart {
    (0..bars).fold(BarChart::new("Bars", "axis"), |chart, i| {
        chart.bar(format!("bar {i}"), i as f64)
    })
}

#[test]
fn a_full_disk_leaves_the_old_file_whole() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return under_the_limit(PathBuf::from(folder));
    }
    let folder = tempfile::tempdir().unwrap();
    aligner(1.0, 2)
        .save(folder.path().join("aligner.safetensors"))
        .unwrap();
    chart(1).save(folder.path().join("chart.svg")).unwrap();
    let before = listing(folder.path());
    let output = Command::new("bash")
        // Without the trap the signal that comes with the limit would end the process.
        .args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$0\" --exact a_full_disk_leaves_the_old_file_whole --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("both were refused"), "{said}");
    assert_eq!(listing(folder.path()), before);
    let kept = Aligner::load(folder.path().join("aligner.safetensors"), &Device::Cpu).unwrap();
    assert_eq!(kept.weights().unwrap().dims(), [2, 32, 32]);
}

/// Names and contents of the files of a folder.
fn listing(folder: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (
                entry.file_name().to_string_lossy().to_string(),
                std::fs::read(entry.path()).unwrap(),
            )
        })
        .collect();
    files.sort();
    files
}

fn under_the_limit(folder: PathBuf) {
    let large = aligner(2.0, 40);
    const { assert!(40 * 32 * 32 * 4 > ROOM) };
    let error = large
        .save(folder.join("aligner.safetensors"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("aligner.safetensors") && error.contains("free some space"),
        "{error}"
    );
    let error = chart(400)
        .save(folder.join("chart.svg"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("chart.svg") && error.contains("free some space"),
        "{error}"
    );
    println!("both were refused");
}
