//! Contributions in stores: what comes back is what went in, whatever was killed, damaged, or written twice.

mod common;

use candle_core::{DType, Device, Tensor};
use common::{CACHE, refused};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use vitrepl_prelude::prelude::*;
use vitrepl_prelude::session::{RunOptions, Shard, decompose_shard};

fn contributions(model: &str, images: usize, granularity: Granularity) -> Arc<Contributions> {
    LazyLock::force(&CACHE);
    let set = GeneratedSet::new(GeneratedSpec::unbiased(11, images)).unwrap();
    let options = DecomposeOptions {
        granularity,
        ..DecomposeOptions::default()
    };
    decompose(load(model).unwrap(), &set, &options).unwrap()
}

fn flat(t: &Tensor) -> Vec<f64> {
    let t = t.to_dtype(DType::F64).unwrap();
    t.flatten_all().unwrap().to_vec1().unwrap()
}

/// A folder for stores, and addresses in it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}

/// The files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

#[test]
fn what_comes_back_is_what_was_saved_in_f32_to_the_digit_and_in_f16_to_a_thousandth() -> Result<()>
{
    let place = Place::new();
    for model in [
        "tiny_vit",
        "tiny_swin",
        "tiny_maxvit",
        "tiny_clip",
        "tiny_dinov2",
    ] {
        let c = contributions(model, 13, Granularity::Heads);
        let address = place.at(model);
        c.save_as(
            &address,
            &StoreOptions {
                chunk: Some(5),
                ..StoreOptions::default()
            },
        )?;
        let stored = Contributions::open(&address)?;
        assert_eq!(
            (stored.chunks(), stored.images(), stored.names()),
            (3, 13, c.names())
        );
        let back = stored.load()?;
        assert_eq!(flat(back.values()), flat(c.values()));
        assert_eq!(flat(back.representation()), flat(c.representation()));
        assert_eq!(back.image_names(), c.image_names());
        assert!(back.origin() == c.origin());
        assert!(stored.sum_error()? < 1e-5);
        let halves = place.at(&format!("{model}-f16"));
        c.save_as(
            &halves,
            &StoreOptions {
                dtype: StoreType::F16,
                chunk: Some(4),
            },
        )?;
        let (got, want) = (
            flat(Contributions::open(&halves)?.load()?.values()),
            flat(c.values()),
        );
        let most = want.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
        for (got, want) in got.iter().zip(&want) {
            assert!(
                (got - want).abs() < 1e-3 * most,
                "{model}: {got} for {want}"
            );
        }
        // A store is used as contributions in memory are.
        let means = c.means()?;
        let (a, b) = (
            flat(&stored.ablate(&means, "* mlp")?),
            flat(&c.ablate(&means, "* mlp")?),
        );
        assert_eq!(a, b);
    }
    Ok(())
}

#[test]
fn a_part_knows_after_it_was_saved_that_it_is_one() -> Result<()> {
    let (place, c) = (
        Place::new(),
        contributions("tiny_vit", 6, Granularity::Heads),
    );
    c.select("* mlp")?.save(&place.at("part"))?;
    let part = Contributions::open(&place.at("part"))?;
    assert_eq!(part.part_of(), Some(c.len()));
    refused(part.sum_error(), &["takes all", "43"]);
    refused(part.load()?.sum_error(), &["takes all", "43"]);
    Ok(())
}

#[test]
fn stores_of_others_are_refused_by_name() -> Result<()> {
    let (place, c) = (
        Place::new(),
        contributions("tiny_vit", 9, Granularity::Heads),
    );
    let address = place.at("run.zarr");
    c.save(&address)?;
    // The same again is there already; another model's is refused with both names.
    c.save(&address)?;
    let other = contributions("tiny_dinov2", 9, Granularity::Heads);
    refused(
        other.save(&address),
        &["tiny_dinov2", "tiny_vit", "weights", "another place"],
    );
    let fewer = contributions("tiny_vit", 8, Granularity::Heads);
    refused(
        fewer.save(&address),
        &["9 images", "8 images", "another place"],
    );
    let half = StoreOptions {
        dtype: StoreType::F16,
        ..StoreOptions::default()
    };
    refused(
        c.save_as(&address, &half),
        &["the type", "f16", "another place"],
    );
    let unknown = Contributions::new(
        c.components().to_vec(),
        c.values().clone(),
        c.representation().clone(),
        None,
    )?;
    refused(
        unknown.save(&address),
        &["not known what they were made of"],
    );
    unknown.save(&place.at("unknown"))?;
    refused(
        unknown.save(&place.at("unknown")),
        &["a place where nothing is"],
    );
    // Another format number, other rules, no store, other things in the folder.
    let description = Path::new(&address).join("zarr.json");
    let text = std::fs::read_to_string(&description).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(text.contains(from), "{from} is not in {text}");
        std::fs::write(&description, text.replace(from, to)).unwrap();
        Contributions::open(&address)
    };
    refused(
        changed("\"format\": 1", "\"format\": 7"),
        &["format 7", "this version reads 1", "another place"],
    );
    refused(
        changed("Forward 1", "Forward 0"),
        &["other rules", "Forward 0"],
    );
    refused(
        changed("\"vitrepl\"", "\"other\""),
        &["not of vitrepl's contributions"],
    );
    refused(changed("{", "["), &["no Zarr group"]);
    refused(
        Contributions::open(&place.at("nothing")),
        &["nothing", "there is no zarr.json"],
    );
    std::fs::create_dir(place.at("full")).unwrap();
    std::fs::write(Path::new(&place.at("full")).join("thesis.tex"), "x").unwrap();
    refused(c.save(&place.at("full")), &["thesis.tex", "nothing else"]);
    refused(
        Contributions::open("ftp://host/run.zarr"),
        &["\"ftp\"", "s3://"],
    );
    refused(
        Contributions::open("s3://bucket"),
        &["a name within the bucket"],
    );
    refused(
        c.save_as(
            &place.at("none"),
            &StoreOptions {
                chunk: Some(0),
                ..half
            },
        ),
        &["chunk = 0"],
    );
    Ok(())
}

#[test]
fn a_damaged_chunk_is_named_and_made_anew() -> Result<()> {
    LazyLock::force(&CACHE);
    let place = Place::new();
    let address = place.at("run.zarr");
    let (vit, set) = (
        load("tiny_vit")?,
        GeneratedSet::new(GeneratedSpec::unbiased(11, 20))?,
    );
    let options = RunOptions {
        store: StoreOptions {
            chunk: Some(8),
            ..StoreOptions::default()
        },
        ..RunOptions::default()
    };
    let report = decompose_shard(&vit, &set, &address, &options, &mut |_| ())?;
    assert_eq!((report.images, report.found), (20, 0));
    let want = flat(contributions("tiny_vit", 20, Granularity::Heads).values());
    let got = flat(Contributions::open(&address)?.load()?.values());
    let most = want.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
    assert!(
        got.iter()
            .zip(&want)
            .all(|(a, b)| (a - b).abs() < 1e-6 * most)
    );
    for (file, what) in [
        ("values/c/1/0/0", "is damaged"),
        ("representation/c/1/0", "is not there"),
    ] {
        let path = Path::new(&address).join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        match what {
            "is damaged" => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                std::fs::write(&path, bytes).unwrap();
            }
            _ => std::fs::remove_file(&path).unwrap(),
        }
        let stored = Contributions::open(&address)?;
        refused(stored.means(), &[file, what, "--verify"]);
        // The others are read; the run without verification leaves it, and with it makes it anew.
        assert!(stored.select_images(0..8).is_ok() && stored.image(9).is_err());
        assert_eq!(
            decompose_shard(&vit, &set, &address, &options, &mut |_| ())?.found,
            20
        );
        let verify = RunOptions {
            verify: true,
            ..options
        };
        let report = decompose_shard(&vit, &set, &address, &verify, &mut |_| ())?;
        assert_eq!((report.found, &report.damaged[..]), (12, &[1][..]));
        assert_eq!(flat(Contributions::open(&address)?.load()?.values()), got);
    }
    Ok(())
}

#[test]
fn missing_images_are_said_and_those_that_are_there_can_be_had() -> Result<()> {
    LazyLock::force(&CACHE);
    let place = Place::new();
    let address = place.at("run.zarr");
    let (vit, set) = (
        load("tiny_vit")?,
        GeneratedSet::new(GeneratedSpec::unbiased(11, 20))?,
    );
    let shard = |index, count| -> Result<RunOptions> {
        Ok(RunOptions {
            store: StoreOptions {
                chunk: Some(3),
                ..StoreOptions::default()
            },
            shard: Shard::new(index, count)?,
            ..RunOptions::default()
        })
    };
    for index in [0, 2] {
        decompose_shard(&vit, &set, &address, &shard(index, 3)?, &mut |_| ())?;
    }
    refused(
        Contributions::open(&address),
        &["6 of 20 images are missing", "6 to 11", "there()"],
    );
    let store = ContributionStore::open(&address)?;
    assert_eq!(store.missing()?, vec![6..12; 1]);
    assert!(store.to_string().contains("6 to 11"), "{store}");
    let there = store.there()?;
    let all = contributions("tiny_vit", 20, Granularity::Heads);
    let want = all.select_images([0, 1, 2, 3, 4, 5, 12, 13, 14, 15, 16, 17, 18, 19])?;
    let got = there.load()?;
    assert_eq!(got.image_names(), want.image_names());
    assert_eq!(
        got.origin().map(|o| &o.images.key),
        want.origin().map(|o| &o.images.key)
    );
    // A shard given twice costs nothing and changes nothing; the last one makes it whole.
    assert_eq!(
        decompose_shard(&vit, &set, &address, &shard(0, 3)?, &mut |_| ())?.found,
        6
    );
    decompose_shard(&vit, &set, &address, &shard(1, 3)?, &mut |_| ())?;
    assert_eq!(Contributions::open(&address)?.images(), 20);
    // Other options do not mix with it.
    let own = DecomposeOptions {
        sharing: Sharing::Own,
        ..DecomposeOptions::default()
    };
    let mixed = RunOptions {
        decompose: own,
        ..shard(0, 1)?
    };
    refused(
        decompose_shard(&vit, &set, &address, &mixed, &mut |_| ()),
        &["sharing: Equal and Own"],
    );
    Ok(())
}

/// The `decompose` program on generated images.
fn program(address: &str, images: usize, shard: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_decompose"));
    command
        .args([
            "--model", "tiny_vit", "--chunk", "16", "--out", address, "--shard", shard,
        ])
        .args(["--data", &format!("generated:11:{images}")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn ended(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn a_run_that_is_killed_in_the_middle_goes_on_and_comes_to_the_same() -> Result<()> {
    let place = Place::new();
    let address = place.at("run.zarr");
    let finished = Path::new(&address).join("finished/c");
    let mut kills = 0;
    loop {
        let before = std::fs::read_dir(&finished).map_or(0, Iterator::count);
        let mut child = program(&address, 400, "0/1").spawn().unwrap();
        let began = Instant::now();
        // Killed at some moment after the next chunk or two, wherever it is then.
        while child.try_wait().unwrap().is_none() {
            let now = std::fs::read_dir(&finished).map_or(0, Iterator::count);
            if kills < 4 && now >= before + 2 {
                std::thread::sleep(Duration::from_millis(7 * kills));
                child.kill().unwrap();
                kills += 1;
            }
            assert!(began.elapsed() < Duration::from_secs(300));
            std::thread::sleep(Duration::from_millis(1));
        }
        if child.wait().unwrap().success() {
            break;
        }
        // Whatever is marked is whole.
        if let Ok(store) = ContributionStore::open(&address) {
            assert_eq!(store.verify(0..store.chunks())?, [0usize; 0]);
        }
    }
    assert!(kills >= 2, "the run was killed {kills} times");
    let again = ended(program(&address, 400, "0/1").spawn().unwrap());
    assert!(
        again.contains("400 images finished, 0 of them now"),
        "{again}"
    );
    let single = place.at("single.zarr");
    ended(program(&single, 400, "0/1").spawn().unwrap());
    let (a, b) = (
        Contributions::open(&address)?.load()?,
        Contributions::open(&single)?.load()?,
    );
    let (a, b) = (flat(a.values()), flat(b.values()));
    let most = b.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-6 * most));
    Ok(())
}

#[test]
fn processes_that_do_not_know_of_each_other_write_one_store() -> Result<()> {
    let place = Place::new();
    let address = place.at("run.zarr");
    // Two of them have the same shard.
    let shards = ["0/3", "1/3", "2/3", "1/3"];
    let running: Vec<Child> = shards
        .iter()
        .map(|shard| program(&address, 150, shard).spawn().unwrap())
        .collect();
    running.into_iter().for_each(|child| {
        ended(child);
    });
    let stored = Contributions::open(&address)?;
    assert_eq!(stored.images(), 150);
    let names = stored.image_names().unwrap();
    assert_eq!(names[149], "11:149");
    assert!(stored.sum_error()? < 1e-5);
    // Nothing but what a store is made of is left there.
    for file in files(Path::new(&address)) {
        let name = file.file_name().unwrap().to_string_lossy().to_string();
        assert!(
            name == "zarr.json" || name.parse::<usize>().is_ok(),
            "{name}"
        );
    }
    Ok(())
}

#[test]
fn the_program_names_what_is_wrong_with_its_arguments() {
    let place = Place::new();
    for (arguments, part) in [
        (vec!["--shard", "3/3"], "I/N"),
        (vec!["--dtype", "f64"], "f32, or f16"),
        (vec!["--first-block", "x"], "first_block = x"),
        (vec!["--data", "generated:1"], "generated:SEED:COUNT"),
        (vec!["--data", "zip:x"], "imagenet:PATH"),
        (vec!["--data", "/nothing/here"], "/nothing/here"),
        (vec!["--model", "tiny_vim"], "tiny_vit"),
        (vec!["--out", "ftp://x/y"], "s3://"),
    ] {
        let mut all = vec!["--model", "tiny_vit", "--data", "generated:1:4"];
        let out = place.at("out");
        all.extend(["--out", &out]);
        // A later argument takes the place of an earlier one.
        if let Some(at) = all.iter().position(|a| *a == arguments[0]) {
            all[at + 1] = arguments[1];
        } else {
            all.extend(&arguments);
        }
        let output = Command::new(env!("CARGO_BIN_EXE_decompose"))
            .args(&all)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).to_string();
        assert!(
            !output.status.success() && said.contains(part),
            "{arguments:?}: {said}"
        );
        assert!(!said.contains("panicked"), "{said}");
    }
}

/// A full disk is played by a limit on the size of files.
#[test]
fn a_full_disk_ends_the_run_with_a_remedy_and_leaves_no_part_of_a_chunk() -> Result<()> {
    let place = Place::new();
    let address = place.at("run.zarr");
    let output = Command::new("bash")
        .args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_decompose"))
        .args([
            "--model",
            "tiny_vit",
            "--chunk",
            "16",
            "--out",
            &address,
            "--data",
            "generated:11:40",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).to_string();
    assert!(
        !output.status.success() && said.contains("free some space"),
        "{said}"
    );
    assert_eq!(
        ContributionStore::open(&address)?.missing()?,
        vec![0..40; 1]
    );
    ended(program(&address, 40, "0/1").spawn().unwrap());
    assert_eq!(Contributions::open(&address)?.load()?.images(), 40);
    Ok(())
}

#[test]
fn numbers_that_a_type_cannot_hold_are_refused() -> Result<()> {
    let place = Place::new();
    let one = |value: f32| {
        let values = Tensor::new(&[[[value, 1.0]], [[0.0, 0.0]]], &Device::Cpu)?;
        Contributions::new(
            vec![Component::Init, Component::Bias],
            values.clone(),
            values.sum(0)?,
            None,
        )
    };
    let half = StoreOptions {
        dtype: StoreType::F16,
        ..StoreOptions::default()
    };
    refused(
        one(70_000.0)?.save_as(&place.at("large"), &half),
        &["f16", "70000", "65504"],
    );
    refused(one(f32::NAN)?.save(&place.at("nan")), &["NaN"]);
    // Zeros are values, and are written.
    let zeros = Contributions::new(
        vec![Component::Init],
        Tensor::zeros((1, 2, 3), DType::F32, &Device::Cpu)?,
        Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?,
        None,
    )?;
    zeros.save(&place.at("zeros"))?;
    assert_eq!(
        flat(Contributions::open(&place.at("zeros"))?.load()?.values()),
        [0.0; 6]
    );
    Ok(())
}
