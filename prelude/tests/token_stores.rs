//! Source tokens in stores: what they answer is what they answer in memory, whatever family, and whatever was killed or
//! damaged in between.

mod common;

use candle_core::{DType, Tensor};
use common::{CACHE, refused};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use vitrepl_prelude::data::DataSet;
use vitrepl_prelude::prelude::*;
use vitrepl_prelude::session::{RunOptions, Shard, decompose_shard};

const TOKENS: DecomposeOptions = DecomposeOptions {
    granularity: Granularity::Tokens,
    first_block: None,
    sharing: Sharing::Equal,
    target: DecomposeTarget::Representation,
};

fn images(count: usize) -> GeneratedSet {
    LazyLock::force(&CACHE);
    GeneratedSet::new(GeneratedSpec::unbiased(11, count)).unwrap()
}

fn flat(t: &Tensor) -> Vec<f64> {
    let t = t.to_dtype(DType::F64).unwrap();
    t.flatten_all().unwrap().to_vec1().unwrap()
}

#[track_caller]
fn near(got: &Tensor, want: &Tensor, tolerance: f64) {
    assert_eq!(got.dims(), want.dims());
    let (got, want) = (flat(got), flat(want));
    let most = want.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
    let apart = got.iter().zip(&want).map(|(a, b)| (a - b).abs());
    let apart = apart.fold(0.0, f64::max);
    assert!(apart <= tolerance * most, "{apart:.1e} of {most:.1e}");
}

fn in_chunks(chunk: usize, dtype: StoreType) -> StoreOptions {
    StoreOptions {
        chunk: Some(chunk),
        dtype,
    }
}

/// Some heads of every grid of the model.
fn heads(c: &Contributions) -> Vec<String> {
    let names = c.names().into_iter().filter(|name| name.contains("head"));
    names.step_by(7).collect()
}

#[test]
fn stored_tokens_answer_as_those_in_memory_in_every_family() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    for model in [
        "tiny_vit",
        "tiny_dinov2",
        "tiny_swin",
        "tiny_maxvit",
        "tiny_clip",
    ] {
        let model = load(model)?;
        for sharing in [Sharing::Equal, Sharing::Own] {
            let options = DecomposeOptions { sharing, ..TOKENS };
            let c = decompose(&model, images(7), &options)?;
            let address = |kind: &str| {
                let name = format!("{}-{sharing:?}-{kind}", model.name());
                folder.path().join(name).display().to_string()
            };
            c.save_as(&address("f32"), &in_chunks(3, StoreType::F32))?;
            c.save_as(&address("f16"), &in_chunks(4, StoreType::F16))?;
            let stored = Contributions::open(&address("f32"))?;
            let halves = Contributions::open(&address("f16"))?;
            assert!(stored.has_tokens() && stored.chunks() == 3);
            assert!(stored.bytes() > 2 * 4 * (c.len() + 1) * 7 * stored.width());
            let width = stored.width();
            let directions = Tensor::randn(0f32, 1., (4, width), &Device::Cpu)?;
            for head in heads(&c) {
                let want = c.tokens(&head)?.along(&directions)?;
                let got = stored.tokens(&head)?.along(&directions)?;
                assert_eq!(flat(got.values()), flat(want.values()), "{head}");
                assert_eq!(got.layout(), want.layout());
                assert_eq!(got.image_name(6), want.image_name(6));
                let half = halves.tokens(&head)?.along(&directions)?;
                near(half.values(), want.values(), 2e-3);
                // They sum to their head.
                let sum = got.values().sum(1)?;
                near(&sum, &c.get(&head)?.matmul(&directions.t()?)?, 1e-4);
            }
            // All heads at once, which reads each layer once.
            let (all, far) = (
                c.tokens_along("* head *", &directions)?,
                stored.tokens_along("* head *", &directions)?,
            );
            let names = c.names().into_iter().filter(|name| name.contains("head"));
            let names: Vec<String> = names.collect();
            for ((one, far), head) in all.iter().zip(&far).zip(&names) {
                let want = c.tokens(head)?.along(&directions)?;
                assert_eq!((one.component(), far.component()), (&**head, &**head));
                near(one.values(), want.values(), 1e-6);
                near(far.values(), want.values(), 1e-6);
                assert_eq!(far.image_name(6), want.image_name(6));
            }
            assert_eq!((all.len(), far.len()), (names.len(), names.len()));
            let mlp = names[0].replace("head 0", "*");
            refused(c.tokens_along(&mlp, &directions), &["heads only"]);
            refused(stored.tokens_along(&mlp, &directions), &["heads only"]);
            // In memory again, some of them and all.
            let some = stored.select_images([5, 1])?;
            let head = &heads(&c)[0];
            let want = c.select_images([5, 1])?.tokens(head)?.values()?;
            assert_eq!(flat(&some.tokens(head)?.values()?), flat(&want));
            let all = stored.load()?;
            assert_eq!(
                flat(&all.tokens(head)?.values()?),
                flat(&c.tokens(head)?.values()?)
            );
            // Saved once more, from the store.
            let again = address("again");
            stored.save(&again)?;
            let again = Contributions::open(&again)?.tokens(head)?;
            assert_eq!(
                flat(again.along(&directions)?.values()),
                flat(c.tokens(head)?.along(&directions)?.values())
            );
        }
    }
    Ok(())
}

#[test]
fn texts_and_heatmaps_of_stored_tokens_are_those_of_memory() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let address = folder.path().join("run.zarr").display().to_string();
    let (vit, clip) = (load("tiny_swin")?, load_clip("tiny_clip")?);
    let set = images(8);
    let c = decompose(&vit, &set, &TOKENS)?;
    c.save_as(&address, &in_chunks(3, StoreType::F32))?;
    let stored = Contributions::open(&address)?;
    let options = FitOptions {
        epochs: 2,
        ..FitOptions::default()
    };
    let alignment = align(&vit, &clip, &set, &TOKENS, &options)?;
    let (near_by, far) = (alignment.apply(&c)?, alignment.apply(&stored)?);
    let texts = class_embeddings(&clip, &["star", "sea"])?;
    let heads = ["stage 0 block 1 head 0", "stage 2 block 1 head 3"];
    for head in heads {
        let want = near_by.tokens(head)?.along(&texts)?;
        let got = far.tokens(head)?.along(&texts)?;
        assert_eq!(flat(got.values()), flat(want.values()));
        assert_eq!(got.directions(), want.directions());
        assert!(got.heatmap(&set).is_ok());
    }
    let want = token_importance(&near_by, heads, &texts)?;
    let got = token_importance(&far, heads, &texts)?;
    assert_eq!(flat(got.values()), flat(want.values()));
    // Of a selection the others are not there.
    let one = far.select(heads[0])?;
    assert!(one.tokens(heads[0]).is_ok());
    refused(one.tokens(heads[1]), &[heads[1]]);
    refused(one.select(heads[1]), &[heads[1]]);
    refused(
        far.tokens("stage 2 block 1 mlp"),
        &["not a decomposed head"],
    );
    // Texts of another CLIP, as in memory.
    let shown = far.tokens(heads[0])?.to_string();
    assert!(
        shown.contains("run.zarr") && shown.contains("tiny_clip"),
        "{shown}"
    );
    let star = class_embeddings(&clip, &["star"])?;
    let top = near_by.score(&star)?.select("* head *")?.top(2)?;
    let want = heatmaps(&set, &near_by, &[(top.clone(), star.clone())])?;
    let got = heatmaps(&set, &far, &[(top.clone(), star.clone())])?;
    assert_eq!(got.table()?.to_string(), want.table()?.to_string());
    let want = retrieve_by_text(&set, &near_by, &texts, 3)?;
    let got = retrieve_by_text(&set, &far, &texts, 3)?;
    assert_eq!(got.to_string(), want.to_string());
    let ranking = near_by.score(&star)?.top(4)?;
    let want = retrieve_by_groups(&set, &near_by, &ranking, (2, 2), &texts, 3)?;
    let got = retrieve_by_groups(&set, &far, &ranking, (2, 2), &texts, 3)?;
    assert_eq!(got.to_string(), want.to_string());
    Ok(())
}

#[test]
fn segmentation_reads_stored_tokens() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let vit = load("tiny_vit")?;
    let set = images(9);
    decompose(&vit, &set, &TOKENS)?.save_as(&at("a"), &in_chunks(4, StoreType::F32))?;
    let head = vit.factor_head(Factor::Shape)?;
    let settings = |stored| SegmentationSettings {
        methods: vec![SegmentationMethod::Decomposition],
        stored,
        ..SegmentationSettings::default()
    };
    let want = segmentation(&vit, &set, &head, &settings(None))?;
    let stored = Contributions::open(&at("a"))?;
    let got = segmentation(&vit, &set, &head, &settings(Some(stored.clone())))?;
    assert_eq!(got.to_string(), want.to_string());
    // Others' are refused.
    let refuse = |model: &Arc<Model>, set: &GeneratedSet, stored, parts: &[&str]| {
        let head = model.factor_head(Factor::Shape).unwrap();
        refused(
            segmentation(model, set, &head, &settings(Some(stored))),
            parts,
        );
    };
    refuse(
        &vit,
        &images(8),
        stored.clone(),
        &["images", "leave it out"],
    );
    refuse(
        &load("tiny_swin")?,
        &set,
        stored.clone(),
        &["tiny_vit", "tiny_swin"],
    );
    refuse(&vit, &set, stored.select("block 1 *")?, &["takes all"]);
    let heads = DecomposeOptions::default();
    decompose(&vit, &set, &heads)?.save(&at("heads"))?;
    let heads = Contributions::open(&at("heads"))?;
    refused(heads.tokens("block 1 head 0"), &["Granularity::Tokens"]);
    refuse(&vit, &set, heads, &["Granularity::Tokens"]);
    Ok(())
}

/// Files of arrays of source tokens.
fn token_chunks(address: &str) -> Vec<PathBuf> {
    let layer = Path::new(address).join("tokens/layers/2/values/c");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(layer).unwrap() {
        found.push(entry.unwrap().path().join("0/0/0/0"));
    }
    found.sort();
    found
}

#[test]
fn a_run_writes_tokens_shard_by_shard_and_mends_what_is_damaged() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let address = folder.path().join("run.zarr").display().to_string();
    let (vit, set) = (load("tiny_maxvit")?, images(10));
    let options = |index, verify| -> Result<RunOptions> {
        Ok(RunOptions {
            decompose: TOKENS,
            store: in_chunks(3, StoreType::F32),
            shard: Shard::new(index, 2)?,
            verify,
        })
    };
    for shard in [1, 0] {
        decompose_shard(&vit, &set, &address, &options(shard, false)?, &mut |_| ())?;
    }
    let want = decompose(&vit, &set, &TOKENS)?;
    let head = want.names().into_iter().rfind(|name| name.contains("head"));
    let head = head.unwrap();
    let direction = Tensor::randn(0f32, 1., (1, want.values().dim(2)?), &Device::Cpu)?;
    let whole = want.tokens(&head)?.along(&direction)?;
    let stored = Contributions::open(&address)?;
    let got = stored.tokens(&head)?.along(&direction)?;
    near(got.values(), whole.values(), 1e-5);
    assert!(got.heatmap(&set).is_ok());
    // A bit of one chunk of tokens flips.
    let chunk = &token_chunks(&address)[1];
    let mut bytes = std::fs::read(chunk).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(chunk, bytes).unwrap();
    let block = want
        .names()
        .into_iter()
        .filter(|name| name.contains("head 0"));
    let third = block.map(|name| name.to_string()).nth(2).unwrap();
    let damaged = refused(
        Contributions::open(&address)?
            .tokens(&third)?
            .along(&direction),
        &["tokens/layers/2/values", "--verify"],
    );
    assert!(damaged.contains("damaged"), "{damaged}");
    // What has no tokens of that layer is read all the same.
    assert!(Contributions::open(&address)?.means().is_ok());
    let report = decompose_shard(&vit, &set, &address, &options(0, true)?, &mut |_| ())?;
    assert_eq!(report.damaged, [1]);
    let got = Contributions::open(&address)?
        .tokens(&third)?
        .along(&direction)?;
    near(
        got.values(),
        want.tokens(&third)?.along(&direction)?.values(),
        1e-5,
    );
    // Heads alone belong to another place.
    let heads = RunOptions {
        decompose: DecomposeOptions::default(),
        ..options(0, false)?
    };
    refused(
        decompose_shard(&vit, &set, &address, &heads, &mut |_| ()),
        &["source tokens are kept there and not here", "another place"],
    );
    let _ = set.name();
    Ok(())
}
