//! Parity of what the experiments compute with reference values: `completeness`, `heatmap`, `ordering`, `segmentation`
//! and `sparse_text` of `tests/golden`, or of the folder named by `VITREPL_GOLDEN_DIR`.

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use serde_json::Value;
use vitrepl_prelude::Result;
use vitrepl_prelude::score::{self, Rebuild, SegmentationScores, ShownSign, retrieval};

const TOLERANCE: f64 = 1e-4;

struct Golden {
    tensors: HashMap<String, Tensor>,
    metadata: HashMap<String, String>,
}

impl Golden {
    fn open(name: &str) -> Self {
        let folder = std::env::var_os("VITREPL_GOLDEN_DIR")
            .map(PathBuf::from)
            .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden"));
        let path = folder.join(format!("{name}.safetensors"));
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        Self {
            tensors: candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).unwrap(),
            metadata: header.metadata().clone().unwrap_or_default(),
        }
    }

    fn get(&self, name: &str) -> &Tensor {
        self.tensors
            .get(name)
            .unwrap_or_else(|| panic!("no {name}"))
    }

    fn list(&self, name: &str) -> Vec<f64> {
        values(self.get(name))
    }

    fn indices(&self, name: &str) -> Vec<usize> {
        let flat = self.get(name).flatten_all().unwrap();
        let flat = flat.to_dtype(DType::I64).unwrap().to_vec1::<i64>().unwrap();
        flat.into_iter().map(|v| v as usize).collect()
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.metadata[name]).unwrap()
    }
}

fn values(t: &Tensor) -> Vec<f64> {
    let flat = t.flatten_all().unwrap().to_dtype(DType::F64).unwrap();
    flat.to_vec1().unwrap()
}

#[track_caller]
fn close(what: &str, got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len(), "{what}");
    let size = want.iter().fold(f64::MIN_POSITIVE, |m, w| m.max(w.abs()));
    let worst = (got.iter().zip(want)).fold(0.0, |m: f64, (g, w)| m.max((g - w).abs()));
    let error = worst / size;
    println!("{what}: relative error {error:.1e}");
    assert!(error <= TOLERANCE, "{what}: relative error {error:.1e}");
}

fn usizes(value: &Value) -> Vec<usize> {
    let list = value.as_array().unwrap();
    list.iter().map(|v| v.as_u64().unwrap() as usize).collect()
}

#[test]
fn matching_pursuit() -> Result<()> {
    let golden = Golden::open("sparse_text");
    let (data, texts) = (golden.get("data"), golden.get("texts"));
    let m = texts.dim(0)?;
    let codes = score::matching_pursuit(data, texts, 8)?;
    let picked: Vec<usize> = codes.iter().flat_map(|c| c.picks.clone()).collect();
    assert_eq!(picked, golden.indices("omp.picked"));
    let residuals: Vec<f64> = codes.iter().flat_map(|c| c.residuals.clone()).collect();
    close("residuals", &residuals, &golden.list("omp.residual"));
    let mut dense = Vec::new();
    for code in &codes {
        for step in &code.coefficients {
            let mut row = vec![0.0; m];
            for (pick, value) in code.picks.iter().zip(step) {
                row[*pick] = *value;
            }
            dense.extend(row);
        }
    }
    close("coefficients", &dense, &golden.list("omp.coefficients"));
    Ok(())
}

#[test]
fn non_negative_lasso() -> Result<()> {
    let golden = Golden::open("sparse_text");
    let (data, texts) = (golden.get("data"), golden.get("texts"));
    let alphas: Vec<f64> = serde_json::from_value(golden.json("alphas")).unwrap();
    for alpha in alphas {
        let codes = score::sparse_code(data, texts, alpha)?;
        let dense: Vec<f64> = codes.iter().flat_map(|c| c.coefficients.clone()).collect();
        let want = golden.list(&format!("lasso.{alpha}"));
        close(&format!("lasso {alpha}"), &dense, &want);
        // What the reference has at zero is exactly zero here, and nothing else is.
        let zeros = |values: &[f64]| values.iter().map(|v| *v == 0.0).collect::<Vec<_>>();
        assert_eq!(zeros(&dense), zeros(&want));
    }
    Ok(())
}

#[test]
fn segmentation_measures() -> Result<()> {
    let golden = Golden::open("segmentation");
    let (maps, masks) = (golden.get("maps"), golden.get("masks"));
    for kind in ["given", "clipped"] {
        let of = |name: &str| format!("{kind}.{name}");
        let mut all = SegmentationScores::default();
        let (mut counts, mut predicted, mut thresholds) = (Vec::new(), Vec::new(), Vec::new());
        let (mut accuracy, mut iou) = (Vec::new(), Vec::new());
        let (mut precision, mut joined) = (Vec::new(), Vec::new());
        for i in 0..maps.dim(0)? {
            let map = match kind {
                "given" => maps.get(i)?,
                _ => score::clipped(&maps.get(i)?)?,
            };
            let image = score::segment(&map, &masks.get(i)?)?;
            let c = &image.counts;
            counts.extend([c.correct, c.labelled].map(|n| n as usize));
            for class in [0, 1] {
                counts.extend([c.intersection[class], c.union[class]].map(|n| n as usize));
            }
            accuracy.push(c.pixel_accuracy());
            iou.extend(c.iou());
            predicted.extend(image.foreground.iter().map(|p| usize::from(*p)));
            thresholds.push(image.threshold);
            precision.push(image.average_precision);
            joined.push(image.joined_average_precision);
            all.add(&image);
        }
        assert_eq!(counts, golden.indices(&of("counts")), "{kind}");
        assert_eq!(predicted, golden.indices(&of("predicted")), "{kind}");
        close("threshold", &thresholds, &golden.list(&of("threshold")));
        let wanted = golden.list(&of("pixel_accuracy.per_image"));
        close("pixel accuracy", &accuracy, &wanted);
        close("IoU", &iou, &golden.list(&of("iou.per_image")));
        let wanted = golden.list(&of("average_precision.per_image"));
        close("average precision", &precision, &wanted);
        let wanted = golden.list(&of("average_precision_joined.per_image"));
        close("joined average precision", &joined, &wanted);
        let summary = [
            all.pixel_accuracy(),
            all.foreground_iou(),
            all.mean_iou(),
            all.mean_average_precision(),
            all.joined_mean_average_precision(),
            all.mean_average_precision_with_foreground(),
        ];
        close("summary", &summary, &golden.list(&of("summary")));
    }
    Ok(())
}

/// Aligned contributions of the golden file: `z W + bias / n`.
fn aligned(golden: &Golden) -> Result<Tensor> {
    let (z, weight) = (golden.get("contributions"), golden.get("align.weight"));
    let share = (golden.get("align.bias") / z.dim(0)? as f64)?;
    Ok(z.matmul(weight)?.broadcast_add(&share)?)
}

#[test]
fn ordering() -> Result<()> {
    let golden = Golden::open("ordering");
    let text = golden.get("text");
    let features = (0..text.dim(0)?)
        .map(|f| Ok(text.get(f)?))
        .collect::<Result<Vec<_>>>()?;
    let (aligned, images) = (aligned(&golden)?, golden.get("clip_images"));
    let order = score::ordering(&aligned, &features, images)?;
    let flat = |table: &[Vec<f64>]| table.concat();
    close(
        "variance attributed",
        &flat(&order.attributed),
        &golden.list("variance_attributed"),
    );
    close(
        "correlation",
        &flat(&order.correlation),
        &golden.list("correlation"),
    );
    let by_word = features
        .iter()
        .map(|words| Ok(flat(&score::word_correlations(&aligned, words, images)?)))
        .collect::<Result<Vec<_>>>()?;
    close("words", &flat(&by_word), &golden.list("correlation.words"));
    close("within", &order.within, &golden.list("spearman.within"));
    close("between", &order.between, &golden.list("spearman.between"));
    close(
        "means",
        &[order.mean_within(), order.mean_between()],
        &golden.list("spearman.mean"),
    );
    Ok(())
}

#[test]
fn retrieval_by_text() -> Result<()> {
    let golden = Golden::open("ordering");
    let how = golden.json("by_text");
    let (feature, group) = (
        usizes(&how["feature"].as_array().map_or_else(
            || Value::from(vec![how["feature"].clone()]),
            |list| Value::from(list.clone()),
        ))[0],
        how["group"].as_u64().unwrap() as usize,
    );
    let aligned = aligned(&golden)?;
    let text = golden.get("text");
    let scores = score::variance_attributed(&aligned, &text.get(feature)?)?;
    let names: Vec<String> = (0..scores.len())
        .map(|i| format!("component {i}"))
        .collect();
    let order: Vec<usize> = (score::rank(&names, &scores)?.iter())
        .map(|ranked| ranked.index)
        .collect();
    assert_eq!(order, golden.indices("by_text.components"));
    let images: Vec<String> = (0..aligned.dim(1)?).map(|i| format!("image {i}")).collect();
    let (mut all, mut top) = (Vec::new(), Vec::new());
    for query in how["queries"].as_array().unwrap() {
        let [f, w] = usizes(query)[..] else {
            panic!("{query}")
        };
        for set in order.chunks(group) {
            let found = retrieval::by_text(&aligned, set, &text.get(f)?.get(w)?)?;
            let nearest = retrieval::nearest(&images, &found, 5)?;
            top.extend(nearest.iter().map(|ranked| ranked.index));
            all.extend(found);
        }
    }
    close("by text", &all, &golden.list("by_text.scores"));
    assert_eq!(top, golden.indices("by_text.top"));
    Ok(())
}

#[test]
fn retrieval_by_image() -> Result<()> {
    let golden = Golden::open("ordering");
    let how = golden.json("by_image");
    let (chosen, counts) = (usizes(&how["features"]), usizes(&how["components"]));
    let (aligned, text) = (aligned(&golden)?, golden.get("text"));
    let scores = chosen
        .iter()
        .map(|&f| score::variance_attributed(&aligned, &text.get(f)?))
        .collect::<Result<Vec<_>>>()?;
    let names: Vec<String> = (0..scores[0].len())
        .map(|i| format!("component {i}"))
        .collect();
    let images: Vec<String> = (0..aligned.dim(1)?).map(|i| format!("image {i}")).collect();
    let contributions = golden.get("contributions");
    let (mut floored, mut plain, mut orders) = (Vec::new(), Vec::new(), Vec::new());
    let (mut found, mut top) = (Vec::new(), Vec::new());
    for (f, count) in counts.into_iter().enumerate() {
        let contrast = retrieval::contrast(&scores, f, true)?;
        let order: Vec<usize> = (score::rank(&names, &contrast)?.iter())
            .map(|ranked| ranked.index)
            .collect();
        let similar = retrieval::by_image(contributions, &order[..count], golden.get("probe"))?;
        let nearest = retrieval::nearest(&images, &similar, 5)?;
        top.extend(nearest.iter().map(|ranked| ranked.index));
        found.extend(similar);
        orders.extend(order);
        floored.extend(contrast);
        plain.extend(retrieval::contrast(&scores, f, false)?);
    }
    close("contrast", &floored, &golden.list("by_image.contrast"));
    let wanted = golden.list("by_image.contrast_without_0");
    close("contrast without 0", &plain, &wanted);
    assert_eq!(orders, golden.indices("by_image.components"));
    close("by image", &found, &golden.list("by_image.scores"));
    assert_eq!(top, golden.indices("by_image.top"));
    Ok(())
}

#[test]
fn maps_enlarged_and_scaled() -> Result<()> {
    let golden = Golden::open("heatmap");
    let maps = golden.get("maps");
    let signs: Vec<String> = serde_json::from_value(golden.json("signs")).unwrap();
    let outliers: f64 = serde_json::from_value(golden.json("outlier_perc")).unwrap();
    for size in [None, Some((28, 28)), Some((30, 30))] {
        let name = size.map_or("grid".to_string(), |(h, w)| format!("{h}x{w}"));
        let mut enlarged = Vec::new();
        let (mut scaled, mut thresholds) = (Vec::new(), Vec::new());
        for sign in &signs {
            let sign = match sign.as_str() {
                "all" => ShownSign::All,
                "positive" => ShownSign::Positive,
                "negative" => ShownSign::Negative,
                _ => ShownSign::Absolute,
            };
            for i in 0..maps.dim(0)? {
                let map = match size {
                    Some((h, w)) => score::enlarge(&maps.get(i)?, h, w)?,
                    None => maps.get(i)?,
                };
                if sign == ShownSign::All {
                    enlarged.extend(values(&map));
                }
                let shown = score::scaled(&map, sign, outliers)?;
                scaled.extend(values(&shown.values));
                thresholds.push(shown.threshold);
            }
        }
        if size.is_some() {
            close(
                "enlarged",
                &enlarged,
                &golden.list(&format!("{name}.enlarged")),
            );
        }
        close("scaled", &scaled, &golden.list(&format!("{name}.scaled")));
        let wanted = golden.list(&format!("{name}.threshold"));
        close("threshold", &thresholds, &wanted);
    }
    Ok(())
}

#[test]
fn completeness_of_texts() -> Result<()> {
    let golden = Golden::open("completeness");
    let names: Vec<String> = serde_json::from_value(golden.json("components")).unwrap();
    let layer_of = |name: &str| name.split('.').next().and_then(|l| l.parse::<usize>().ok());
    let layers = 1 + names.iter().filter_map(|n| layer_of(n)).max().unwrap();
    let (contributions, texts) = (golden.get("contributions"), golden.get("texts"));
    let labels = golden.indices("labels");
    let cases = golden.json("cases");
    for (i, case) in cases.as_array().unwrap().iter().enumerate() {
        let number = |key: &str| case[key].as_u64().unwrap() as usize;
        let mut accuracies = Vec::new();
        for (kind, rest) in [("", Rebuild::Keep), (".ablated", Rebuild::Mean)] {
            let how: Vec<Rebuild> = names
                .iter()
                .map(|name| match (name.contains("head"), layer_of(name)) {
                    (true, Some(layer)) if layer + number("last_layers") >= layers => {
                        Rebuild::FromTexts
                    }
                    (true, _) => Rebuild::Mean,
                    _ => rest,
                })
                .collect();
            let (count, rank) = (number("texts"), number("rank"));
            let rebuilt = score::rebuild_from_texts(contributions, &how, texts, count, rank)?;
            let picks: Vec<usize> = (rebuilt.picks.iter())
                .flat_map(|(_, p)| p.clone())
                .collect();
            assert_eq!(picks, golden.indices(&format!("case{i}.picked")));
            let distinct = golden.indices(&format!("case{i}.distinct_texts"));
            assert_eq!(vec![rebuilt.distinct_texts()], distinct);
            let heads = values(&Tensor::stack(&rebuilt.components, 0)?);
            close("heads", &heads, &golden.list(&format!("case{i}.heads")));
            let of = |name: &str| format!("case{i}{kind}.{name}");
            close(
                "representation",
                &values(&rebuilt.representation),
                &golden.list(&of("representation")),
            );
            let scores = rebuilt.representation.matmul(golden.get("classifier"))?;
            close("scores", &values(&scores), &golden.list(&of("scores")));
            let predicted: Vec<u32> = scores.argmax(1)?.to_vec1()?;
            let predicted: Vec<usize> = predicted.into_iter().map(|p| p as usize).collect();
            assert_eq!(predicted, golden.indices(&of("predicted")));
            let right = predicted
                .iter()
                .zip(&labels)
                .filter(|(p, l)| p == l)
                .count();
            accuracies.push(right as f64 / labels.len() as f64);
        }
        close(
            "accuracy",
            &accuracies,
            &golden.list(&format!("case{i}.accuracy")),
        );
    }
    Ok(())
}
