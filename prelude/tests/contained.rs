//! What a finer decomposition holds is not computed again: heads from tokens, layers from heads, embeddings from either.

mod common;

use candle_core::{DType, Tensor};
use common::CACHE;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use vitrepl_prelude::data::{DataSet, ModelInput};
use vitrepl_prelude::prelude::*;

/// One test at a time: a session is a process's.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Generated images that count how many of them are drawn.
struct Counted {
    set: GeneratedSet,
    drawn: AtomicUsize,
}

impl Counted {
    fn new(seed: u64) -> Self {
        LazyLock::force(&CACHE);
        Self {
            set: GeneratedSet::new(GeneratedSpec::unbiased(seed, 12)).unwrap(),
            drawn: AtomicUsize::new(0),
        }
    }

    fn drawn(&self) -> usize {
        self.drawn.swap(0, Ordering::Relaxed)
    }
}

impl DataSet for Counted {
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

fn options(granularity: Granularity, sharing: Sharing) -> DecomposeOptions {
    DecomposeOptions {
        granularity,
        sharing,
        ..DecomposeOptions::default()
    }
}

fn apart(a: &Tensor, b: &Tensor) -> f64 {
    let of = |t: Tensor| {
        t.abs()
            .unwrap()
            .max_all()
            .unwrap()
            .to_dtype(DType::F64)
            .unwrap()
            .to_scalar::<f64>()
            .unwrap()
    };
    of((a - b).unwrap()) / of(b.clone())
}

#[test]
fn heads_come_from_tokens_and_embeddings_from_either() -> Result<()> {
    let _alone = alone();
    for (seed, model) in [(1, "tiny_vit"), (2, "tiny_swin"), (3, "tiny_clip")] {
        let (model, set) = (load(model)?, Counted::new(seed));
        // Computed on their own, by the same seed of another process' set.
        let alone = GeneratedSet::new(GeneratedSpec::unbiased(seed, 12))?;
        let pixels = alone.pixels(&(0..12).collect::<Vec<_>>(), model.input())?;
        let want = Decomposer::new(model.encoder(), options(Granularity::Heads, Sharing::Equal))?
            .run(&model.encoder().normalisation().apply(&pixels)?)?;
        decompose(&model, &set, &options(Granularity::Tokens, Sharing::Equal))?;
        assert_eq!(set.drawn(), 12);
        let heads = decompose(&model, &set, &options(Granularity::Heads, Sharing::Equal))?;
        let embeddings = embed_images(&model, &set)?;
        assert_eq!(set.drawn(), 0, "nothing is drawn again");
        assert!(heads.token_contributions().is_none() && heads.names() == want.names());
        assert!(apart(heads.values(), want.values()) < 1e-5);
        assert!(apart(&embeddings, want.representation()) < 1e-5);
        assert_eq!(
            heads.origin().unwrap().options,
            options(Granularity::Heads, Sharing::Equal)
        );
        // By the rule of equal parts layers are no sums of heads.
        decompose(&model, &set, &options(Granularity::Layers, Sharing::Equal))?;
        assert_eq!(set.drawn(), 12);
    }
    Ok(())
}

#[test]
fn layers_come_from_heads_in_memory_and_on_disk_where_that_is_exact() -> Result<()> {
    let _alone = alone();
    let (model, set) = (load("tiny_swin")?, Counted::new(7));
    let layers = options(Granularity::Layers, Sharing::Own);
    let want = decompose(&model, &set, &layers)?;
    forget("contributions");
    vitrepl_prelude::session::drop_cached("contributions");
    set.drawn();
    decompose(&model, &set, &options(Granularity::Heads, Sharing::Own))?;
    assert_eq!(set.drawn(), 12);
    let got = decompose(&model, &set, &layers)?;
    assert_eq!(set.drawn(), 0);
    assert_eq!(got.names(), want.names());
    assert!(got.origin() == want.origin());
    assert!(apart(got.values(), want.values()) < 1e-5);
    // A later process has the heads on disk.
    forget("contributions");
    let got = decompose(&model, &set, &layers)?;
    assert_eq!(set.drawn(), 0);
    assert!(apart(got.values(), want.values()) < 1e-5);
    Ok(())
}

#[test]
fn nothing_is_taken_from_contributions_of_other_images_models_or_options() -> Result<()> {
    let _alone = alone();
    let (vit, other) = (load("tiny_vit")?, load("tiny_dinov2")?);
    let (set, another) = (Counted::new(21), Counted::new(22));
    decompose(&vit, &set, &options(Granularity::Tokens, Sharing::Equal))?;
    assert_eq!(set.drawn(), 12);
    let first = DecomposeOptions {
        first_block: Some(Block::at(3)),
        ..DecomposeOptions::default()
    };
    decompose(&vit, &set, &first)?;
    assert_eq!(set.drawn(), 12);
    decompose(&vit, &set, &options(Granularity::Heads, Sharing::Own))?;
    assert_eq!(set.drawn(), 12);
    decompose(&other, &set, &DecomposeOptions::default())?;
    assert_eq!(set.drawn(), 12);
    decompose(&vit, &another, &DecomposeOptions::default())?;
    assert_eq!(another.drawn(), 12);
    Ok(())
}
