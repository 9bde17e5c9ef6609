//! Results know what they were made of, and two that do not belong together are refused, both named.

mod common;

use candle_core::{DType, Device, Tensor};
use common::CACHE;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use vitrepl_prelude::align::{AlignedContributions, Aligner, Alignment};
use vitrepl_prelude::data::DataSet;
use vitrepl_prelude::identity::{ModelId, Prompts, Vectors};
use vitrepl_prelude::prelude::*;
use vitrepl_prelude::score::{Labelled, MitigateOptions, ProbeOptions};

fn model(name: &str) -> Arc<Model> {
    LazyLock::force(&CACHE);
    load(name).unwrap()
}

fn images(seed: u64) -> GeneratedSet {
    GeneratedSet::new(GeneratedSpec::unbiased(seed, 24)).unwrap()
}

fn contributions(name: &str, seed: u64) -> Arc<Contributions> {
    decompose(model(name), images(seed), &DecomposeOptions::default()).unwrap()
}

fn alignment(name: &str) -> Arc<Alignment> {
    let clip = model("tiny_clip");
    align(
        model(name),
        &clip,
        images(1),
        &DecomposeOptions::default(),
        &FitOptions::default(),
    )
    .unwrap()
}

fn aligned(name: &str, seed: u64) -> AlignedContributions {
    alignment(name).apply(&contributions(name, seed)).unwrap()
}

fn texts(names: &[&str]) -> Arc<TextEmbeddings> {
    class_embeddings(model("tiny_clip"), names).unwrap()
}

/// The message of an error, which must contain each of `parts` and no more than it should.
#[track_caller]
fn refused<T>(result: Result<T>, parts: &[&str]) -> String {
    let text = common::refused(result, parts);
    assert!(
        !text.contains("backtrace") && !text.starts_with("tensor:"),
        "{text}"
    );
    text
}

fn zoo(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::read(folder.join(format!("zoo/{name}.safetensors"))).unwrap()
}

/// A CLIP of the widths of `tiny_clip` whose weights differ in one number, with the tokenizer that `edit` makes of the
/// embedded one.
fn other_clip(folder: &Path, change: bool, edit: impl Fn(String) -> String) -> Arc<Model> {
    let mut weights = zoo("tiny_clip");
    if change {
        let last = weights.len() - 2;
        weights[last] ^= 0x40;
    }
    std::fs::write(folder.join("model.safetensors"), weights).unwrap();
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tokenizer = std::fs::read_to_string(crate_folder.join("src/data/tokenizer.json")).unwrap();
    std::fs::write(folder.join("tokenizer.json"), edit(tokenizer)).unwrap();
    load_clip(folder.to_str().unwrap()).unwrap()
}

#[test]
fn an_aligner_of_one_model_does_not_map_anothers_components() {
    let vit = alignment("tiny_vit");
    // The two have as many components of the same names and widths.
    let (a, b) = (
        contributions("tiny_vit", 1),
        contributions("tiny_dinov2", 1),
    );
    assert_eq!(a.names(), b.names());
    assert_eq!(a.values().dims(), b.values().dims());
    let text = refused(
        vit.apply(&b),
        &[
            "the aligner of tiny_vit",
            "contributions of tiny_dinov2",
            "weights",
            "align(",
        ],
    );
    let hash = model("tiny_dinov2").hash()[..8].to_string();
    assert!(text.contains(&hash), "{text}");
    // Of other images it does.
    let applied = vit.apply(&contributions("tiny_vit", 2)).unwrap();
    let origin = applied.origin().unwrap();
    assert_eq!(origin.model.name, "tiny_vit");
    assert_eq!(origin.images.key, images(2).key());
    assert_eq!(origin.images.names[3], "2:3");
    assert_eq!(applied.clip().unwrap().name, "tiny_clip");
}

#[test]
fn other_options_make_other_components() {
    let vit = alignment("tiny_vit");
    let with =
        |options: DecomposeOptions| decompose(model("tiny_vit"), images(1), &options).unwrap();
    for (options, name) in [
        (
            DecomposeOptions {
                granularity: Granularity::Layers,
                ..DecomposeOptions::default()
            },
            "granularity: Heads and Layers",
        ),
        (
            DecomposeOptions {
                first_block: Some(Block::at(2)),
                ..DecomposeOptions::default()
            },
            "first block: the first and block 2",
        ),
    ] {
        refused(
            vit.apply(&with(options)),
            &["tiny_vit", "options differ", name],
        );
    }
    // The same number of components of the same names, with other constants in them.
    let default = DecomposeOptions::default().sharing;
    let sharing = match default {
        Sharing::Equal => Sharing::Own,
        Sharing::Own => Sharing::Equal,
    };
    let other = with(DecomposeOptions {
        sharing,
        ..DecomposeOptions::default()
    });
    refused(
        vit.apply(&other),
        &["sharing", &format!("{default:?}"), &format!("{sharing:?}")],
    );
    // Tokens stand beside the heads and do not change them.
    let tokens = with(DecomposeOptions {
        granularity: Granularity::Tokens,
        ..DecomposeOptions::default()
    });
    assert!(tokens.token_contributions().is_some());
    vit.apply(&tokens).unwrap();
}

#[test]
fn the_same_weights_by_another_name_are_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy.safetensors");
    std::fs::write(&path, zoo("tiny_vit")).unwrap();
    let copy = load(path.to_str().unwrap()).unwrap();
    assert_eq!(copy.hash(), model("tiny_vit").hash());
    let c = decompose(&copy, images(31), &DecomposeOptions::default()).unwrap();
    alignment("tiny_vit").apply(&c).unwrap();
    // At another size they see other pictures.
    let large = load_with(path.to_str().unwrap(), json!({"img_size": 64})).unwrap();
    let c = decompose(&large, images(31), &DecomposeOptions::default()).unwrap();
    refused(
        alignment("tiny_vit").apply(&c),
        &["tiny_vit", "copy.safetensors"],
    );
}

#[test]
fn a_file_whose_weights_have_changed_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let loaded = |weights: Vec<u8>| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(&path, weights).unwrap();
        let model = load(path.to_str().unwrap()).unwrap();
        decompose(&model, images(41), &DecomposeOptions::default()).unwrap()
    };
    let before = loaded(zoo("tiny_vit"));
    let mut weights = zoo("tiny_vit");
    let last = weights.len() - 2;
    weights[last] ^= 0x40;
    let after = loaded(weights);
    let means = before.means().unwrap();
    let name = before.names()[1].clone();
    assert!(before.ablate(&means, [&name]).is_ok());
    refused(
        after.ablate(&means, [&name]),
        &["model.safetensors had other weights at that time"],
    );
}

#[test]
fn texts_of_another_clip_of_the_same_width_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let other = other_clip(folder.path(), true, |same| same);
    let location = class_embeddings(&other, &["sea", "forest"]).unwrap();
    let aligned = aligned("tiny_vit", 1);
    assert_eq!(location.dims()[1], aligned.values().dims()[2]);
    let name = other.name();
    refused(
        aligned.score(&location),
        &["in the space of tiny_clip", name, "weights"],
    );
    let top = aligned
        .score(texts(&["sea", "forest"]))
        .unwrap()
        .top(2)
        .unwrap();
    refused(
        text_labels(&other, &aligned, &top, &["sea", "forest"], 1),
        &["tiny_clip", name],
    );
    refused(
        alignment("tiny_vit").pull_back("block 1 mlp", &location),
        &["tiny_clip", name],
    );
    // An aligner to the other CLIP maps to that one's space.
    let options = (DecomposeOptions::default(), FitOptions::default());
    let to_other = align(model("tiny_vit"), &other, images(1), &options.0, &options.1).unwrap();
    let there = to_other.apply(&contributions("tiny_vit", 1)).unwrap();
    there.score(&location).unwrap();
    refused(
        there
            .score(&location)
            .unwrap()
            .minus(&aligned.score(texts(&["sea"])).unwrap()),
        &["tiny_clip", name],
    );
}

#[test]
fn a_ranking_of_one_model_does_not_label_anothers_components() {
    let clip = model("tiny_clip");
    let (vit, dinov2) = (aligned("tiny_vit", 1), aligned("tiny_dinov2", 1));
    let location = texts(&["sea", "forest"]);
    let top = vit.score(&location).unwrap().top(3).unwrap();
    let names = ["sea", "forest", "circle"];
    assert!(text_labels(&clip, &vit, &top, &names, 2).is_ok());
    refused(
        text_labels(&clip, &dinov2, &top, &names, 2),
        &["the ranking of tiny_vit", "contributions of tiny_dinov2"],
    );
    // By hand: the names decide.
    let mut by_hand: Vec<_> = top.to_vec();
    assert!(text_labels(&clip, &dinov2, &by_hand.clone().into(), &names, 2).is_ok());
    by_hand[0].index += 1;
    refused(
        text_labels(&clip, &dinov2, &by_hand.into(), &names, 2),
        &["ranking", &top[0].name],
    );
}

#[test]
fn scores_are_subtracted_where_only_the_texts_differ() {
    let vit = aligned("tiny_vit", 1);
    let (location, shape) = (texts(&["sea", "forest"]), texts(&["circle", "square"]));
    let a = vit.score(&location).unwrap().named("location");
    let b = vit.score(&shape).unwrap().named("shape");
    let less = a.minus(&b).unwrap();
    assert_eq!(less.feature(), "location less shape");
    let name = less.names()[5].clone();
    let expected = a.get(&name).unwrap() - b.get(&name).unwrap();
    assert_eq!(less.get(&name).unwrap(), expected);
    assert_eq!(
        a.values(),
        score::variance_attributed(vit.values(), &location).unwrap()
    );

    let other_model = aligned("tiny_dinov2", 1).score(&shape).unwrap();
    refused(a.minus(&other_model), &["tiny_vit", "tiny_dinov2"]);
    let other_images = aligned("tiny_vit", 2).score(&shape).unwrap();
    refused(
        a.minus(&other_images),
        &["generated seed 1", "generated seed 2"],
    );
    let other_measure = vit
        .score_by(ScoreMeasure::VarianceExplained, &shape)
        .unwrap();
    refused(
        a.minus(&other_measure),
        &["variance attributed", "variance explained"],
    );
    refused(
        a.get("block 77 mlp"),
        &["block 77 mlp", "block 0 to 5 (head 0 to 5, mlp)"],
    );
}

#[test]
fn means_and_heads_of_another_model_switch_nothing_off() {
    let (vit, dinov2) = (
        contributions("tiny_vit", 1),
        contributions("tiny_dinov2", 1),
    );
    let means = vit.means().unwrap();
    // Means of other images are what ablation is for.
    let test = contributions("tiny_vit", 2);
    let one = test.ablate(&means, ["block 3 mlp"]).unwrap();
    assert_eq!(one.dims(), test.representation().dims());
    let index = test
        .names()
        .iter()
        .position(|n| n == "block 3 mlp")
        .unwrap();
    let plain = score::ablate(test.values(), &means, &[index]).unwrap();
    let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(values(&one), values(&plain));
    refused(
        dinov2.ablate(&means, ["block 3 mlp"]),
        &["contributions of tiny_dinov2", "the means of tiny_vit"],
    );

    let labels: Vec<usize> = (0..24).map(|i| i % 2).collect();
    let probe = |name: &str| {
        let embeddings = embed_images(model(name), images(1)).unwrap();
        let (head, _) =
            score::fit_probe(&embeddings, &labels, 2, &ProbeOptions::default()).unwrap();
        assert!(head.accuracy(&embeddings, &labels).unwrap() > 0.5);
        head
    };
    let (head, other) = (probe("tiny_vit"), probe("tiny_dinov2"));
    assert!(test.ablation(&means, &head).is_ok());
    refused(
        test.ablation(&means, &other),
        &["representation of tiny_dinov2", "contributions of tiny_vit"],
    );
    let embeddings = embed_images(model("tiny_vit"), images(2)).unwrap();
    assert!(head.predict(&embeddings).is_ok());
    refused(
        other.predict(&embeddings),
        &[
            "representation of tiny_dinov2",
            "representations of tiny_vit",
        ],
    );
    // A plain tensor is checked by its width.
    assert!(other.predict(embeddings.tensor()).is_ok());
    // A zero-shot head reads its CLIP's representation.
    let clip = contributions("tiny_clip", 1);
    let zero_shot = score::zero_shot(&texts(&["circle", "square"])).unwrap();
    assert!(clip.ablation(&clip.means().unwrap(), &zero_shot).is_ok());
    refused(
        test.ablation(&means, &zero_shot),
        &["tiny_clip", "tiny_vit"],
    );

    let scores = aligned("tiny_vit", 1)
        .score(texts(&["sea", "forest"]))
        .unwrap();
    let groups = [0usize; 24];
    let mitigate = |scores: &Scores, means: &ComponentMeans, head, test: &Contributions| {
        let split = Labelled {
            contributions: test,
            labels: &labels,
            groups: &groups,
        };
        let names = ["all".to_string()];
        scores.mitigate(
            &names,
            means,
            head,
            split,
            split,
            &MitigateOptions::default(),
        )
    };
    assert!(mitigate(&scores, &means, &head, &test).is_ok());
    let others = dinov2.means().unwrap();
    refused(
        mitigate(&scores, &others, &head, &test),
        &["tiny_vit", "tiny_dinov2"],
    );
    refused(
        mitigate(&scores, &means, &other, &test),
        &["tiny_vit", "tiny_dinov2"],
    );
    refused(
        mitigate(&scores, &means, &head, &dinov2),
        &["tiny_vit", "tiny_dinov2"],
    );
}

#[test]
fn an_aligner_is_fitted_to_targets_of_the_same_images() {
    let clip = model("tiny_clip");
    let c = contributions("tiny_vit", 1);
    let fit = |set: &dyn DataSet| {
        let targets = embed_images(&clip, set).unwrap();
        Alignment::fit(&c, &targets, &FitOptions::default())
    };
    refused(
        fit(&images(2)),
        &[
            "contributions of generated seed 1",
            "targets of generated seed 2",
        ],
    );
    // The same images in another order are other images.
    refused(
        fit(&images(1).shuffled(3).unwrap()),
        &["generated seed 1", "shuffled by 3"],
    );
    let origin = fit(&images(1)).unwrap().aligner.origin().unwrap().clone();
    assert_eq!(origin.source.unwrap().model.name, "tiny_vit");
    assert_eq!(origin.clip.unwrap().name, "tiny_clip");
    assert_eq!(origin.components, c.components());
}

#[test]
fn batches_of_one_decomposition_are_joined() {
    let (a, b) = (contributions("tiny_vit", 1), contributions("tiny_vit", 2));
    let both = Contributions::concat(&[(*a).clone(), (*b).clone()]).unwrap();
    let names = both.image_names().unwrap();
    assert_eq!((both.images(), names.len()), (48, 48));
    assert_eq!([&names[0], &names[24]], ["1:0", "2:0"]);
    let origin = both.origin().unwrap();
    assert_eq!(origin.images.set, "generated seed 1 and generated seed 2");
    assert_ne!(origin.images.key, a.origin().unwrap().images.key);
    alignment("tiny_vit").apply(&both).unwrap();
    let other = contributions("tiny_dinov2", 1);
    refused(
        Contributions::concat(&[(*a).clone(), (*other).clone()]),
        &["tiny_vit", "tiny_dinov2"],
    );
    let tokens = DecomposeOptions {
        granularity: Granularity::Tokens,
        ..DecomposeOptions::default()
    };
    let tokens = decompose(model("tiny_vit"), images(1), &tokens).unwrap();
    refused(
        Contributions::concat(&[(*a).clone(), (*tokens).clone()]),
        &["source tokens", "Granularity::Tokens"],
    );
}

#[test]
fn images_have_the_names_of_their_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let folder_set = FolderSet::open(folder.join("pictures/pillow"), OnUnreadable::Fail).unwrap();
    assert_eq!(folder_set.image_name(0), "alpha.png.png");
    let tar = TarSet::open(folder.join("shards/samples"), OnUnreadable::Fail).unwrap();
    assert!(
        tar.image_name(4).starts_with("samples-000001.tar/"),
        "{}",
        tar.image_name(4)
    );
    let shards = folder.join("shards/hub");
    let parquet = ParquetSet::open(shards, OnUnreadable::Fail).unwrap();
    let last = parquet.image_name(parquet.len() - 1);
    assert!(
        last.starts_with("hub-00001-of-00002.parquet, row "),
        "{last}"
    );
    let names: Vec<_> = (0..parquet.len()).map(|i| parquet.image_name(i)).collect();
    let mut distinct = names.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), names.len(), "{names:?}");
    let part = parquet.subset(&[2, 0]).unwrap();
    assert_eq!(part.image_name(0), names[2]);
    assert_eq!(Arc::new(part).image_name(1), names[0]);
    let c = decompose(model("tiny_vit"), &folder_set, &DecomposeOptions::default()).unwrap();
    assert_eq!(c.image_names().unwrap()[0], "alpha.png.png");
    assert_eq!(c.image_names().unwrap().len(), folder_set.len());
}

#[test]
fn values_put_together_by_hand_are_checked_by_shape_and_names() {
    let c = contributions("tiny_vit", 1);
    let by_hand = |components: Vec<Component>| {
        let values = c.values().narrow(0, 0, components.len()).unwrap();
        let z = c.representation().clone();
        Contributions::new(components, values, z, None).unwrap()
    };
    let same = by_hand(c.components().to_vec());
    assert!(same.origin().is_none());
    let applied = alignment("tiny_vit").apply(&same).unwrap();
    assert!(applied.origin().is_none() && applied.clip().is_some());
    let mut swapped = c.components().to_vec();
    swapped.swap(3, 4);
    refused(
        alignment("tiny_vit").apply(&by_hand(swapped)),
        &[
            "unknown origin",
            "component 3",
            &c.names()[3],
            &c.names()[4],
        ],
    );
    let fewer = by_hand(c.components()[..5].to_vec());
    refused(
        alignment("tiny_vit").apply(&fewer),
        &["43 and 5 components"],
    );
    // An aligner on plain tensors knows neither model nor names.
    let plain = Aligner::load(saved(&Aligner::identity()), &Device::Cpu).unwrap();
    assert!(plain.origin().is_none());
    // Directions from elsewhere are checked by their width.
    let directions = |width| {
        let t = Tensor::randn(0f32, 1., (2, width), &Device::Cpu).unwrap();
        TextEmbeddings::new(&["a", "b"], t).unwrap()
    };
    assert!(aligned("tiny_vit", 1).score(directions(64)).is_ok());
    refused(
        aligned("tiny_vit", 1).score(directions(96)),
        &["96 channels", "64 channels"],
    );
    let t = Tensor::zeros((3, 4), DType::F32, &Device::Cpu).unwrap();
    refused(TextEmbeddings::new(&["a", "b"], t), &["texts = 2", "3"]);
    let origin = c.origin().unwrap().clone();
    let two = c.values().narrow(1, 0, 2).unwrap();
    let z = c.representation().narrow(0, 0, 2).unwrap();
    let two = Contributions::new(c.components().to_vec(), two, z, None).unwrap();
    refused(two.with_origin(origin), &["images = 2", "24"]);
}

fn saved(aligner: &Aligner) -> PathBuf {
    let path = CACHE.path().join("by hand.safetensors");
    aligner.save(&path).unwrap();
    path
}

#[test]
fn what_is_saved_and_opened_again_still_refuses_what_is_not_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("aligner.safetensors");
    let alignment = alignment("tiny_vit");
    alignment.save(&path).unwrap();
    let opened = Alignment::load(&path, &Device::Cpu).unwrap();
    assert_eq!(opened.aligner.origin(), alignment.aligner.origin());
    assert_eq!(opened.report, alignment.report);
    let names = &opened
        .aligner
        .origin()
        .unwrap()
        .source
        .as_ref()
        .unwrap()
        .images
        .names;
    assert_eq!(names[23], "1:23");
    refused(
        opened.apply(&contributions("tiny_dinov2", 1)),
        &["the aligner of tiny_vit", "tiny_dinov2"],
    );
    let aligned = opened.apply(&contributions("tiny_vit", 1)).unwrap();
    let location = texts(&["sea", "forest"]);
    let scores = aligned.score(&location).unwrap().named("location");
    // The maps alone know it too.
    let aligner = Aligner::load(&path, &Device::Cpu).unwrap();
    assert_eq!(aligner.origin(), alignment.aligner.origin());

    let path = folder.path().join("scores.safetensors");
    scores.save(&path).unwrap();
    let again = Scores::open(&path).unwrap();
    assert!(again == scores, "to the last digit: {again} {scores}");
    let other = self::aligned("tiny_dinov2", 1).score(&location).unwrap();
    refused(again.minus(&other), &["tiny_vit", "tiny_dinov2"]);
    let csv = folder.path().join("scores.csv");
    scores.save(&csv).unwrap();
    let text = std::fs::read_to_string(&csv).unwrap();
    let first = text.lines().nth(1).unwrap();
    let hash = model("tiny_vit").hash().to_string();
    for part in [
        "init",
        "location",
        "tiny_vit",
        "tiny_clip",
        "generated seed 1",
        &hash,
    ] {
        assert!(first.contains(part), "{part} in {first}");
    }
    let value: f64 = first.split(',').nth(1).unwrap().parse().unwrap();
    assert_eq!(value, scores.values()[0]);
    refused(
        Scores::open(&csv),
        &["scores.csv", "scores.save(\"scores.safetensors\")"],
    );
    refused(
        scores.save(folder.path().join("scores.txt")),
        &[".safetensors", ".csv", "txt"],
    );
    refused(
        Scores::open(folder.path().join("none.safetensors")),
        &["check the path"],
    );
    // One kind is not taken for the other.
    refused(
        Aligner::load(&path, &Device::Cpu),
        &["holds \"scores\", not \"aligner\""],
    );
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    refused(Scores::open(&path), &["scores.safetensors", "checksum"]);
}

/// The file at `path` with the description that `edit` makes of its own, under a right checksum.
fn redescribed(path: &Path, edit: impl Fn(&mut serde_json::Value)) {
    let bytes = std::fs::read(path).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let header = header.metadata().clone().unwrap();
    let mut description = serde_json::from_str(&header["vitrepl"]).unwrap();
    edit(&mut description);
    let description = description.to_string();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut views = file.tensors();
    views.sort_by(|a, b| a.0.cmp(&b.0));
    let mut hasher = blake3::Hasher::new();
    hasher.update(description.as_bytes());
    for (name, view) in &views {
        hasher.update(format!("\0{name}\0{:?}\0", view.shape()).as_bytes());
        hasher.update(view.data());
    }
    let header = std::collections::HashMap::from([
        ("vitrepl".to_string(), description),
        ("blake3".to_string(), hasher.finalize().to_hex().to_string()),
    ]);
    let bytes = safetensors::serialize(views, Some(header)).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_file_of_another_format_is_named_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("aligner.safetensors");
    alignment("tiny_vit").save(&path).unwrap();
    // As it was written before there were format numbers.
    redescribed(&path, |d| {
        *d = json!({"kind": "aligner", "components": 43, "width": 96, "target": 64});
    });
    refused(
        Alignment::load(&path, &Device::Cpu),
        &[
            "aligner.safetensors",
            "format 1",
            "reads 2",
            "fit it again",
            "align(",
        ],
    );
    redescribed(&path, |d| *d = json!({"kind": "aligner", "format": 99}));
    refused(Aligner::load(&path, &Device::Cpu), &["format 99"]);
    redescribed(
        &path,
        |d| *d = json!({"kind": "aligner", "format": 2, "label": "", "shape": "large"}),
    );
    refused(
        Aligner::load(&path, &Device::Cpu),
        &["aligner.safetensors", "description"],
    );
}

#[test]
fn directions_of_another_width_are_named_in_plain_words() {
    let options = DecomposeOptions {
        granularity: Granularity::Tokens,
        ..DecomposeOptions::default()
    };
    let c = decompose(model("tiny_vit"), images(1), &options).unwrap();
    let location = texts(&["sea", "forest"]);
    let tokens = c.tokens("block 5 head 3").unwrap();
    let remedy = "alignment.apply(&c)?.tokens(\"block 5 head 3\")?.along(&texts)?";
    refused(
        tokens.along(location.tensor()),
        &["directions = [2, 64]", "k x 96", remedy],
    );
    // Of the same width, as those of ViT-B/16 and of CLIP L/14 are, they are told apart by their model.
    let (other, widths) = (embed_images(model("tiny_dinov2"), images(1)).unwrap(), 96);
    assert_eq!(other.dims()[1], widths);
    for directions in [&other as &dyn Vectors, &location] {
        refused(
            tokens.along(directions),
            &["the tokens of tiny_vit", "directions of tiny_", remedy],
        );
    }
    let clip = decompose(model("tiny_clip"), images(1), &options).unwrap();
    assert!(
        clip.tokens("block 5 head 3")
            .unwrap()
            .along(&location)
            .is_ok()
    );
    // Directions of another type are taken, those that are no numbers are not.
    let plain = Tensor::ones((2, widths), DType::F64, &Device::Cpu).unwrap();
    assert!(tokens.along(&plain).is_ok());
    refused(
        tokens.along(&(plain * f64::NAN).unwrap()),
        &["directions", "NaN"],
    );
    // The remedy: what tokens give along the texts sums to what the head gives, but for the bias.
    let alignment = alignment("tiny_vit");
    assert_eq!(
        alignment
            .pull_back("block 5 head 3", &location)
            .unwrap()
            .dims(),
        [2, 96]
    );
    let tokens = alignment
        .apply(&c)
        .unwrap()
        .tokens("block 5 head 3")
        .unwrap();
    let along = tokens.along(&location).unwrap();
    let along = along.values().sum(1).unwrap().to_vec2::<f32>().unwrap();
    let aligned = alignment.apply(&c).unwrap().get("block 5 head 3").unwrap();
    let share = (alignment.aligner.bias().unwrap() / c.len() as f64).unwrap();
    let expected = aligned.broadcast_sub(&share).unwrap();
    let expected = expected.matmul(&location.t().unwrap()).unwrap();
    for (a, b) in along
        .iter()
        .flatten()
        .zip(expected.to_vec2::<f32>().unwrap().iter().flatten())
    {
        assert!((a - b).abs() < 1e-4, "{a} {b}");
    }
    refused(
        alignment.pull_back("block 9 head 3", &location),
        &["block 9 head 3", "block 0 to 5 (head 0 to 5, mlp)"],
    );
    refused(
        alignment.aligner.pull_back(43, &location),
        &["component = 43", "below 43"],
    );
    let wide = Tensor::zeros((1, 96), DType::F32, &Device::Cpu).unwrap();
    refused(
        alignment.aligner.pull_back(0, &wide),
        &["96 channels", "64 channels"],
    );
}

#[test]
fn every_measure_scores_aligned_contributions() {
    let c = decompose(model("tiny_vit"), images(1), &DecomposeOptions::default()).unwrap();
    let aligned = alignment("tiny_vit").apply(&c).unwrap();
    let clip = model("tiny_clip");
    let (forward, back) = (
        class_embeddings(&clip, &["sea", "forest", "snow"]).unwrap(),
        class_embeddings(&clip, &["snow", "forest", "sea"]).unwrap(),
    );
    let measure = ScoreMeasure::CorrelationAttributed;
    let scores = aligned.score_by(measure, &forward).unwrap();
    let plain = score::correlation_attributed(aligned.values(), &forward).unwrap();
    assert_eq!(scores.values(), plain);
    let turned = aligned.score_by(measure, &back).unwrap();
    for (a, b) in scores.values().iter().zip(turned.values()) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
    // The paper's measure depends on the order of the texts.
    let (a, b) = (
        aligned.score(&forward).unwrap(),
        aligned.score(&back).unwrap(),
    );
    let pairs = || a.values().iter().zip(b.values());
    assert!(pairs().any(|(a, b)| (a - b).abs() > 1e-3));
    refused(
        scores.minus(&a),
        &["correlation attributed", "variance attributed"],
    );
}

#[test]
fn texts_are_joined_unambiguously() {
    let clip = model("tiny_clip");
    for names in [
        &["sea\nforest"][..],
        &["sea", "forest"],
        &["sea forest", "meadow"],
        &["sea", "forest meadow"],
    ] {
        let (classes, plain) = (
            class_embeddings(&clip, names).unwrap(),
            embed_texts(&clip, names).unwrap(),
        );
        assert_eq!([classes.dims()[0], plain.dims()[0]], [names.len(); 2]);
        assert_eq!(plain.texts(), names);
        assert_eq!(plain.origin().unwrap().prompts, Prompts::Plain);
        assert_eq!(classes.origin().unwrap().prompts, Prompts::Templates);
    }
    let none: [&str; 0] = [];
    refused(embed_texts(&clip, &none), &["texts = []", "at least one"]);
    refused(
        class_embeddings(&clip, &none),
        &["texts = []", "at least one"],
    );
}

#[test]
fn another_tokenizer_makes_other_embeddings() {
    let folder = tempfile::tempdir().unwrap();
    let other = other_clip(folder.path(), false, |json| {
        json.replace("\"circle\":", "\"was circle\":")
            .replace("\"square\":", "\"circle\":")
            .replace("\"was circle\":", "\"square\":")
    });
    let clip = model("tiny_clip");
    assert_eq!(other.hash(), clip.hash());
    let (a, b) = (
        embed_texts(&clip, &["circle"]).unwrap(),
        embed_texts(&other, &["circle"]).unwrap(),
    );
    let difference = (a.tensor() - b.tensor()).unwrap().abs().unwrap();
    assert!(difference.max_all().unwrap().to_scalar::<f32>().unwrap() > 1e-3);
    assert_ne!(a.origin(), b.origin());
    // Two features of which one was embedded by another tokenizer are not compared.
    let aligned = aligned("tiny_vit", 1);
    refused(
        aligned
            .score(&a)
            .unwrap()
            .minus(&aligned.score(&b).unwrap()),
        &["two tokenizers"],
    );
}

#[test]
fn values_show_what_they_are() {
    let c = contributions("tiny_vit", 1);
    let aligned = aligned("tiny_vit", 1);
    let location = texts(&["sea", "forest"]);
    for (shown, parts) in [
        (
            format!("{c:?}"),
            ["43 components", "tiny_vit", "generated seed 1"],
        ),
        (
            format!("{aligned:?}"),
            ["tiny_clip", "tiny_vit", "24 images"],
        ),
        (
            format!("{location:?}"),
            ["2 text embeddings", "tiny_clip", "sea, forest"],
        ),
        (
            format!("{:?}", c.means().unwrap()),
            ["43", "tiny_vit", "generated seed 1"],
        ),
        (
            format!("{:?}", aligned.score(&location).unwrap()),
            ["variance attributed", "sea, forest", "tiny_vit"],
        ),
        (
            format!("{:?}", embed_images(model("tiny_vit"), images(1)).unwrap()),
            ["tiny_vit", "width 96", "24 images"],
        ),
        (
            format!("{:?}", alignment("tiny_vit")),
            ["held-out cosine", "steps", "images"],
        ),
    ] {
        let short = shown.lines().all(|line| line.chars().count() <= 200);
        assert!(short && !shown.contains("Tensor"), "{shown}");
        parts
            .iter()
            .for_each(|part| assert!(shown.contains(part), "{part} in {shown}"));
    }
    let scores = aligned.score(&location).unwrap();
    assert!(scores.table().to_string().contains("block 5 head 3"));
    assert_eq!(ModelId::of(&model("tiny_vit")), c.origin().unwrap().model);
}

#[test]
fn the_study_comes_to_what_the_plain_functions_do() {
    let clip = model("tiny_clip");
    let vit = model("tiny_vit");
    let data = StudyData::generated(&GeneratedSplits {
        reference: 60,
        train: 80,
        validation: 60,
        test: 60,
        ..GeneratedSplits::default()
    });
    let setting = StudySettings {
        align_epochs: 1,
        ..StudySettings::default()
    };
    let study = Study::new(&clip, data.unwrap(), setting.clone()).unwrap();
    let result = study.run(&vit, Classifier::Probe).unwrap();
    let reference = decompose(&vit, study.reference(), &setting.decompose).unwrap();
    let alignment = study.align(&vit).unwrap();
    let plain = alignment.aligner.apply(reference.values()).unwrap();
    let score = |factor: Factor| {
        let texts = class_embeddings(&clip, factor.names()).unwrap();
        score::variance_attributed(&plain, &texts).unwrap()
    };
    let (spurious, core) = (score(Factor::Location), score(Factor::Shape));
    let order = score::difference(&reference.names(), &spurious, &core).unwrap();
    assert_eq!(result.mitigation.order, order);
    for (i, scored) in result.scores.iter().enumerate() {
        assert_eq!((scored.spurious, scored.core), (spurious[i], core[i]));
        assert_eq!(scored.name, reference.names()[i]);
    }
    assert_eq!(result.mitigation.before.groups.len(), 4);
    let zero_shot = study.run(&clip, Classifier::ZeroShot).unwrap();
    assert_eq!(zero_shot.cosine, None);
    refused(study.zero_shot(&vit), &["tiny_vit", "Classifier::Probe"]);
}
