//! Models side by side.

use super::support::*;
use candle_core::{Device, Tensor};
use vitrepl_prelude::Result;
use vitrepl_prelude::decompose::Contributions;
use vitrepl_prelude::prelude::*;

fn heads(name: &str) -> Result<AlignedContributions> {
    aligned(name)?.select("* head *")
}

fn contributions(name: &str) -> Result<Arc<Contributions>> {
    decompose(model(name), tested(), &DecomposeOptions::default())
}

#[test]
fn a_model_is_matched_with_itself_in_another_order() -> Result<()> {
    let own = heads("tiny_vit")?;
    let n = own.len();
    // Every head at another place, all sizes changed.
    let places: Vec<u32> = (0..n as u32).map(|i| (i * 5 + 3) % n as u32).collect();
    let values = own
        .values()
        .index_select(&Tensor::new(places.clone(), &Device::Cpu)?, 0)?;
    let components = places
        .iter()
        .map(|&i| own.components()[i as usize])
        .collect();
    let moved = AlignedContributions::new(components, (values * 0.3)?)?;
    let found = compare_components(&[&own, &moved], &SimilarityOptions::default())?;
    let matching = &found.matchings[0];
    for (i, to) in matching.matches.iter().enumerate() {
        assert_eq!(places[to.unwrap()] as usize, i);
        assert!((matching.matched(i).unwrap() - 1.0).abs() < 1e-5);
    }
    assert!(matching.shuffled.unwrap() < 0.4, "{:?}", matching.shuffled);
    Ok(())
}

#[test]
fn heads_of_different_models_say_the_same_of_the_same_features() -> Result<()> {
    let all: Vec<AlignedContributions> =
        BACKBONES.iter().map(|n| heads(n)).collect::<Result<_>>()?;
    let found = compare_components(
        &all.iter().collect::<Vec<_>>(),
        &SimilarityOptions::default(),
    )?;
    println!("{}", found.table());
    found.chart().save(picture("matching.png"))?;
    found
        .chart_of("tiny_maxvit")?
        .save(picture("matching-maxvit.png"))?;
    refused(
        found.chart_of("tiny_clip").map(drop),
        &["tiny_clip", "tiny_dinov2"],
    );
    let best = |name: &str| -> Result<Vec<(String, Option<usize>)>> {
        let features = FeatureWords::generated();
        let matrix = attribution_matrix(
            clip(),
            &aligned(name)?,
            &features,
            ScoreMeasure::VarianceAttributed,
        )?;
        let components = matrix.specialisation()?.components;
        Ok(components
            .into_iter()
            .map(|c| (c.name, c.spread.map(|s| s.best)))
            .collect())
    };
    let of =
        |all: &[(String, Option<usize>)], name: &str| all.iter().find(|c| c.0 == name).unwrap().1;
    let own = best("tiny_vit")?;
    for matching in &found.matchings {
        assert!(
            matching.mean_matched() > 3.0 * matching.shuffled.unwrap(),
            "{matching}"
        );
        let other = best(&matching.models[1])?;
        let (mut same, mut by_chance, mut count) = (0.0, 0.0, 0.0);
        for (i, to) in matching.matches.iter().enumerate() {
            let feature = of(&own, &matching.components[0][i]);
            if let Some(to) = to {
                same += f64::from(u8::from(
                    of(&other, &matching.components[1][*to]) == feature,
                ));
                let alike = matching.components[1]
                    .iter()
                    .filter(|c| of(&other, c) == feature);
                by_chance += alike.count() as f64 / matching.components[1].len() as f64;
                count += 1.0;
            }
        }
        println!(
            "{}: {:.2} share the best feature, {:.2} by chance",
            matching.models[1],
            same / count,
            by_chance / count
        );
        assert!(
            same > by_chance,
            "{}: {same} {by_chance}",
            matching.models[1]
        );
    }
    let folder = tempfile::tempdir().unwrap();
    found.save(folder.path().join("pairs.csv"))?;
    found.save(folder.path().join("pairs.parquet"))?;
    Ok(())
}

#[test]
fn only_a_features_span_counts_where_it_is_given() -> Result<()> {
    let (a, b) = (heads("tiny_vit")?, heads("tiny_swin")?);
    let colours = class_embeddings(clip(), Factor::Colour.names())?;
    let options = SimilarityOptions {
        directions: Some(colours.clone()),
        shuffles: 0,
        seed: 0,
    };
    let found = compare_components(&[&a, &b], &options)?;
    let wanted = score::component_similarity(a.values(), b.values(), Some(colours.tensor()))?;
    assert_eq!(found.matchings[0].similarity, wanted);
    assert_eq!(found.matchings[0].shuffled, None);
    assert!(
        found
            .table()
            .to_string()
            .contains("in the span of red, yellow")
    );
    Ok(())
}

#[test]
fn what_is_of_other_images_or_alone_is_refused() -> Result<()> {
    let own = heads("tiny_vit")?;
    let plain = SimilarityOptions::default();
    refused(compare_components(&[&own], &plain), &["two models or more"]);
    refused(compare_components(&[], &plain), &["two models or more"]);
    let fewer = heads("tiny_swin")?.select_images(0..50)?;
    refused(
        compare_components(&[&own, &fewer], &plain),
        &["comparing components", "600 images"],
    );
    let other = decompose(model("tiny_swin"), fitted(), &DecomposeOptions::default())?;
    let vit = contributions("tiny_vit")?;
    refused(
        representation_cka(&[&vit, &other], CkaEstimate::Plain),
        &["77101", "77102"],
    );
    refused(
        representation_cka(&[&vit], CkaEstimate::Plain),
        &["two models or more"],
    );
    refused(
        layer_cka(&vit, &vit.select("* mlp")?, CkaEstimate::Plain),
        &["by_layer"],
    );
    Ok(())
}

#[test]
fn cka_of_models_and_layers() -> Result<()> {
    let all: Vec<_> = BACKBONES
        .iter()
        .map(|n| contributions(n))
        .collect::<Result<Vec<_>>>()?;
    let refs: Vec<&Contributions> = all.iter().map(|c| &**c).collect();
    let models = representation_cka(&refs, CkaEstimate::default())?;
    println!("{}", models.table());
    for i in 0..4 {
        assert!((models.values[i][i].unwrap() - 1.0).abs() < 1e-9);
        for j in 0..4 {
            let value = models.values[i][j].unwrap();
            assert!((value - models.values[j][i].unwrap()).abs() < 1e-9);
            let wanted = score::linear_cka(
                refs[i].representation(),
                refs[j].representation(),
                CkaEstimate::Unbiased,
            )?;
            assert!((value - wanted).abs() < 1e-9);
            // All of them learned the same factors.
            assert!(value > 0.2, "{i} {j}: {value}");
        }
    }
    models.chart().save(picture("cka-models.png"))?;
    let layers = layer_cka(refs[0], refs[3], CkaEstimate::Unbiased)?;
    layers.chart().save(picture("cka-layers.png"))?;
    let attention = |name: &str, c: &Contributions| c.by_layer()?.get(name);
    let (row, column) = (&layers.rows[5], &layers.columns[7]);
    let wanted = score::linear_cka(
        &attention(row, refs[0])?,
        &attention(column, refs[3])?,
        CkaEstimate::Unbiased,
    )?;
    assert!((layers.values[5][7].unwrap() - wanted).abs() < 1e-9);
    let folder = tempfile::tempdir().unwrap();
    layers.save(folder.path().join("cka.csv"))?;
    layers.save(folder.path().join("cka.parquet"))?;
    Ok(())
}
