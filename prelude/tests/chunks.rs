//! What is computed over images does not depend on how they are cut into chunks: one image, seven, or all at a time.

mod common;

use candle_core::{Device, Tensor};
use common::CACHE;
use proptest::prelude::*;
use std::sync::LazyLock;
use vitrepl_prelude::align::{Aligner, Alignment};
use vitrepl_prelude::data::DataSet;
use vitrepl_prelude::decompose::ImageChunks;
use vitrepl_prelude::identity::{ImageOrigin, ImagesId, ModelId};
use vitrepl_prelude::prelude::*;
use vitrepl_prelude::score::{
    Ablation, GroupAccuracy, Labelled, LinearHead, MitigateOptions, SegmentationScores,
    StreamedAblation, ablate, component_means, correlation_attributed, covariance_attributed,
    ordering, retrieval, segment, text_spans, variance_attributed, variance_explained,
    word_correlations,
};

/// Numbers about `centre` that a linear congruence draws.
fn random(shape: &[usize], seed: u64, centre: f32) -> Tensor {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let values = (0..shape.iter().product::<usize>()).map(|_| {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        centre + ((state >> 33) as f32 / (1u64 << 31) as f32) - 0.5
    });
    Tensor::from_vec(values.collect::<Vec<f32>>(), shape, &Device::Cpu).unwrap()
}

/// The stack in chunks of `size` images.
fn cut(stack: &Tensor, size: usize) -> Vec<Tensor> {
    let images = stack.dims()[1];
    (0..images)
        .step_by(size)
        .map(|i| stack.narrow(1, i, size.min(images - i)).unwrap())
        .collect()
}

fn close(what: &str, got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len(), "{what}");
    let most = want.iter().fold(1e-12, |most: f64, v| most.max(v.abs()));
    for (got, want) in got.iter().zip(want) {
        let apart = (got - want).abs() / most;
        assert!(apart < 1e-6, "{what}: {got} for {want} ({apart:.1e})");
    }
}

fn flat(t: &Tensor) -> Vec<f64> {
    let t = t.to_dtype(candle_core::DType::F64).unwrap();
    t.flatten_all().unwrap().to_vec1().unwrap()
}

/// Everything that is computed over a stack, by name.
fn computed<C: ImageChunks + Clone>(
    stack: &C,
    n: usize,
    images: usize,
    d: usize,
    seed: u64,
) -> Vec<(&'static str, Vec<f64>)> {
    let features = random(&[3, d], seed + 1, 0.0);
    let texts = random(&[6, d], seed + 2, 0.0);
    let clip_images = random(&[images, d], seed + 3, 0.3);
    let means = component_means(stack).unwrap();
    let head =
        LinearHead::new(random(&[3, d], seed + 4, 0.0), random(&[3], seed + 5, 0.0)).unwrap();
    let set = [0, n - 1];
    let order: Vec<usize> = (0..n).rev().collect();
    let kept = Ablation::new(stack, &means, &head).unwrap();
    let streamed = StreamedAblation::new(stack.clone(), &means, &head).unwrap();
    assert_eq!(
        kept.predict_prefixes(&order).unwrap(),
        streamed.predict_prefixes(&order).unwrap()
    );
    assert_eq!(kept.predict(&set).unwrap(), streamed.predict(&set).unwrap());
    let weights: Vec<f64> = (0..n).map(|i| 0.5 * i as f64).collect();
    let sets = [vec![0], vec![], order.clone()];
    let (a, b) = (kept.predict_sets(&sets), streamed.predict_sets(&sets));
    assert_eq!(a.unwrap(), b.unwrap());
    assert_eq!(
        kept.predict_scaled(&weights).unwrap(),
        streamed.predict_scaled(&weights).unwrap()
    );
    let predicted = streamed.predict_prefixes(&order).unwrap();
    let labels: Vec<usize> = (0..images).map(|i| i % 3).collect();
    let groups: Vec<usize> = (0..images).map(|i| i % 2).collect();
    let names = ["a", "b"].map(String::from);
    let grouped = |predicted: &Vec<usize>| {
        let groups = GroupAccuracy::count(predicted, &labels, &groups, &names).unwrap();
        [groups.worst(), groups.average()]
    };
    let spans = text_spans(stack, &[0, n - 1], &texts, 2).unwrap();
    let maps = random(&[n, d, 4], seed + 6, 0.0);
    let aligner = Aligner::from_maps(maps, random(&[4], seed + 7, 0.0)).unwrap();
    let targets = random(&[images, 4], seed + 8, 0.2);
    let words = [
        random(&[2, d], seed + 9, 0.0),
        random(&[3, d], seed + 10, 0.0),
    ];
    let ordered = ordering(stack, &words, &clip_images).unwrap();
    let probe = random(&[n, d], seed + 11, 0.1);
    vec![
        (
            "variance attributed",
            variance_attributed(stack, &features).unwrap(),
        ),
        (
            "correlation attributed",
            correlation_attributed(stack, &features).unwrap(),
        ),
        (
            "covariance attributed",
            covariance_attributed(stack, &features).unwrap(),
        ),
        (
            "variance explained",
            variance_explained(stack, &features).unwrap(),
        ),
        ("means", flat(&means)),
        (
            "ablated representations",
            flat(&ablate(stack, &means, &set).unwrap()),
        ),
        (
            "group accuracies",
            predicted.iter().flat_map(grouped).collect(),
        ),
        (
            "retrieval by text",
            retrieval::by_text(stack, &set, &texts.get(0).unwrap()).unwrap(),
        ),
        (
            "retrieval by image",
            retrieval::by_image(stack, &set, &probe).unwrap(),
        ),
        (
            "picks",
            spans
                .iter()
                .flat_map(|s| s.picks.iter().map(|&p| p as f64))
                .collect(),
        ),
        (
            "deviations along picks",
            spans.iter().flat_map(|s| s.std.clone()).collect(),
        ),
        (
            "explained by picks",
            spans.iter().flat_map(|s| s.explained.clone()).collect(),
        ),
        (
            "rebuilt from texts",
            spans.iter().flat_map(|s| flat(&s.reconstruction)).collect(),
        ),
        (
            "cosine of the aligned sum",
            vec![aligner.evaluate(stack, &targets).unwrap()],
        ),
        (
            "correlation with words",
            word_correlations(stack, &texts, &clip_images)
                .unwrap()
                .concat(),
        ),
        ("order within", ordered.within),
        ("order between", ordered.between),
        ("order's scores", ordered.attributed.concat()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn nothing_depends_on_the_chunks(
        n in 2usize..6,
        images in 5usize..40,
        d in 3usize..9,
        seed in 0u64..1_000_000,
        // A mean that is large against the variance is where sums of squares lose their digits.
        centre in prop::sample::select(vec![0.0f32, 3.0, 100.0]),
    ) {
        let stack = random(&[n, images, d], seed, centre);
        let whole = computed(&stack, n, images, d, seed);
        for size in [1, 7, images] {
            let chunks = cut(&stack, size);
            let chunks = &chunks[..];
            for ((name, got), (_, want)) in computed(&chunks, n, images, d, seed).iter().zip(&whole) {
                close(&format!("{name}, chunks of {size}"), got, want);
            }
        }
    }
}

/// More images than a block has: blocks within one chunk are as chunks are.
#[test]
fn blocks_of_one_chunk_are_as_chunks() {
    let stack = random(&[3, 2100, 5], 7, 3.0);
    let whole = computed(&stack, 3, 2100, 5, 7);
    let chunks = cut(&stack, 700);
    for ((name, got), (_, want)) in computed(&&chunks[..], 3, 2100, 5, 7).iter().zip(&whole) {
        close(name, got, want);
    }
}

#[test]
fn a_persons_calls_answer_the_same_of_contributions_in_chunks() -> Result<()> {
    LazyLock::force(&CACHE);
    let (vit, clip) = (load("tiny_vit")?, load_clip("tiny_clip")?);
    let images = GeneratedSet::new(GeneratedSpec::unbiased(3, 20))?;
    let c = decompose(&vit, &images, &DecomposeOptions::default())?;
    let targets = embed_images(&clip, &images)?;
    let fit = FitOptions {
        epochs: 1,
        ..FitOptions::default()
    };
    let alignment = Alignment::fit(&c, &targets, &fit)?;
    let texts = class_embeddings(&clip, &["sea", "forest", "snow"])?;
    let head = LinearHead::new(
        random(&[3, c.values().dims()[2]], 1, 0.0),
        random(&[3], 2, 0.0),
    )?;
    let head = head.reading(Some(ModelId::of(&vit)));
    let aligned = alignment.apply(&c)?;
    let means = c.means()?;
    let labels: Vec<usize> = (0..20).map(|i| i % 3).collect();
    let groups: Vec<usize> = (0..20).map(|i| i % 2).collect();
    let names = ["a", "b"].map(String::from);
    for size in [1, 7, 20] {
        let chunked = c.in_chunks(size)?;
        let in_chunks = alignment.apply(&chunked)?;
        for measure in [
            ScoreMeasure::VarianceAttributed,
            ScoreMeasure::CorrelationAttributed,
            ScoreMeasure::CovarianceAttributed,
            ScoreMeasure::VarianceExplained,
        ] {
            let (got, want) = (
                in_chunks.score_by(measure, &texts)?,
                aligned.score_by(measure, &texts)?,
            );
            close(measure.name(), got.values(), want.values());
            assert_eq!(got.names(), want.names());
            assert!(got.minus(&want)?.values().iter().all(|v| v.abs() < 1e-6));
        }
        close(
            "means",
            &flat(chunked.means()?.values()),
            &flat(means.values()),
        );
        close(
            "ablated",
            &flat(&chunked.ablate(&means, "block 5 *")?),
            &flat(&c.ablate(&means, "block 5 *")?),
        );
        let order: Vec<usize> = (0..c.len()).collect();
        assert_eq!(
            chunked.ablation(&means, &head)?.predict_prefixes(&order)?,
            c.ablation(&means, &head)?.predict_prefixes(&order)?
        );
        let scores = aligned.score(&texts)?;
        let labelled = Labelled {
            contributions: &chunked,
            labels: &labels,
            groups: &groups,
        };
        let whole = Labelled {
            contributions: &*c,
            labels: &labels,
            groups: &groups,
        };
        let options = MitigateOptions::default();
        let a = scores.mitigate(&names, &means, &head, labelled, labelled, &options)?;
        let b = scores.mitigate(&names, &means, &head, whole, whole, &options)?;
        assert_eq!((a.k, &a.before, &a.after), (b.k, &b.before, &b.after));
        close(
            "cosine",
            &[alignment.evaluate(&chunked, &targets)?],
            &[alignment.evaluate(&*c, &targets)?],
        );
        close(
            "head",
            &flat(&chunked.get("block 5 head 3")?),
            &flat(&c.get("block 5 head 3")?),
        );
        close("sum error", &[chunked.sum_error()?], &[c.sum_error()?]);
        let top = scores.top(3)?;
        assert_eq!(
            text_labels(&clip, &in_chunks, &top, &["sea", "red", "star"], 2)?.to_string(),
            text_labels(&clip, &aligned, &top, &["sea", "red", "star"], 2)?.to_string()
        );
        for measure in [
            ScoreMeasure::VarianceExplained,
            ScoreMeasure::CovarianceAttributed,
        ] {
            let words = &FeatureWords::generated()[..2];
            let got = attribution_matrix(&clip, &in_chunks, words, measure)?;
            let want = attribution_matrix(&clip, &aligned, words, measure)?;
            for (got, want) in got.scores().iter().zip(want.scores()) {
                close("matrix", got.values(), want.values());
                assert_eq!(got.feature(), want.feature());
            }
        }
        let found = |text: &Retrieved| -> Vec<(String, String, usize)> {
            let rows = text.rows.iter();
            rows.flat_map(|row| {
                let images = row.images.iter();
                images.map(|i| (row.query.clone(), i.image.clone(), i.index))
            })
            .collect()
        };
        assert_eq!(
            found(&retrieve_by_text(&images, &in_chunks, &texts, 4)?),
            found(&retrieve_by_text(&images, &aligned, &texts, 4)?)
        );
        let ranked = scores.ranked()?;
        assert_eq!(
            found(&retrieve_by_groups(
                &images,
                &in_chunks,
                &ranked,
                (3, 4),
                &texts,
                2
            )?),
            found(&retrieve_by_groups(
                &images,
                &aligned,
                &ranked,
                (3, 4),
                &texts,
                2
            )?)
        );
        // A probe of the set finds others and not itself, wherever the contributions are.
        let chosen = [FeatureComponents {
            feature: "location".into(),
            components: scores.top(5)?,
        }];
        let probe = images.subset(&[13])?;
        let by_image = retrieve_by_image(&images, &chunked, &probe, c.image(13)?, &chosen, 19)?;
        assert_eq!(
            found(&by_image),
            found(&retrieve_by_image(
                &images,
                &*c,
                &probe,
                c.image(13)?,
                &chosen,
                19
            )?)
        );
        assert!(by_image.rows[0].images.iter().all(|i| i.index != 13));
        let features = [Factor::Colour, Factor::Shape].map(|factor| {
            let labels = images.labels(factor.name()).unwrap();
            let texts = class_embeddings(&clip, &labels.names).unwrap();
            RetrievalFeature::new(factor.name(), labels, texts)
        });
        let settings = PrecisionSettings {
            k: 3,
            probes: 9,
            draws: 4,
            ..PrecisionSettings::default()
        };
        let got = retrieval_precision(&chunked, &in_chunks, &features, &settings)?;
        let want = retrieval_precision(&*c, &aligned, &features, &settings)?;
        assert_eq!(format!("{:?}", got.rows), format!("{:?}", want.rows));
        let some = chunked.select_images([13, 2, 3, 19])?;
        let want = c.select_images([13, 2, 3, 19])?;
        assert_eq!(flat(some.values()), flat(want.values()));
        assert_eq!(some.image_names(), want.image_names());
        assert_eq!(flat(chunked.load()?.values()), flat(c.values()));
        let part = chunked.select("* mlp")?;
        assert_eq!(
            flat(part.load()?.values()),
            flat(c.select("* mlp")?.values())
        );
        // A part is refused where all are wanted, as in memory.
        let error = part.sum_error().unwrap_err().to_string();
        assert!(error.contains("takes all"), "{error}");
        assert!(alignment.apply(&part).is_err());
        let shown = chunked.to_string();
        assert!(
            shown.contains("in memory") && shown.lines().all(|l| l.chars().count() <= 200),
            "{shown}"
        );
    }
    // Belonging is checked as it is in memory.
    let other = load("tiny_dinov2")?;
    let other = decompose(&other, &images, &DecomposeOptions::default())?.in_chunks(7)?;
    let error = alignment.apply(&other).unwrap_err().to_string();
    assert!(
        error.contains("tiny_dinov2") && error.contains("tiny_vit"),
        "{error}"
    );
    assert!(other.ablate(&means, "init").is_err());
    let strange = ImageOrigin {
        model: ModelId::of(&vit),
        images: ImagesId::of(&images),
    };
    let strange = ImageEmbeddings::new(vit.encoder().encode(&images_pixels(&images, &vit)?)?)?
        .with_origin(strange)?;
    let error = alignment.evaluate(&*c, &strange).unwrap_err().to_string();
    assert!(error.contains("targets of tiny_vit"), "{error}");
    assert!(c.in_chunks(0).is_err());
    Ok(())
}

fn images_pixels(images: &GeneratedSet, model: &Model) -> Result<Tensor> {
    let all: Vec<usize> = (0..20).collect();
    images.pixels(&all, model.input())
}

#[test]
fn maps_of_source_tokens_and_segmentation_sums_add_up_over_chunks() -> Result<()> {
    LazyLock::force(&CACHE);
    let vit = load("tiny_vit")?;
    let images = GeneratedSet::new(GeneratedSpec::unbiased(5, 9))?;
    let options = DecomposeOptions {
        granularity: Granularity::Tokens,
        ..DecomposeOptions::default()
    };
    let c = decompose(&vit, &images, &options)?;
    let directions = random(&[2, c.values().dims()[2]], 3, 0.0);
    let along = |c: &Contributions| -> Result<Tensor> {
        Ok(c.tokens("block 5 head 3")?
            .along(&directions)?
            .values()
            .clone())
    };
    // The patches of one image along the first direction as a map, held against a mask of a square.
    let segmented = |maps: &Tensor, i: usize, number: usize| -> Result<_> {
        let tokens = maps.dims()[1];
        let side = (tokens as f64).sqrt() as usize;
        let map = maps
            .get(i)?
            .narrow(1, 0, 1)?
            .narrow(0, tokens - side * side, side * side)?;
        let map = score::enlarge(&map.reshape((side, side))?, 48, 48)?;
        let mask: Vec<u8> = (0..48 * 48)
            .map(|p| u8::from(p % 48 > 20 && p / 48 > 10 + number))
            .collect();
        segment(&map, &Tensor::from_vec(mask, (48, 48), &Device::Cpu)?)
    };
    let whole = along(&c)?;
    let mut want = SegmentationScores::default();
    for i in 0..9 {
        want.add(&segmented(&whole, i, i)?);
    }
    for size in [1, 7, 9] {
        let (mut got, mut maps) = (SegmentationScores::default(), Vec::new());
        c.in_chunks(size)?.each_chunk_with_tokens(|start, chunk| {
            let of_chunk = along(&chunk)?;
            let mut sums = SegmentationScores::default();
            for i in 0..chunk.images() {
                sums.add(&segmented(&of_chunk, i, start + i)?);
            }
            got.merge(&sums);
            maps.push(of_chunk);
            Ok(())
        })?;
        close("maps", &flat(&Tensor::cat(&maps, 0)?), &flat(&whole));
        assert_eq!(got.images(), 9);
        assert_eq!(got.counts(), want.counts());
        close(
            "precision",
            &[
                got.mean_average_precision(),
                got.joined_mean_average_precision(),
            ],
            &[
                want.mean_average_precision(),
                want.joined_mean_average_precision(),
            ],
        );
    }
    Ok(())
}

#[test]
fn a_chunk_that_fails_ends_the_pass_with_its_error() -> Result<()> {
    let c = Contributions::new(
        vec![Component::Init, Component::Bias],
        random(&[2, 9, 3], 1, 0.0),
        random(&[9, 3], 2, 0.0),
        None,
    )?;
    let mut seen = 0;
    let ended = c.in_chunks(2)?.each_chunk(|start, _| {
        seen += 1;
        match start {
            4 => Err(Error::data("chunk", "broken")),
            _ => Ok(()),
        }
    });
    assert!(ended.unwrap_err().to_string().contains("broken"));
    assert_eq!(seen, 3);
    // NaN in the last of the chunks is refused by name.
    let mut values = vec![1f32; 2 * 9 * 3];
    values[2 * 9 * 3 - 1] = f32::NAN;
    values[0] = 2.0;
    let bad = Tensor::from_vec(values, (2, 9, 3), &Device::Cpu)?;
    let chunks = cut(&bad, 2);
    let error = component_means(&chunks[..]).unwrap_err().to_string();
    assert!(error.contains("NaN or infinity"), "{error}");
    let error = variance_attributed(&chunks[..], &random(&[1, 3], 1, 0.0))
        .unwrap_err()
        .to_string();
    assert!(error.contains("NaN or infinity"), "{error}");
    Ok(())
}

/// Chunks that are read ahead of a fit are those that it draws from, and what is wrong with one is the fit's error.
#[test]
fn a_fit_reads_ahead_and_tells_what_is_wrong_with_a_chunk() -> Result<()> {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let components = vec![Component::Init, Component::Bias];
    let values = random(&[2, 60, 4], 1, 0.0);
    let targets = ImageEmbeddings::new(random(&[60, 4], 2, 0.0))?;
    let fit = |good: usize| {
        let reads = Arc::new(AtomicUsize::new(0));
        let (counted, values) = (reads.clone(), values.clone());
        let source = ChunkedContributions::from_fn(components.clone(), 4, 60, 3, move |range| {
            match counted.fetch_add(1, Ordering::SeqCst) < good {
                true => Ok(values.narrow(1, range.start, range.len())?),
                false => Err(Error::data("chunk", "gone")),
            }
        })?;
        let options = FitOptions {
            epochs: 2,
            ..FitOptions::default()
        };
        let found = Alignment::fit(&source, &targets, &options);
        Ok::<_, Error>((found, reads.load(Ordering::SeqCst)))
    };
    let (all, reads) = fit(usize::MAX)?;
    let all = all?;
    let again = fit(usize::MAX)?.0?;
    let weights = |alignment: &Alignment| flat(alignment.aligner.weights().unwrap());
    assert_eq!(weights(&all), weights(&again));
    // Once for the sums, twice for the epochs, and what the held-out images need.
    assert!((60..150).contains(&reads), "{reads}");
    // In the middle of the second epoch.
    let error = fit(reads - 12)?.0.unwrap_err().to_string();
    assert!(error.contains("gone"), "{error}");
    Ok(())
}

#[test]
fn an_aligner_is_fitted_on_chunks_as_well_as_on_all_images_at_once() -> Result<()> {
    LazyLock::force(&CACHE);
    let (vit, clip) = (load("tiny_vit")?, load_clip("tiny_clip")?);
    let images = GeneratedSet::new(GeneratedSpec::unbiased(9, 300))?;
    let c = decompose(&vit, &images, &DecomposeOptions::default())?;
    let targets = embed_images(&clip, &images)?;
    let fit = FitOptions {
        epochs: 4,
        patience: 50,
        ..FitOptions::default()
    };
    let whole = Alignment::fit(&c, &targets, &fit)?;
    let texts = class_embeddings(&clip, &["sea", "snow"])?;
    let weights = |alignment: &Alignment| flat(alignment.aligner.weights().unwrap());
    for size in [7, 64, 300] {
        let chunked = c.in_chunks(size)?;
        let fitted = Alignment::fit(&chunked, &targets, &fit)?;
        let (a, b) = (
            fitted.report.clone().unwrap(),
            whole.report.clone().unwrap(),
        );
        assert_eq!(
            (a.held_out_images, a.train_images, a.steps),
            (b.held_out_images, b.train_images, b.steps)
        );
        // The same images are held out, so both start from the same cosine and come to nearly the same.
        assert!((a.history[0].1 - b.history[0].1).abs() < 1e-5, "{a} {b}");
        assert!(
            (a.held_out_cosine - b.held_out_cosine).abs() < 0.01,
            "{a} {b}"
        );
        assert!(a.held_out_cosine > a.history[0].1 + 0.01, "{a}");
        assert_eq!(
            weights(&fitted),
            weights(&Alignment::fit(&chunked, &targets, &fit)?)
        );
        assert!(fitted.apply(&chunked)?.score(&texts).is_ok());
    }
    // A fit that is stopped goes on from its checkpoint and comes to the same.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fit.checkpoint");
    let chunked = c.in_chunks(7)?;
    let want = weights(&Alignment::fit(&chunked, &targets, &fit)?);
    let asked = std::cell::Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        asked.get() > 25
    };
    let resumable = FitOptions {
        checkpoint: Some(path),
        ..fit
    };
    let stopped = Alignment::fit(
        &chunked,
        &targets,
        &FitOptions {
            stop: Some(&stop),
            ..resumable.clone()
        },
    );
    assert!(stopped.unwrap_err().to_string().contains("25 of"));
    let fitted = Alignment::fit(&chunked, &targets, &resumable)?;
    assert_eq!(fitted.report.as_ref().unwrap().resumed_at, Some(25));
    assert_eq!(weights(&fitted), want);
    Ok(())
}
