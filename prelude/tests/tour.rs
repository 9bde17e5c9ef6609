//! The README's tour: its code runs, and what it shows is a screen of plain lines.

use std::fmt::{Debug, Display};
use vitrepl_prelude::align::Aligner;
use vitrepl_prelude::data::DataSet;
use vitrepl_prelude::prelude::*;
use vitrepl_prelude::score::GroupAccuracy;
use vitrepl_prelude::session::set_cache_folder;

/// Looks at what a value at the end of a cell shows: at most a screen of lines that are not too long, in the words of the
/// field and not of Rust.
fn shows(value: &(impl Debug + ?Sized)) -> String {
    let text = format!("{value:?}");
    for line in text.lines() {
        assert!(line.chars().count() <= 200, "{line}");
    }
    assert!(text.lines().count() <= 50, "{text}");
    for dump in ["Tensor[", "Some(", " { ", "[[", "F32"] {
        assert!(!text.contains(dump), "{dump} in {text}");
    }
    assert!(!text.is_empty());
    println!("{text}\n");
    text
}

/// The same of a value that is displayed as it is written.
fn reads(value: &(impl Debug + Display)) -> String {
    assert_eq!(format!("{value:?}"), value.to_string());
    shows(value)
}

#[test]
fn the_tour_of_the_readme() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    set_cache_folder(folder.path().join("cache"));
    std::env::set_current_dir(folder.path()).unwrap();

    let vit = load("tiny_vit")?;
    let images = GeneratedSet::new(GeneratedSpec::unbiased(1, 1000))?;
    shows(&images.show(0..10)?);
    let c = decompose(&vit, &images, &DecomposeOptions::default())?;
    assert!(c.sum_error()? < 1e-5);
    shows(&c.select("block 5 *")?);
    let clip = load_clip("tiny_clip")?;
    let alignment = align(
        &vit,
        &clip,
        &images,
        &DecomposeOptions::default(),
        &FitOptions::default(),
    )?;
    let aligned = alignment.apply(&c)?;
    let location = class_embeddings(
        &clip,
        &["sea", "desert", "snow", "forest", "meadow", "city"],
    )?;
    let scores = aligned.score(&location)?.named("location");
    let top = scores.top(8)?;
    shows(&BarChart::ranked(
        "Who carries the location?",
        "variance attributed",
        &top,
    ));
    shows(&text_labels(
        &clip,
        &aligned,
        &top,
        &["sea", "forest", "circle", "star", "red", "striped"],
        3,
    )?);
    let without = c.ablate(&c.means()?, &top)?;
    assert_eq!(without.dims(), [1000, 96]);
    shows(&clip.classify_by(images.first(5)?, &["circle", "square", "star"])?);
    scores.export("scores.csv")?;
    shows(&resident().table());

    // Every value on the way shows itself.
    let text = reads(&*c);
    assert!(text.contains("43 components of tiny_vit, width 96: generated seed 1, 1000 images"));
    assert!(text.contains("block 0 to 5 (head 0 to 5, mlp)") && text.contains("on cpu"));
    assert!(
        text.contains("block 5  attn █") && text.contains("mlp  █"),
        "{text}"
    );
    let text = reads(&aligned);
    assert!(text.contains("in the space of tiny_clip") && text.contains("block 5"));
    let text = reads(&scores);
    assert!(
        text.contains("for location") && text.contains(&top[0].name) && text.contains("31 more")
    );
    reads(&top);
    reads(&c.means()?);
    let text = reads(&*alignment);
    assert!(
        text.contains("held-out cosine") && text.contains("43 x 96 x 64"),
        "{text}"
    );
    reads(&alignment.aligner);
    reads(alignment.report.as_ref().unwrap());
    let text = reads(&images);
    assert!(
        text.contains("1000 images") && text.contains("shape, colour"),
        "{text}"
    );
    reads(&images.first(5)?);
    let shared: Arc<dyn DataSet> = Arc::new(images.clone());
    shows(&shared);
    let text = reads(&images.labels("colour")?);
    assert!(
        text.contains("1000 images") && text.contains("purple"),
        "{text}"
    );
    reads(&*location);
    reads(&*embed_images(&vit, &images)?);
    reads(&*vit);
    reads(&*clip);
    let head = score::zero_shot(&class_embeddings(&clip, Factor::Colour.names())?)?;
    let text = reads(&head);
    assert!(
        text.contains("6 classes") && text.contains("purple"),
        "{text}"
    );
    let clip_images = embed_images(&clip, &images)?;
    let labels = images.labels("colour")?.values;
    reads(&head.evaluate(&clip_images, &labels)?);
    let groups = images.labels("location")?;
    let predicted = head.predict(&clip_images)?;
    let text = reads(&GroupAccuracy::count(
        &predicted,
        &labels,
        &groups.values,
        &groups.names,
    )?);
    assert!(text.contains("worst") && text.contains("sea"), "{text}");
    let options = DecomposeOptions {
        granularity: Granularity::Tokens,
        ..DecomposeOptions::default()
    };
    let tokens = decompose(&vit, images.first(5)?, &options)?;
    reads(&*tokens);
    reads(tokens.token_contributions().unwrap());
    shows(tokens.origin().unwrap());
    reads(&score::text_span(
        &aligned.get("block 5 head 3")?,
        &location,
        3,
    )?);
    reads(&c.ablation(
        &c.means()?,
        &score::LinearHead::new(
            c.representation().narrow(0, 0, 3)?,
            Tensor::zeros(3, candle_core::DType::F32, &Device::Cpu)?,
        )?,
    )?);
    reads(&FitOptions::default());
    reads(&Aligner::identity());
    reads(&c.components()[3]);
    Ok(())
}

/// Each line of code of the README's tour stands in the test above.
#[test]
fn the_test_runs_what_the_readme_says() {
    let readme = include_str!("../../README.md");
    let tour = readme.split("## A tour of five minutes").nth(1).unwrap();
    let code = tour
        .split("```rust")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let code: Vec<&str> = code.lines().map(str::trim).collect();
    let code: Vec<&str> = code
        .into_iter()
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .collect();
    assert!(code.len() > 12, "{code:?}");
    // Formatting breaks lines; what is said does not change.
    let plain = |text: &str| {
        text.split_whitespace()
            .collect::<String>()
            .replace(",)", ")")
    };
    let test = plain(include_str!("tour.rs"));
    for line in code {
        assert!(
            test.contains(&plain(line)),
            "the tour's line is not tested: {line}"
        );
    }
}
