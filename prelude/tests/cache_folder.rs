//! What the library itself keeps on disk never makes a call fail, and nothing is lost by a passing fault. One test at a
//! time: a session is a process's.

use candle_core::Device;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use vitrepl_prelude::align::Alignment;
use vitrepl_prelude::data::DataSet;
use vitrepl_prelude::prelude::*;
use vitrepl_prelude::session::{cache, drop_cached, limit_cache, request_stop, set_cache_folder};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A cache folder of its own, in a session with nothing in it but models.
struct Desk {
    folder: tempfile::TempDir,
    drawn: AtomicUsize,
    _alone: MutexGuard<'static, ()>,
}

/// A generated set that counts the images it draws.
struct Counted<'a> {
    set: GeneratedSet,
    drawn: &'a AtomicUsize,
}

impl DataSet for Counted<'_> {
    fn name(&self) -> &str {
        self.set.name()
    }

    fn key(&self) -> String {
        self.set.key()
    }

    fn len(&self) -> usize {
        self.set.len()
    }

    fn pixels(&self, indices: &[usize], input: ModelInput) -> Result<Tensor> {
        self.drawn.fetch_add(indices.len(), Ordering::Relaxed);
        self.set.pixels(indices, input)
    }
}

impl Desk {
    fn new() -> Self {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        set_cache_folder(folder.path());
        let desk = Self {
            folder,
            drawn: AtomicUsize::new(0),
            _alone: alone,
        };
        desk.a_later_process();
        desk
    }

    /// Nothing is resident but models.
    fn a_later_process(&self) {
        for kind in ["contributions", "embeddings", "aligner"] {
            forget(kind);
        }
        self.drawn.store(0, Ordering::Relaxed);
    }

    fn set(&self, seed: u64) -> Counted<'_> {
        Counted {
            set: GeneratedSet::new(GeneratedSpec::unbiased(seed, 40)).unwrap(),
            drawn: &self.drawn,
        }
    }

    fn drawn(&self) -> usize {
        self.drawn.swap(0, Ordering::Relaxed)
    }

    fn align(&self, seed: u64, fit: &FitOptions) -> Result<Arc<Alignment>> {
        let (vit, clip) = (load("tiny_vit").unwrap(), load("tiny_clip").unwrap());
        align(
            &vit,
            &clip,
            self.set(seed),
            &DecomposeOptions::default(),
            fit,
        )
    }

    /// The files of a kind, by their endings.
    fn files(&self, ending: &str) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.folder.path().to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.is_symlink() {
                    folders.push(path)
                } else if path.extension().is_some_and(|e| e == ending) {
                    files.push(path)
                }
            }
        }
        files.sort();
        files
    }

    /// The stores of decompositions.
    fn stores(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.folder.path().join("contributions")) else {
            return Vec::new();
        };
        let paths = entries.map(|entry| entry.unwrap().path());
        let mut stores: Vec<_> = paths
            .filter(|path| path.extension().is_some_and(|e| e == "zarr"))
            .collect();
        stores.sort();
        stores
    }

    /// The only one.
    fn store(&self) -> PathBuf {
        let stores = self.stores();
        assert_eq!(stores.len(), 1, "{stores:?}");
        stores[0].clone()
    }

    fn file(&self, ending: &str) -> PathBuf {
        let files = self.files(ending);
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    }
}

fn weights(alignment: &Alignment) -> Vec<f32> {
    let weights = alignment.aligner.weights().unwrap();
    weights.flatten_all().unwrap().to_vec1().unwrap()
}

fn values(c: &Contributions) -> Vec<f32> {
    c.values().flatten_all().unwrap().to_vec1().unwrap()
}

fn flipped(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

/// Whatever is read at `path` now is a fault of the disk; what was there comes back by [`restored`].
fn unreadable(path: &Path) {
    std::fs::rename(path, path.with_extension("aside")).unwrap();
    symlink(path, path).unwrap();
    let error = std::fs::read(path).unwrap_err();
    assert_ne!(error.kind(), std::io::ErrorKind::NotFound);
}

fn restored(path: &Path) {
    assert!(path.is_symlink(), "{path:?} was removed or written over");
    std::fs::remove_file(path).unwrap();
    std::fs::rename(path.with_extension("aside"), path).unwrap();
}

#[test]
fn a_finished_aligner_is_kept_without_the_state_of_its_fit() {
    let desk = Desk::new();
    let first = desk.align(1, &FitOptions::default()).unwrap();
    assert_eq!(desk.files("checkpoint"), [] as [PathBuf; 0]);
    let file = desk.file("safetensors");
    let maps = 4 * weights(&first).len() as u64;
    let size = file.metadata().unwrap().len();
    assert!(
        size < maps + maps / 4 + 20_000,
        "{size} bytes for maps of {maps}"
    );

    // A later process takes it from there: no image is drawn, no step is made.
    desk.a_later_process();
    drop_cached("contributions");
    let told = |_: &vitrepl_prelude::align::Progress| panic!("fitted again");
    let watching = FitOptions {
        progress: Some(&told),
        ..FitOptions::default()
    };
    let again = desk.align(1, &watching).unwrap();
    assert_eq!(desk.drawn(), 0);
    assert!(weights(&again) == weights(&first));
    assert_eq!(again.report, first.report);
    assert_eq!(again.aligner.origin(), first.aligner.origin());
    let vit = load("tiny_vit").unwrap();
    let c = decompose(&vit, desk.set(1), &DecomposeOptions::default()).unwrap();
    again.apply(&c).unwrap();
    // Other settings of the fit are another fit.
    let seed = FitOptions {
        seed: 5,
        ..FitOptions::default()
    };
    assert!(weights(&desk.align(1, &seed).unwrap()) != weights(&first));
    assert_eq!(desk.files("safetensors").len(), 2);
}

/// Stop the fit of 1 after its third step.
fn stopped(desk: &Desk) {
    let stop = |at: &vitrepl_prelude::align::Progress| {
        if at.step == 3 {
            request_stop()
        }
    };
    let options = FitOptions {
        batch: 4,
        progress: Some(&stop),
        ..FitOptions::default()
    };
    let text = desk.align(1, &options).unwrap_err().to_string();
    assert!(text.contains("3 of 9 steps"), "{text}");
}

fn small_steps<'a>() -> FitOptions<'a> {
    FitOptions {
        batch: 4,
        ..FitOptions::default()
    }
}

#[test]
fn a_stopped_fit_is_listed_and_goes_on() {
    let desk = Desk::new();
    let whole = desk.align(1, &small_steps()).unwrap();
    drop_cached("*");
    stopped(&desk);
    let table = cache().to_string();
    assert!(
        table.contains("tiny_vit to tiny_clip, generated seed 1, unfinished"),
        "{table}"
    );
    assert_eq!(desk.files("safetensors"), [] as [PathBuf; 0]);
    desk.a_later_process();
    let resumed = desk.align(1, &small_steps()).unwrap();
    assert_eq!(resumed.report.as_ref().unwrap().resumed_at, Some(3));
    assert!(weights(&resumed) == weights(&whole));
    assert_eq!(desk.files("checkpoint"), [] as [PathBuf; 0]);
    let table = cache().to_string();
    assert!(!table.contains("unfinished"), "{table}");
}

#[test]
fn damaged_and_foreign_checkpoints_are_set_aside() {
    let desk = Desk::new();
    let whole = desk.align(1, &small_steps()).unwrap();
    drop_cached("*");
    stopped(&desk);
    let checkpoint = desk.file("checkpoint");
    let good = std::fs::read(&checkpoint).unwrap();
    // The checkpoint of a fit on other images.
    let folder = tempfile::tempdir().unwrap();
    let foreign = folder.path().join("foreign.safetensors");
    let named = FitOptions {
        checkpoint: Some(foreign.clone()),
        ..small_steps()
    };
    desk.align(2, &named).unwrap();
    let finished = std::fs::read(desk.file("safetensors")).unwrap();
    drop_cached("*");
    for damage in [
        good[..good.len() / 2].to_vec(),
        b"no checkpoint at all".to_vec(),
        Vec::new(),
        std::fs::read(&foreign).unwrap(),
        finished,
    ] {
        desk.a_later_process();
        std::fs::write(&checkpoint, &damage).unwrap();
        let fitted = desk.align(1, &small_steps()).unwrap();
        assert_eq!(fitted.report.as_ref().unwrap().resumed_at, None);
        assert!(weights(&fitted) == weights(&whole));
        assert!(!checkpoint.exists());
        drop_cached("*");
    }
    // A checkpoint on other images, named by a person, is refused with the names of both.
    let text = desk.align(1, &named).unwrap_err().to_string();
    for part in [
        "foreign.safetensors",
        "tiny_vit to tiny_clip, generated seed 1",
        "tiny_vit to tiny_clip, generated seed 2",
        "delete it or name another file",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    // One that a person named is theirs: it is refused by name, and stays.
    std::fs::write(&foreign, "no checkpoint at all").unwrap();
    let text = desk.align(2, &named).unwrap_err().to_string();
    assert!(text.contains("foreign.safetensors"), "{text}");
    assert_eq!(std::fs::read(&foreign).unwrap(), b"no checkpoint at all");
}

#[test]
fn damaged_stale_and_foreign_aligners_are_made_again() {
    let desk = Desk::new();
    let first = desk.align(1, &FitOptions::default()).unwrap();
    let file = desk.file("safetensors");
    let good = std::fs::read(&file).unwrap();
    desk.align(2, &FitOptions::default()).unwrap();
    let files = desk.files("safetensors");
    let other = files.iter().find(|path| **path != file).unwrap();
    let foreign = std::fs::read(other).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let by_hand = folder.path().join("by hand.safetensors");
    let plain = vitrepl_prelude::align::Aligner::from_maps(
        first.aligner.weights().unwrap().clone(),
        first.aligner.bias().unwrap().clone(),
    );
    plain.unwrap().save(&by_hand).unwrap();
    let mut bit = good.clone();
    bit[good.len() / 2] ^= 1;
    for damage in [
        bit,
        good[..good.len() - 7].to_vec(),
        Vec::new(),
        b"something else".to_vec(),
        foreign,
        std::fs::read(&by_hand).unwrap(),
        // As the last version wrote it: whole, and with no format number.
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("zoo/tiny_vit.safetensors"))
            .unwrap(),
    ] {
        desk.a_later_process();
        std::fs::write(&file, &damage).unwrap();
        let again = desk.align(1, &FitOptions::default()).unwrap();
        assert!(weights(&again) == weights(&first));
        let kept = Alignment::load(&file, &Device::Cpu).unwrap();
        assert_eq!(kept.aligner.origin(), first.aligner.origin());
    }
}

#[test]
fn a_fault_of_the_disk_deletes_no_aligner() {
    let desk = Desk::new();
    let first = desk.align(1, &small_steps()).unwrap();
    let file = desk.file("safetensors");
    unreadable(&file);
    desk.a_later_process();
    let again = desk.align(1, &small_steps()).unwrap();
    assert!(weights(&again) == weights(&first));
    restored(&file);
    desk.a_later_process();
    drop_cached("contributions");
    desk.align(1, &small_steps()).unwrap();
    assert_eq!(desk.drawn(), 0, "it is found again");

    drop_cached("*");
    stopped(&desk);
    let checkpoint = desk.file("checkpoint");
    unreadable(&checkpoint);
    desk.a_later_process();
    // Stopped again, it does not write over the one that could not be read.
    let stop = |at: &vitrepl_prelude::align::Progress| {
        if at.step == 2 {
            request_stop()
        }
    };
    let options = FitOptions {
        progress: Some(&stop),
        ..small_steps()
    };
    let text = desk.align(1, &options).unwrap_err().to_string();
    assert!(text.contains("nothing is kept"), "{text}");
    restored(&checkpoint);
    desk.a_later_process();
    let resumed = desk.align(1, &small_steps()).unwrap();
    assert_eq!(resumed.report.as_ref().unwrap().resumed_at, Some(3));
}

#[test]
fn a_fault_of_the_disk_deletes_no_contributions() {
    let desk = Desk::new();
    let vit = load("tiny_vit").unwrap();
    let decomposed = || decompose(&vit, desk.set(1), &DecomposeOptions::default()).unwrap();
    let first = decomposed();
    assert_eq!(desk.drawn(), 40);
    let chunk = first_chunk(&desk.store());
    unreadable(&chunk);
    desk.a_later_process();
    assert!(values(&decomposed()) == values(&first));
    assert_eq!(desk.drawn(), 32, "the images of the chunk");
    restored(&chunk);
    desk.a_later_process();
    assert!(values(&decomposed()) == values(&first));
    assert_eq!(desk.drawn(), 0, "it is found again");

    // The whole folder.
    let folder = desk.store();
    unreadable(&folder);
    desk.a_later_process();
    assert!(values(&decomposed()) == values(&first));
    restored(&folder);
    desk.a_later_process();
    assert!(values(&decomposed()) == values(&first));
    assert_eq!(desk.drawn(), 0, "it is found again");
}

#[test]
fn foreign_contributions_are_made_again() {
    let desk = Desk::new();
    let vit = load("tiny_vit").unwrap();
    let first = decompose(&vit, desk.set(1), &DecomposeOptions::default()).unwrap();
    let store = desk.store();
    // Another model's, other images', a file of another kind, a damaged description, chunks that are cut or empty.
    let aside = tempfile::tempdir().unwrap();
    let put_aside = |name: &str| {
        let to = aside.path().join(name);
        std::fs::rename(desk.store(), &to).unwrap();
        desk.a_later_process();
        to
    };
    let good = put_aside("good");
    let dinov2 = load("tiny_dinov2").unwrap();
    decompose(&dinov2, desk.set(1), &DecomposeOptions::default()).unwrap();
    let others = put_aside("others");
    decompose(&vit, desk.set(2), &DecomposeOptions::default()).unwrap();
    let images = put_aside("images");
    std::fs::rename(&good, &store).unwrap();
    let made_again = |drawn: usize, damage: &dyn Fn()| {
        desk.a_later_process();
        damage();
        let again = decompose(&vit, desk.set(1), &DecomposeOptions::default()).unwrap();
        assert!(values(&again) == values(&first));
        assert_eq!(desk.drawn(), drawn);
        desk.a_later_process();
        decompose(&vit, desk.set(1), &DecomposeOptions::default()).unwrap();
        assert_eq!(desk.drawn(), 0, "it was written anew");
    };
    for other in [&others, &images] {
        made_again(40, &|| {
            std::fs::remove_dir_all(&store).unwrap();
            std::fs::rename(other, &store).unwrap();
        });
    }
    for description in ["", "{}", "[1, 2"] {
        made_again(40, &|| {
            std::fs::write(store.join("zarr.json"), description).unwrap()
        });
    }
    made_again(40, &|| {
        std::fs::remove_dir_all(store.join("values")).unwrap()
    });
    let chunk = first_chunk(&store);
    let whole = std::fs::read(&chunk).unwrap();
    for bytes in [&whole[..whole.len() - 1], &[]] {
        made_again(32, &|| std::fs::write(&chunk, bytes).unwrap());
    }
    made_again(32, &|| std::fs::remove_file(&chunk).unwrap());
    // A file of another name in the folder is not ours to judge.
    let note = store.join("note.txt");
    std::fs::write(&note, "a note").unwrap();
    desk.a_later_process();
    decompose(&vit, desk.set(1), &DecomposeOptions::default()).unwrap();
    assert_eq!(desk.drawn(), 0);
    assert!(note.exists());
}

#[test]
fn aligners_count_against_the_limit_and_the_longest_unused_goes() {
    let desk = Desk::new();
    let vit = load("tiny_vit").unwrap();
    desk.align(1, &FitOptions::default()).unwrap();
    let oldest = desk.file("safetensors");
    let rest: u64 = desk.stores().iter().map(size_below).sum();
    let table = cache().to_string();
    let row = table
        .lines()
        .find(|line| line.contains("aligner") && line.contains("disk"));
    assert!(
        row.is_some_and(|row| row.contains("tiny_vit to tiny_clip")),
        "{table}"
    );
    std::thread::sleep(std::time::Duration::from_millis(20));
    decompose(&vit, desk.set(2), &DecomposeOptions::default()).unwrap();
    desk.a_later_process();
    decompose(&vit, desk.set(1), &DecomposeOptions::default()).unwrap();
    let parts: u64 = desk.stores().iter().map(size_below).sum();
    assert!(parts > rest);
    // Room for all but one byte: the aligner was used longest ago.
    limit_cache(&format!(
        "{} kB",
        (parts + size(&oldest) - 1) as f64 / 1000.0
    ))
    .unwrap();
    assert!(!oldest.exists());
    assert_eq!(desk.stores().len(), 2);
    // A fit that is over the limit by itself is kept until something newer comes.
    limit_cache("1 kB").unwrap();
    desk.align(1, &FitOptions::default()).unwrap();
    assert!(oldest.exists());
    assert_eq!(desk.stores(), [] as [PathBuf; 0]);
    limit_cache("20 GB").unwrap();

    desk.a_later_process();
    decompose(&vit, desk.set(1), &DecomposeOptions::default()).unwrap();
    let said = drop_cached("aligner");
    assert!(said.contains("1 on disk"), "{said}");
    assert!(!oldest.exists());
    assert_eq!(desk.stores().len(), 1);
}

#[test]
fn what_an_earlier_version_left_is_listed_and_goes_like_the_rest() {
    let desk = Desk::new();
    let old = desk.folder.path().join("contributions/0123456789abcdef");
    std::fs::create_dir_all(&old).unwrap();
    let piece = old.join("00000000-00000040.part");
    std::fs::write(&piece, vec![7; 30_000]).unwrap();
    let aligners = desk.folder.path().join("aligners");
    std::fs::create_dir_all(&aligners).unwrap();
    let fit = aligners.join("0123456789abcdef.safetensors");
    std::fs::write(&fit, vec![7; 20_000]).unwrap();
    // A write that a killed process did not finish.
    let half = aligners.join(".vitrepl-x1y2z3");
    std::fs::write(&half, vec![7; 10_000]).unwrap();
    let first = desk.align(1, &FitOptions::default()).unwrap();
    let table = cache().to_string();
    assert_eq!(
        table.matches("of another version, or damaged").count(),
        3,
        "{table}"
    );
    let new = size_below(desk.store());
    let aligner = desk
        .files("safetensors")
        .into_iter()
        .find(|path| *path != fit);
    let kept = new + size(aligner.unwrap());
    limit_cache(&format!("{} kB", kept as f64 / 1000.0)).unwrap();
    assert!(!piece.exists() && !fit.exists() && !half.exists());
    desk.a_later_process();
    assert!(weights(&desk.align(1, &FitOptions::default()).unwrap()) == weights(&first));
    assert_eq!(desk.drawn(), 0);
    limit_cache("20 GB").unwrap();
}

/// The bytes of the files below a folder.
fn size_below(folder: impl AsRef<Path>) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .map(|path| match path.is_dir() {
            true => size_below(&path),
            false => size(&path),
        })
        .sum()
}

/// The values of the first images of a store.
fn first_chunk(store: &Path) -> PathBuf {
    store.join("values/c/0/0/0")
}

fn size(path: impl AsRef<Path>) -> u64 {
    path.as_ref().metadata().unwrap().len()
}

#[test]
fn a_folder_that_cannot_be_written_costs_nothing_but_time() {
    let desk = Desk::new();
    let first = desk.align(1, &FitOptions::default()).unwrap();
    desk.a_later_process();
    let file = desk.folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    set_cache_folder(&file);
    let again = desk.align(1, &FitOptions::default()).unwrap();
    assert!(weights(&again) == weights(&first));
    assert!(
        cache().to_string().contains("on disk: 0.0 kB"),
        "{}",
        cache()
    );
}

const SHARING: &str = "VITREPL_TEST_SHARED_CACHE_FOLDER";

#[test]
fn processes_share_a_cache_whatever_becomes_of_one() {
    let decomposed = || {
        let set = GeneratedSet::new(GeneratedSpec::unbiased(1, 640)).unwrap();
        decompose(
            load("tiny_vit").unwrap(),
            &set,
            &DecomposeOptions::default(),
        )
        .unwrap()
    };
    if let Some(folder) = std::env::var_os(SHARING) {
        set_cache_folder(PathBuf::from(folder));
        let sum: f64 = values(&decomposed()).iter().map(|&v| f64::from(v)).sum();
        println!("sum {sum}");
        return;
    }
    let desk = Desk::new();
    let start = || {
        Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "processes_share_a_cache_whatever_becomes_of_one",
                "--nocapture",
            ])
            .env(SHARING, desk.folder.path())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut children = [start(), start(), start()];
    let chunks = || {
        let chunks = desk.stores().into_iter().next();
        chunks.map_or(0, |store| {
            std::fs::read_dir(store.join("finished/c")).map_or(0, Iterator::count)
        })
    };
    while chunks() < 3 {
        assert!(
            children[0].try_wait().unwrap().is_none(),
            "it was done before it could be killed"
        );
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    children[0].kill().unwrap();
    let outputs = children.map(|child| child.wait_with_output().unwrap());
    assert!(!outputs[0].status.success());
    let sums = outputs[1..].iter().map(|output| {
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = said.lines().find_map(|line| line.split_once("sum "));
        line.unwrap_or_else(|| panic!("{said}")).1.to_string()
    });
    let sums: Vec<String> = sums.collect();
    // This process finds all of it.
    let found = decomposed();
    let sum: f64 = values(&found).iter().map(|&v| f64::from(v)).sum();
    assert_eq!(chunks(), 20);
    for other in sums {
        let other: f64 = other.parse().unwrap();
        assert!((other - sum).abs() < 1e-6 * sum.abs(), "{other} and {sum}");
    }
}

const CHILD: &str = "VITREPL_TEST_CACHE_FOLDER";

#[test]
fn what_is_set_aside_is_said_in_a_line_that_names_it() {
    if let Some(folder) = std::env::var_os(CHILD) {
        set_cache_folder(PathBuf::from(folder));
        let set = GeneratedSet::new(GeneratedSpec::unbiased(1, 40)).unwrap();
        let (vit, clip) = (load("tiny_vit").unwrap(), load("tiny_clip").unwrap());
        let options = FitOptions::default();
        align(&vit, &clip, &set, &DecomposeOptions::default(), &options).unwrap();
        return;
    }
    let desk = Desk::new();
    let run = || {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "what_is_set_aside_is_said_in_a_line_that_names_it",
                "--nocapture",
            ])
            .env(CHILD, desk.folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let said = run();
    assert!(!said.contains("set aside"), "{said}");
    let aligner = desk.file("safetensors");
    flipped(&aligner);
    flipped(&first_chunk(&desk.store()));
    let said = run();
    for file in [name(&aligner), "values/c/0/0/0".to_string()] {
        let line = said.lines().find(|line| line.contains(&file));
        let line = line.unwrap_or_else(|| panic!("{file} in {said}"));
        assert!(
            line.contains("checksum") && line.contains("set aside and made again"),
            "{line}"
        );
    }
    unreadable(&aligner);
    let said = run();
    let line = said
        .lines()
        .find(|line| line.contains(&name(&aligner)))
        .unwrap();
    assert!(line.contains("left as it is"), "{line}");
    restored(&aligner);
}
