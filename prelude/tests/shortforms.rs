//! What a person types most: components by name and pattern, images by number, one picture as a set, classes of images;
//! and what is said where a short form does not fit.

mod common;

use candle_core::Tensor;
use common::{CACHE, refused};
use std::sync::LazyLock;
use vitrepl_prelude::align::{AlignedContributions, Alignment};
use vitrepl_prelude::data::DataSet;
use vitrepl_prelude::prelude::*;

fn model(name: &str) -> Arc<Model> {
    LazyLock::force(&CACHE);
    load(name).unwrap()
}

fn images() -> GeneratedSet {
    GeneratedSet::new(GeneratedSpec::unbiased(1, 24)).unwrap()
}

fn contributions(name: &str) -> Arc<Contributions> {
    decompose(model(name), images(), &DecomposeOptions::default()).unwrap()
}

fn alignment() -> Arc<Alignment> {
    let (vit, clip) = (model("tiny_vit"), model("tiny_clip"));
    let fit = FitOptions::default();
    align(&vit, &clip, images(), &DecomposeOptions::default(), &fit).unwrap()
}

fn aligned() -> AlignedContributions {
    alignment().apply(&contributions("tiny_vit")).unwrap()
}

fn location() -> Arc<TextEmbeddings> {
    class_embeddings(model("tiny_clip"), Factor::Location.names()).unwrap()
}

fn same(a: &Tensor, b: &Tensor) -> bool {
    a.dims() == b.dims() && far(a, b) == 0.0
}

fn far(a: &Tensor, b: &Tensor) -> f32 {
    let apart = (a - b).unwrap().abs().unwrap().max_all().unwrap();
    apart.to_scalar::<f32>().unwrap()
}

#[test]
fn heads_and_mlps_by_number_and_by_name() {
    let c = contributions("tiny_vit");
    let head = c.get("block 5 head 3").unwrap();
    assert!(same(&c.head(5, 3).unwrap(), &head));
    assert!(same(&c.mlp(5).unwrap(), &c.get("block 5 mlp").unwrap()));
    assert!(same(
        &aligned().head(5, 3).unwrap(),
        &aligned().get("block 5 head 3").unwrap()
    ));
    let scores = aligned().score(location()).unwrap();
    assert_eq!(
        scores.head(5, 3).unwrap(),
        scores.get("block 5 head 3").unwrap()
    );
    assert_eq!(scores.mlp(5).unwrap(), scores.get("block 5 mlp").unwrap());
    // A model with stages: stage and block.
    let swin = contributions("tiny_swin");
    let name = swin.names().into_iter().find(|n| n.contains("stage 1"));
    assert_eq!(name.unwrap(), "stage 1 block 0 head 0");
    let head = swin.get("stage 1 block 0 head 0").unwrap();
    assert!(same(&swin.head((1, 0), 0).unwrap(), &head));
    assert!(same(&swin.head(Block::in_stage(1, 0), 0).unwrap(), &head));
    assert!(swin.mlp((1, 0)).is_ok());
}

#[test]
fn an_unknown_component_is_named_with_the_nearest_and_what_there_is() {
    let c = contributions("tiny_vit");
    let there = "init, block 0 to 5 (head 0 to 5, mlp)";
    refused(c.head(5, 6), &["block 5 head 6", "nearest", there]);
    refused(c.get("blok 5 head 3"), &["\"block 5 head 3\"", there]);
    refused(
        c.get("block 5"),
        &["\"block 5\"", "select(\"block 5 *\")? takes 7 components"],
    );
    // The remedy works.
    assert_eq!(c.select("block 5 *").unwrap().len(), 7);
    refused(c.select("block 55 *"), &["block 55 *", "fits", there]);
    refused(c.select(["init", "head 9"]), &["head 9", there]);
    let swin = contributions("tiny_swin");
    let text = refused(swin.head(1, 0), &["block 1 head 0", "stage"]);
    assert!(text.len() < 500, "{text}");
    refused(swin.select("block 0 *"), &["select(\"* block 0 *\")?"]);
    refused(aligned().select("block 55 *"), &["block 55 *", there]);
    refused(
        aligned().score(location()).unwrap().select("x"),
        &["\"x\"", there],
    );
}

#[test]
fn patterns_choose_components_in_the_models_order() {
    let c = contributions("tiny_vit");
    let chosen = c.select(["block 5 *", "init", "block 5 head 3"]).unwrap();
    assert_eq!(chosen.len(), 8);
    assert_eq!(chosen.names()[0], "init");
    assert_eq!(chosen.names()[4], "block 5 head 3");
    assert_eq!(chosen.part_of(), Some(43));
    assert!(same(&chosen.head(5, 3).unwrap(), &c.head(5, 3).unwrap()));
    assert_eq!(c.select("* mlp").unwrap().len(), 6);
    assert_eq!(c.select("*").unwrap().part_of(), None);
    // A part of a part is a part of the whole.
    let less = chosen.select("* head *").unwrap();
    assert_eq!((less.len(), less.part_of()), (6, Some(43)));
    assert!(format!("{less}").contains("6 of 43 components"));
}

#[test]
fn what_takes_all_components_refuses_a_part() {
    let c = contributions("tiny_vit");
    let part = c.select("block 5 *").unwrap();
    let parts = &["7 of 43", "all 43 components"];
    refused(part.sum_error(), parts);
    refused(part.by_layer(), parts);
    refused(alignment().apply(&part), parts);
    refused(part.ablate(&part.means().unwrap(), "block 5 mlp"), parts);
    refused(part.ablate(&c.means().unwrap(), "block 5 mlp"), parts);
    let some = aligned().select("block 5 *").unwrap();
    let text = refused(some.score(location()), parts);
    assert!(
        text.contains("aligned.score(&texts)?.select(..)?"),
        "{text}"
    );
    refused(some.by_layer(), parts);
    // Parts of the same components can be joined and summed.
    let twice = Contributions::concat(&[part.clone(), part.clone()]).unwrap();
    assert_eq!((twice.images(), twice.part_of()), (48, Some(43)));
    let sum = part.sum().unwrap();
    assert!(far(&sum, &part.values().sum(0).unwrap()) == 0.0);
    assert!(far(&c.sum().unwrap(), c.representation()) < 1e-4);
}

#[test]
fn components_are_switched_off_by_names_patterns_and_rankings() {
    let c = contributions("tiny_vit");
    let means = c.means().unwrap();
    let each: Vec<String> = c
        .names()
        .into_iter()
        .filter(|n| n.starts_with("block 4 ") || n == "block 5 head 3")
        .collect();
    assert_eq!(each.len(), 8);
    let by_name = c.ablate(&means, &each).unwrap();
    let by_pattern = c.ablate(&means, ["block 4 *", "block 5 head 3"]).unwrap();
    assert!(same(&by_name, &by_pattern));
    assert!(far(&by_name, c.representation()) > 1e-3);
    let top = aligned().score(location()).unwrap().top(3).unwrap();
    let names: Vec<&str> = top.iter().map(|r| r.name.as_str()).collect();
    assert!(same(
        &c.ablate(&means, &top).unwrap(),
        &c.ablate(&means, &names).unwrap()
    ));
    // A ranking of another model's components of the same names.
    let dinov2 = contributions("tiny_dinov2");
    refused(
        dinov2.ablate(&dinov2.means().unwrap(), &top),
        &["ranking of tiny_vit", "contributions of tiny_dinov2"],
    );
}

#[test]
fn images_by_number() {
    let c = contributions("tiny_vit");
    let one = c.image(7).unwrap();
    assert_eq!(one.values().dims(), [43, 1, 96]);
    assert_eq!(one.image_names().unwrap(), ["1:7"]);
    let ten = c.select_images(0..10).unwrap();
    assert!(same(ten.values(), &c.values().narrow(1, 0, 10).unwrap()));
    assert!(ten.sum_error().unwrap() < 1e-5);
    // They are those of the data set's own part.
    let first = images().first(10).unwrap();
    let own = decompose(model("tiny_vit"), &first, &DecomposeOptions::default()).unwrap();
    assert_eq!(
        own.origin().unwrap().images.key,
        ten.origin().unwrap().images.key
    );
    assert!(far(ten.values(), own.values()) < 1e-4);
    let picked = c.select_images([5, 1]).unwrap();
    assert_eq!(picked.image_names().unwrap(), ["1:5", "1:1"]);
    assert!(same(
        &picked.get("init").unwrap().get(0).unwrap(),
        &c.get("init").unwrap().get(5).unwrap()
    ));
    refused(c.image(24), &["24", "0..24 takes all"]);
    refused(c.select_images(0..99), &["0..99", "0..24"]);
    let map = aligned();
    assert_eq!(map.image(7).unwrap().images(), 1);
    assert!(
        far(
            map.select_images(2..4).unwrap().values(),
            &map.values().narrow(1, 2, 2).unwrap()
        ) == 0.0
    );
}

#[test]
fn tokens_go_with_their_heads_and_images() {
    for name in ["tiny_vit", "tiny_swin"] {
        let options = DecomposeOptions {
            granularity: Granularity::Tokens,
            ..DecomposeOptions::default()
        };
        let c = decompose(model(name), images().first(5).unwrap(), &options).unwrap();
        let head = c
            .components()
            .iter()
            .copied()
            .find(|c| c.to_string().contains("head"));
        let head = head.unwrap();
        let picked = c.select_images([3, 1]).unwrap();
        let (all, some) = (
            c.token_contributions().unwrap().of(head).unwrap(),
            picked.token_contributions().unwrap().of(head).unwrap(),
        );
        assert!(same(&some.get(0).unwrap(), &all.get(3).unwrap()), "{name}");
        assert!(same(&some.get(1).unwrap(), &all.get(1).unwrap()), "{name}");
        let sum = some.sum(1).unwrap();
        assert!(far(&sum, &picked.of(head).unwrap()) < 1e-4, "{name}");
        let part = c.select(head.to_string()).unwrap();
        assert!(same(
            &part.token_contributions().unwrap().of(head).unwrap(),
            &all
        ));
        assert!(part.bytes() < c.bytes() / 2);
    }
}

#[test]
fn heads_are_summed_by_layer() {
    let c = contributions("tiny_vit");
    let layers = c.by_layer().unwrap();
    assert_eq!(layers.len(), 1 + 2 * 6);
    assert_eq!(layers.names()[1], "block 0 attn");
    let heads = c.select("block 5 head *").unwrap().sum().unwrap();
    assert!(far(&layers.get("block 5 attn").unwrap(), &heads) < 1e-5);
    assert!(layers.sum_error().unwrap() < 1e-5);
    // By the rule `own` this is the decomposition by layers, and goes with one.
    let own = |granularity| {
        let options = DecomposeOptions {
            granularity,
            sharing: Sharing::Own,
            ..DecomposeOptions::default()
        };
        decompose(model("tiny_vit"), images(), &options).unwrap()
    };
    let (heads, layers) = (own(Granularity::Heads), own(Granularity::Layers));
    let summed = heads.by_layer().unwrap();
    assert_eq!(summed.names(), layers.names());
    assert!(far(summed.values(), layers.values()) < 1e-4);
    let means = layers.means().unwrap();
    summed.ablate(&means, "block 5 attn").unwrap();
    // By the rule `equal` it is another decomposition, and is told from one by layers.
    let equal = decompose(
        model("tiny_vit"),
        images(),
        &DecomposeOptions {
            granularity: Granularity::Layers,
            ..DecomposeOptions::default()
        },
    );
    refused(
        c.by_layer()
            .unwrap()
            .ablate(&equal.unwrap().means().unwrap(), "* attn"),
        &["granularity"],
    );
    // Scores of layers are those of the sums; only a covariance is the sum of its heads'.
    let scores = aligned().score(location()).unwrap();
    refused(
        scores.by_layer(),
        &["variance attributed", "aligned.by_layer()?.score(&texts)?"],
    );
    assert_eq!(
        aligned()
            .by_layer()
            .unwrap()
            .score(location())
            .unwrap()
            .len(),
        13
    );
    let covariance = ScoreMeasure::CovarianceAttributed;
    let summed = aligned().score_by(covariance, location()).unwrap();
    let summed = summed.by_layer().unwrap();
    let scored = aligned().by_layer().unwrap();
    let scored = scored.score_by(covariance, location()).unwrap();
    for (a, b) in summed.values().iter().zip(scored.values()) {
        assert!((a - b).abs() < 1e-6 * (1.0 + a.abs()), "{a} {b}");
    }
}

#[test]
fn selected_scores_keep_their_places() {
    let scores = aligned().score(location()).unwrap();
    let mlps = scores.select("* mlp").unwrap();
    assert_eq!(mlps.len(), 6);
    for ranked in mlps.ranked().unwrap().iter() {
        assert_eq!(scores.names()[ranked.index], ranked.name);
    }
    // So the texts of a component are those of the component ranked.
    let top = mlps.top(1).unwrap();
    let texts = ["sea", "forest", "city"];
    text_labels(model("tiny_clip"), &aligned(), &top, &texts, 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mlps.safetensors");
    mlps.save(&path).unwrap();
    assert!(Scores::open(&path).unwrap() == mlps);
    refused(mlps.by_layer(), &["measure"]);
}

#[test]
fn sets_are_taken_as_they_are_and_stay_where_they_are() {
    let vit = model("tiny_vit");
    let images = images();
    let options = DecomposeOptions::default();
    decompose(
        load("tiny_vit").unwrap(),
        images.first(3).unwrap(),
        &options,
    )
    .unwrap();
    decompose(&vit, images.first(3).unwrap(), &options).unwrap();
    let shared: Arc<dyn DataSet> = Arc::new(images.clone());
    decompose(&vit, &shared, &options).unwrap();
    decompose(&vit, shared.first(3).unwrap(), &options).unwrap();
    decompose(&vit, Arc::clone(&shared), &options).unwrap();
    embed_images(&vit, &*shared).unwrap();
    // It was not given away.
    assert_eq!(images.split(1, &[0.5, 0.5]).unwrap()[0].len(), 12);
    assert_eq!(images.len(), 24);
}

#[test]
fn what_a_call_gives_is_taken_where_it_stands() -> Result<()> {
    LazyLock::force(&CACHE);
    let (images, options) = (images(), DecomposeOptions::default());
    let c = decompose(&load("tiny_vit")?, &images, &options)?;
    assert!(c.sum_error()? < 1e-5);
    assert!(Arc::ptr_eq(
        &c,
        &decompose(load("tiny_vit")?, &images, &options)?
    ));
    assert_eq!(embed_images(&load("tiny_vit")?, &images)?.dims(), [24, 96]);
    let fit = FitOptions::default();
    let alignment = align(
        &load("tiny_vit")?,
        &load_clip("tiny_clip")?,
        &images,
        &options,
        &fit,
    )?;
    let aligned = alignment.apply(&decompose(&load("tiny_vit")?, &images, &options)?)?;
    let colours = Factor::Colour.names();
    let scores = aligned.score(&class_embeddings(&load_clip("tiny_clip")?, colours)?)?;
    assert_eq!(scores.names().len(), 43);
    let head = score::zero_shot(&class_embeddings(&load_clip("tiny_clip")?, colours)?)?;
    assert_eq!(head.classes(), colours.len());
    assert_eq!(activation_names(&load("tiny_vit")?)?.len(), 90);
    Ok(())
}

#[test]
fn labels_are_what_scores_take() {
    let images = images();
    let clip = model("tiny_clip");
    let head = score::zero_shot(&class_embeddings(&clip, Factor::Colour.names()).unwrap());
    let head = head.unwrap();
    assert_eq!(head.names().unwrap(), Factor::Colour.names());
    let labels = images.labels("colour").unwrap();
    let embedded = embed_images(&clip, &images).unwrap();
    assert!(head.accuracy(&embedded, &labels.values).unwrap() > 0.9);
    assert_eq!(labels.values, images.values(Factor::Colour));
}

#[test]
fn one_picture_is_a_set_of_one() {
    let photo = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pictures/photo.jpg");
    let rocket = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pictures/rocket.png");
    let one = image(photo).unwrap();
    assert_eq!((one.name(), one.len()), ("photo.jpg", 1));
    assert_eq!(one.image_name(0), "photo.jpg");
    let c = decompose(
        model("tiny_vit"),
        image(photo).unwrap(),
        &DecomposeOptions::default(),
    )
    .unwrap();
    assert_eq!(c.images(), 1);
    let both = FolderSet::of_files([rocket, photo]).unwrap();
    assert_eq!(both.image_name(1), "photo.jpg");
    assert_eq!(both.name(), "rocket.png and 1 more");
    let pixels = both.pixels(&[1], 48.into()).unwrap();
    assert!(same(&pixels, &one.pixels(&[0], 48.into()).unwrap()));
    refused(image("cat.jpg"), &["cat.jpg", "check the path"]);
    let folder = tempfile::tempdir().unwrap();
    refused(image(folder.path()), &["folder", "FolderSet::open"]);
    let text = folder.path().join("text.txt");
    std::fs::write(&text, "x").unwrap();
    refused(image(&text), &["text.txt", "jpg"]);
    let broken = folder.path().join("broken.png");
    std::fs::write(&broken, "x").unwrap();
    refused(image(&broken), &["broken.png"]);
    refused(FolderSet::of_files(Vec::<&str>::new()), &["at least one"]);
}

#[test]
fn images_are_shown_with_their_labels() {
    let images = images();
    let grid = images.show(0..10).unwrap();
    let text = grid.to_string();
    let colour = &Factor::Colour.names()[images.values(Factor::Colour)[3]];
    let row = text.lines().find(|line| line.contains("3: ")).unwrap();
    assert!(row.contains(colour), "{text}");
    assert_eq!(text.matches("168 x 168").count(), 10, "{text}");
    assert!(grid.svg().unwrap().contains("<image"));
    // A part shows its own images.
    let part = images.subset(&[3, 5]).unwrap();
    let text = part.show(..).unwrap().to_string();
    assert!(text.contains(&format!("0: {}", row.trim().split_once(": ").unwrap().1)));
    let shared: Arc<dyn DataSet> = Arc::new(part);
    shared.show(1).unwrap();
    refused(images.show(0..30), &["0..30", "0..24 takes all"]);
    let many = GeneratedSet::new(GeneratedSpec::unbiased(1, 1 << 32)).unwrap();
    refused(many.show(0..101), &["101", "at most 100"]);
    // Labels of so large a set are not made for this.
    many.show(7..9).unwrap();
    let photo = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pictures/photo.jpg");
    assert!(
        image(photo)
            .unwrap()
            .show(0)
            .unwrap()
            .to_string()
            .contains("0: photo.jpg")
    );
}

#[test]
fn a_clip_classifies_by_texts_and_a_head_by_its_classes() {
    let clip = model("tiny_clip");
    let images = images();
    let found = clip.classify_by(&images, Factor::Colour.names()).unwrap();
    let right = found
        .evaluate(&images.labels("colour").unwrap().values)
        .unwrap();
    assert!(right.share() > 0.9, "{right}");
    assert_eq!(found.class_names(), Factor::Colour.names());
    let sums = found
        .probabilities()
        .sum(1)
        .unwrap()
        .to_vec1::<f32>()
        .unwrap();
    assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-5));
    let (class, p) = found.best(0, 1)[0].clone();
    assert_eq!(class, Factor::Colour.names()[found.classes()[0]]);
    assert!(p > 0.5, "{p}");
    let table = found.table(2).to_string();
    assert!(
        table.contains("1:23") && table.contains("class 2"),
        "{table}"
    );
    // The embedded models have no head of their own, and say what there is instead.
    refused(clip.classify(&images), &["tiny_clip", "classify_by"]);
    refused(model("tiny_vit").classify(&images), &["score::fit_probe"]);
    refused(model("tiny_vit").head(), &["tiny_vit", "none"]);
    refused(
        model("tiny_vit").classify_by(&images, &["a", "b"]),
        &["text tower"],
    );
}

#[test]
fn a_models_own_head_gives_its_classes() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/formats/timm_vit");
    let vit = load(folder).unwrap();
    let head = vit.head().unwrap();
    assert_eq!(head.reads().unwrap().weights, vit.hash());
    let found = vit.classify(images()).unwrap();
    assert_eq!(found.class_count(), head.classes());
    // The forward pass's own logits say the same.
    let pixels = images().pixels(&[0, 1, 2], vit.input()).unwrap();
    let encoder = vit.encoder();
    let pixels = encoder.normalisation().apply(&pixels).unwrap();
    let features = encoder
        .forward(&pixels, &vitrepl_prelude::trace::Tape::off())
        .unwrap();
    let logits = features.logits.unwrap().value().clone();
    let best = logits.argmax(1).unwrap().to_vec1::<u32>().unwrap();
    let best: Vec<usize> = best.into_iter().map(|c| c as usize).collect();
    assert_eq!(found.classes()[..3], best);
    // Another model's embeddings are not its to read.
    let others = embed_images(model("tiny_vit"), images()).unwrap();
    refused(head.predict(&others), &["tiny_vit"]);
}

#[test]
fn rows_of_the_cache_tell_entries_apart() {
    let vit = model("tiny_vit");
    let set = GeneratedSet::new(GeneratedSpec::unbiased(31, 6)).unwrap();
    let options = |granularity, sharing| DecomposeOptions {
        granularity,
        sharing,
        ..DecomposeOptions::default()
    };
    for granularity in [Granularity::Heads, Granularity::Layers, Granularity::Tokens] {
        for sharing in [Sharing::Equal, Sharing::Own] {
            decompose(&vit, &set, &options(granularity, sharing)).unwrap();
        }
    }
    let later = DecomposeOptions {
        first_block: Some(Block::at(2)),
        ..DecomposeOptions::default()
    };
    decompose(&vit, &set, &later).unwrap();
    decompose(&vit, set.first(2).unwrap(), &later).unwrap();
    decompose(&vit, set.first(3).unwrap(), &later).unwrap();
    let clip = model("tiny_clip");
    embed_texts(&clip, &["sea", "city"]).unwrap();
    embed_texts(&clip, &["red", "blue"]).unwrap();
    class_embeddings(&clip, &["red", "blue"]).unwrap();
    for seed in [1, 2] {
        let fit = FitOptions {
            seed,
            ..FitOptions::default()
        };
        align(&vit, &clip, &set, &DecomposeOptions::default(), &fit).unwrap();
    }
    let table = vitrepl_prelude::session::cache().csv();
    let rows = csv::Reader::from_reader(table.as_bytes()).into_records();
    let rows: Vec<csv::StringRecord> = rows.map(|row| row.unwrap()).collect();
    let here =
        |row: &&csv::StringRecord| row[1].contains("seed 31") || &row[0] == "text embeddings";
    let in_memory = |row: &&csv::StringRecord| !row.iter().any(|cell| cell.contains("disk"));
    let what: Vec<&str> = rows
        .iter()
        .filter(here)
        .filter(in_memory)
        .map(|row| &row[1])
        .collect();
    let all = what.len();
    let labels: std::collections::BTreeSet<&str> = what.into_iter().collect();
    assert!(all >= 14, "{table}");
    assert_eq!(labels.len(), all, "{table}");
    assert!(
        table.contains("6 images, heads, constants shared equally"),
        "{table}"
    );
}
