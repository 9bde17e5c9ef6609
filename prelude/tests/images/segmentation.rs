//! Segmentation by the decomposition, against other methods, on exact masks.

use crate::support::*;
use vitrepl_prelude::prelude::*;
use vitrepl_prelude::score::{LinearHead, ProbeOptions, fit_probe};

/// A head for the shape, whose classes are the shapes.
fn probe(name: &str) -> LinearHead {
    let train = GeneratedSet::new(GeneratedSpec::unbiased(89_500, 1500)).unwrap();
    let labels = train.labels("shape").unwrap();
    let representations = embed_images(&model(name), &train).unwrap();
    let fitted = fit_probe(
        &representations,
        &labels.values,
        labels.names.len(),
        &ProbeOptions::default(),
    );
    fitted.unwrap().0.named(labels.names).unwrap()
}

#[test]
fn the_decomposition_segments_better_than_raw_attention_and_grad_cam() {
    let set = images(200);
    let mut all = Vec::new();
    for name in MODELS {
        let head = probe(name);
        let alignment = alignment(name);
        let texts = words(Factor::Shape);
        let settings = SegmentationSettings {
            column: Some("shape".into()),
            texts: Some((alignment, texts)),
            ..SegmentationSettings::default()
        };
        let found = segmentation(&model(name), &set, &head, &settings).unwrap();
        println!("{found}");
        look(
            &format!("segmentation_{name}"),
            &found.examples.chart().unwrap(),
        );
        found
            .chart()
            .save(file(&format!("segmentation_bars_{name}.png")))
            .unwrap();
        found
            .save(file(&format!("segmentation_{name}.csv")))
            .unwrap();
        all.push(found);
    }
    println!("{}", segmentation_table(&all));
}

#[test]
#[ignore = "a search"]
fn search() {
    use vitrepl_prelude::relevance::RelevanceMethod;
    let set = images(100);
    for name in MODELS {
        let head = probe(name);
        let blocks = model(name).encoder().blocks();
        let alignment = alignment(name);
        let mut firsts: Vec<Option<Block>> = vec![None];
        firsts.extend(blocks.iter().map(|b| Some(b.whole())).skip(1));
        firsts.dedup();
        for (i, first_block) in firsts.into_iter().enumerate() {
            let mut methods = vec![
                SegmentationMethod::Decomposition,
                SegmentationMethod::DecompositionToText,
            ];
            if i == 0 {
                methods.push(SegmentationMethod::Relevance(RelevanceMethod::GradCam));
                methods.push(SegmentationMethod::Relevance(
                    RelevanceMethod::LastAttention,
                ));
            }
            let settings = SegmentationSettings {
                methods,
                column: Some("shape".into()),
                first_block,
                texts: (i == 0).then(|| (alignment.clone(), words(Factor::Shape))),
                ..SegmentationSettings::default()
            };
            let found = segmentation(&model(name), &set, &head, &settings).unwrap();
            for row in &found.rows {
                let s = &row.scores;
                println!(
                    "SEARCH {name} from {first_block:?} {}: acc {:.3} fg {:.3} miou {:.3} ap {:.3}",
                    row.method.name(),
                    s.pixel_accuracy(),
                    s.foreground_iou(),
                    s.mean_iou(),
                    s.mean_average_precision()
                );
            }
        }
    }
}
