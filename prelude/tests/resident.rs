//! What is resident is found again, and a stopped call goes on where it was. One test: a session is a process's.

use candle_core::Device;
use std::cell::Cell;
use std::collections::HashMap;
use vitrepl_prelude::data::DataSet;
use vitrepl_prelude::models::weights::Parameters;
use vitrepl_prelude::models::{Vit, VitConfig};
use vitrepl_prelude::prelude::*;
use vitrepl_prelude::session::request_stop;

/// A generated set that counts the images it draws and asks for a stop after some.
struct Watched {
    set: GeneratedSet,
    drawn: Cell<usize>,
    stop_after: Cell<usize>,
}

// The session draws on the calling thread only.
struct Shared(std::sync::Mutex<Watched>);

impl DataSet for Shared {
    fn name(&self) -> &str {
        "watched"
    }

    fn key(&self) -> String {
        self.0.lock().unwrap().set.key()
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().set.len()
    }

    fn pixels(&self, indices: &[usize], size: usize) -> Result<candle_core::Tensor> {
        let watched = self.0.lock().unwrap();
        watched.drawn.set(watched.drawn.get() + indices.len());
        if watched.drawn.get() > watched.stop_after.get() {
            watched.stop_after.set(usize::MAX);
            request_stop();
        }
        watched.set.pixels(indices, size)
    }
}

#[test]
fn asking_twice_costs_nothing_and_a_stop_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
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

    let watched = Shared(std::sync::Mutex::new(Watched {
        set: GeneratedSet::new(GeneratedSpec::unbiased(5, 150)).unwrap(),
        drawn: Cell::new(0),
        stop_after: Cell::new(70),
    }));
    let drawn = || watched.0.lock().unwrap().drawn.get();
    let error = decompose(&model, &watched, &Options::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("interrupted") && error.contains("96 of 150 images are kept"),
        "{error}"
    );
    let first = decompose(&model, &watched, &Options::default()).unwrap();
    assert_eq!(drawn(), 150, "the kept images are not drawn again");
    assert_eq!(first.values().dims()[1], 150);

    let again = decompose(&model, &watched, &Options::default()).unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    assert_eq!(drawn(), 150);

    // The same images by another name and a model of the same weights: found by content.
    let plain = GeneratedSet::new(GeneratedSpec::unbiased(5, 150)).unwrap();
    assert!(Arc::ptr_eq(
        &first,
        &decompose(&model, &plain, &Options::default()).unwrap()
    ));
    let copy = folder.path().join("copy.safetensors");
    std::fs::copy(&path, &copy).unwrap();
    let copy = load(copy.to_str().unwrap()).unwrap();
    assert!(!Arc::ptr_eq(&model, &copy));
    assert!(Arc::ptr_eq(
        &first,
        &decompose(&copy, &plain, &Options::default()).unwrap()
    ));

    // Other options, another set, other weights: something else.
    let layers = Options {
        granularity: Granularity::Layers,
        ..Options::default()
    };
    assert_eq!(decompose(&model, &plain, &layers).unwrap().len(), 5);
    let other = load(&save(2)).unwrap();
    assert!(!Arc::ptr_eq(
        &first,
        &decompose(&other, &plain, &Options::default()).unwrap()
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
        150,
        "a variable keeps what it holds"
    );
}
