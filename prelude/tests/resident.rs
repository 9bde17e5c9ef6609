//! What is resident is found again, and a stopped call goes on where it was. One test: a session is a process's.

use candle_core::Device;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use vitrepl_prelude::data::DataSet;
use vitrepl_prelude::models::weights::Parameters;
use vitrepl_prelude::models::{Vit, VitConfig};
use vitrepl_prelude::prelude::*;
use vitrepl_prelude::session::{cache, drop_cached, limit_cache, request_stop, set_cache_folder};

/// A generated set that notes the images it draws and asks for a stop at one.
struct Watched {
    set: GeneratedSet,
    drawn: Mutex<Vec<usize>>,
    stop_at: AtomicUsize,
}

impl DataSet for Watched {
    fn name(&self) -> &str {
        "watched"
    }

    fn key(&self) -> String {
        self.set.key()
    }

    fn len(&self) -> usize {
        self.set.len()
    }

    fn pixels(&self, indices: &[usize], input: ModelInput) -> Result<Tensor> {
        self.drawn.lock().unwrap().extend(indices);
        if indices.contains(&self.stop_at.load(Ordering::Relaxed)) {
            self.stop_at.store(usize::MAX, Ordering::Relaxed);
            request_stop();
        }
        self.set.pixels(indices, input)
    }
}

#[test]
fn asking_twice_costs_nothing_and_a_stop_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("cache");
    set_cache_folder(&disk);
    let config = VitConfig {
        img_size: 16,
        patch_size: 4,
        embed_dim: 64,
        depth: 2,
        num_heads: 1,
        ..VitConfig::default()
    };
    let save = |seed| {
        let parameters = Parameters::new(seed, &Device::Cpu);
        Vit::new(&config, parameters.builder()).unwrap();
        let variables = parameters.variables();
        let tensors: HashMap<_, _> = variables
            .into_iter()
            .map(|(name, var)| (name, var.as_detached_tensor()))
            .collect();
        let path = folder.path().join(format!("{seed}.safetensors"));
        candle_core::safetensors::save(&tensors, &path).unwrap();
        path.to_str().unwrap().to_string()
    };
    let path = save(1);
    let model = load(&path).unwrap();
    assert!(Arc::ptr_eq(&model, &load(&path).unwrap()));

    let watched = Watched {
        set: GeneratedSet::new(GeneratedSpec::unbiased(5, 250)).unwrap(),
        drawn: Mutex::default(),
        stop_at: AtomicUsize::new(170),
    };
    let drawn = || std::mem::take(&mut *watched.drawn.lock().unwrap());
    // At most two batches of 32 are decoded ahead, so three are done when image 170 is drawn.
    let error = decompose(&model, &watched, &DecomposeOptions::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("interrupted"), "{error}");
    let kept = error.split(" of 250 images are kept").next().unwrap();
    let kept: usize = kept.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(
        (64..=192).contains(&kept) && kept.is_multiple_of(32),
        "{error}"
    );
    drawn();
    let first = decompose(&model, &watched, &DecomposeOptions::default()).unwrap();
    let mut again = drawn();
    again.sort_unstable();
    let rest: Vec<_> = (kept..250).collect();
    assert_eq!(again, rest, "the kept images are not drawn again");
    assert_eq!(first.values().dims()[1], 250);

    let again = decompose(&model, &watched, &DecomposeOptions::default()).unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    assert!(drawn().is_empty());

    // The same images by another name and a model of the same weights: found by content.
    let plain = GeneratedSet::new(GeneratedSpec::unbiased(5, 250)).unwrap();
    assert!(Arc::ptr_eq(
        &first,
        &decompose(&model, &plain, &DecomposeOptions::default()).unwrap()
    ));
    let copy = folder.path().join("copy.safetensors");
    std::fs::copy(&path, &copy).unwrap();
    let copy = load(copy.to_str().unwrap()).unwrap();
    assert!(!Arc::ptr_eq(&model, &copy));
    assert!(Arc::ptr_eq(
        &first,
        &decompose(&copy, &plain, &DecomposeOptions::default()).unwrap()
    ));

    // Other options, another set, other weights: something else.
    let layers = DecomposeOptions {
        granularity: Granularity::Layers,
        ..DecomposeOptions::default()
    };
    assert_eq!(decompose(&model, &plain, &layers).unwrap().len(), 5);
    let other = load(&save(2)).unwrap();
    assert!(!Arc::ptr_eq(
        &first,
        &decompose(&other, &plain, &DecomposeOptions::default()).unwrap()
    ));

    // A changed file is read again.
    let changed = save(3);
    let before = load(&changed).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    std::fs::copy(&path, &changed).unwrap();
    let after = load(&changed).unwrap();
    assert_ne!(before.hash(), after.hash());

    let table = resident().to_string();
    assert!(
        table.contains("contributions") && table.contains("watched"),
        "{table}"
    );
    assert!(!table.contains("unfinished"), "{table}");
    let contributions = forget("contributions");
    assert_eq!(contributions, 3, "{table}");
    assert!(!resident().to_string().contains("contributions"));
    assert_eq!(
        first.values().dims()[1],
        250,
        "a variable keeps what it holds"
    );

    // A later process finds them on disk, whole.
    let values = |c: &Contributions| c.values().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let again = decompose(&model, &watched, &DecomposeOptions::default()).unwrap();
    assert!(drawn().is_empty(), "read from disk");
    assert_eq!(values(&again), values(&first));
    assert_eq!(again.names(), first.names());
    assert!(cache().to_string().contains("disk"), "{}", cache());

    // Damaged chunks are made again, and nothing else is.
    let stores = |disk: &Path| -> Vec<PathBuf> {
        let folders = std::fs::read_dir(disk.join("contributions")).unwrap();
        let folders = folders.map(|f| f.unwrap().path());
        folders.filter(|f| f.is_dir()).collect()
    };
    let is_first = |path: &PathBuf| {
        let text = std::fs::read_to_string(path.join("zarr.json")).unwrap();
        text.contains(&model.hash()[..16]) && text.contains("Heads")
    };
    let store = stores(&disk).into_iter().find(is_first).unwrap();
    let chunk = |number: usize| store.join(format!("values/c/{number}/0/0"));
    let drawn_again = |expected: std::ops::Range<usize>| {
        forget("contributions");
        let mended = decompose(&model, &watched, &DecomposeOptions::default()).unwrap();
        assert_eq!(values(&mended), values(&first));
        let mut again = drawn();
        again.sort_unstable();
        assert_eq!(again, expected.collect::<Vec<_>>());
    };
    for (number, images) in [(3, 96..128), (0, 0..32), (7, 224..250)] {
        let mut bytes = std::fs::read(chunk(number)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(chunk(number), &bytes).unwrap();
        drawn_again(images.clone());
        std::fs::write(chunk(number), &bytes[..middle]).unwrap();
        drawn_again(images);
        drawn_again(0..0);
    }
    std::thread::sleep(std::time::Duration::from_millis(20));
    drawn_again(0..0);

    // Over the limit, the one not used for longest goes; what is dropped is gone from memory and disk.
    let before = stores(&disk).len();
    fn size_below(folder: &Path) -> u64 {
        let entries = std::fs::read_dir(folder).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let sizes = paths.map(|path| match path.is_dir() {
            true => size_below(&path),
            false => path.metadata().unwrap().len(),
        });
        sizes.sum()
    }
    let size: u64 = stores(&disk).iter().map(|path| size_below(path)).sum();
    limit_cache(&format!("{} kB", (size - 1) as f64 / 1000.0)).unwrap();
    assert!(stores(&disk).len() < before);
    assert!(store.exists(), "it was used last");
    assert!(limit_cache("much").is_err());
    drop_cached("*");
    assert!(stores(&disk).is_empty());
    decompose(&model, &watched, &DecomposeOptions::default()).unwrap();
    assert_eq!(drawn().len(), 250);

    // A disk that cannot be written costs nothing but the next process's time.
    drop_cached("*");
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    set_cache_folder(&file);
    let unkept = decompose(&model, &watched, &DecomposeOptions::default()).unwrap();
    assert_eq!(values(&unkept), values(&first));
}
