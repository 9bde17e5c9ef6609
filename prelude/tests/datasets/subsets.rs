use super::desk::{generated, refused, shows, whole};
use std::collections::HashSet;
use std::sync::Arc;
use vitrepl_prelude::Result;
use vitrepl_prelude::data::{
    DataSet, Factor, GeneratedSet, GeneratedSpec, Labels, ModelInput, Preprocess,
};

#[test]
fn labels_masks_and_keys_follow_the_images() -> Result<()> {
    let whole_set = generated();
    let shapes = whole_set.values(Factor::Shape);
    let part = generated().subset(&[7, 3, 3, 900])?;
    shows(&part, &[7, 3, 3, 900])?;
    assert_eq!(
        part.labels("shape")?.values,
        [7, 3, 3, 900].map(|i: usize| shapes[i])
    );
    assert_eq!(
        part.labels("shape")?.names,
        whole_set.labels("shape")?.names
    );
    assert_eq!(part.label_columns(), whole_set.label_columns());
    let masks = part.masks(&[3], whole())?.to_vec3::<u8>()?;
    assert_eq!(masks, whole_set.masks(&[900], whole())?.to_vec3::<u8>()?);
    let keys = [
        whole_set.key(),
        part.key(),
        generated().subset(&[3, 7, 3, 900])?.key(),
        generated().first(3)?.key(),
        GeneratedSet::new(GeneratedSpec::unbiased(6, 1000))?
            .first(3)?
            .key(),
    ];
    assert_eq!(
        keys.iter().collect::<HashSet<_>>().len(),
        keys.len(),
        "{keys:?}"
    );
    assert_eq!(part.key(), generated().subset(&[7, 3, 3, 900])?.key());
    shows(&generated().first(2)?, &[0, 1])?;
    // A part of a part, of a shared set.
    let shared = Arc::new(generated());
    let inner = Arc::clone(&shared).subset(&[10, 20, 30])?.subset(&[2, 0])?;
    shows(&inner, &[30, 10])
}

#[test]
fn a_shuffle_is_a_permutation_that_its_seed_decides() -> Result<()> {
    let order =
        |seed| Ok::<_, vitrepl_prelude::Error>(generated().shuffled(seed)?.indices().to_vec());
    assert_eq!(order(1)?, order(1)?);
    assert_ne!(order(1)?, order(2)?);
    let mut sorted = order(1)?;
    assert_ne!(sorted, (0..1000).collect::<Vec<_>>());
    sorted.sort_unstable();
    assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
    Ok(())
}

#[test]
fn the_parts_of_a_split_are_disjoint_and_as_large_as_asked() -> Result<()> {
    let parts = generated().split(3, &[0.7, 0.2, 0.1])?;
    let sizes: Vec<_> = parts.iter().map(|part| part.len()).collect();
    assert_eq!(sizes, [700, 200, 100]);
    let all: HashSet<_> = parts.iter().flat_map(|part| part.indices()).collect();
    assert_eq!(all.len(), 1000);
    // Thirds lose nothing to rounding.
    let third = 1. / 3.;
    let parts = generated().first(10)?.split(3, &[third, third, third])?;
    assert_eq!(
        parts.iter().map(|part| part.len()).collect::<Vec<_>>(),
        [3, 4, 3]
    );
    // A part of the whole, the rest unused.
    assert_eq!(generated().split(3, &[0.05])?[0].len(), 50);
    Ok(())
}

#[test]
fn only_the_images_of_a_label() -> Result<()> {
    let sea = generated().only("location", "sea")?;
    assert!(sea.labels("location")?.values.iter().all(|&v| v == 0));
    assert!((100..250).contains(&sea.len()), "{}", sea.len());
    refused(
        generated().only("location", "moon"),
        &["no location is called \"moon\"", "sea"],
    );
    refused(
        generated().only("weather", "rain"),
        &["no label \"weather\"", "shape"],
    );
    let labels = Labels::from_names(vec!["a".into(); 1000]);
    let labels = Labels {
        names: vec!["a".into(), "b".into()],
        ..labels
    };
    refused(
        generated()
            .relabelled("letter", labels)?
            .only("letter", "b"),
        &["no image has the letter \"b\""],
    );
    Ok(())
}

#[test]
fn labels_can_be_given() -> Result<()> {
    let names: Vec<_> = (0..1000)
        .map(|i| if i % 2 == 0 { "even" } else { "odd" }.to_string())
        .collect();
    let labels = Labels::from_names(names);
    let set = generated().relabelled("parity", labels.clone())?;
    assert_eq!(set.key(), generated().key(), "the images are the same");
    assert_eq!(set.labels("parity")?, labels);
    assert_eq!(set.labels("shape")?, generated().labels("shape")?);
    assert_eq!(set.only("parity", "odd")?.indices()[..3], [1, 3, 5]);
    let few = Labels::from_names(vec!["a".into(); 3]);
    refused(
        generated().relabelled("x", few),
        &["3 labels for 1000 images"],
    );
    let unnamed = Labels {
        values: vec![1; 1000],
        names: vec!["a".into()],
    };
    refused(
        generated().relabelled("x", unnamed),
        &["value 1 has no name"],
    );
    Ok(())
}

#[test]
fn a_set_may_keep_a_preprocessing_of_its_own() -> Result<()> {
    let desk = super::desk::Desk::with(&["images/a.png"]);
    let crop = |crop| Preprocess {
        crop,
        ..Preprocess::default()
    };
    let pixels = |set: &dyn DataSet, input| -> Result<Vec<f32>> {
        Ok(set.pixels(&[0], input)?.flatten_all()?.to_vec1()?)
    };
    let close = ModelInput::new(24, crop(0.5));
    let wide = ModelInput::new(24, crop(1.));
    let own = desk.folder().preprocessed(crop(0.5))?;
    assert_eq!(pixels(&own, wide)?, pixels(&desk.folder(), close)?);
    assert_ne!(pixels(&own, wide)?, pixels(&desk.folder(), wide)?);
    assert_ne!(own.key(), desk.folder().key());
    assert_ne!(own.key(), desk.folder().preprocessed(crop(0.6))?.key());
    refused(desk.folder().preprocessed(crop(2.)), &["crop = 2"]);
    Ok(())
}

#[test]
fn absurd_sizes_are_refused() {
    refused(
        generated().first(0),
        &["count = 0", "between 1 and the 1000 images"],
    );
    refused(generated().first(1001), &["count = 1001"]);
    refused(generated().subset(&[]), &["empty list"]);
    refused(
        generated().subset(&[5, 1000]),
        &["image 1000 does not exist", "1000"],
    );
    for shares in [
        &[][..],
        &[0.5, 0.6],
        &[0.],
        &[-0.1, 0.5],
        &[f64::NAN],
        &[1e300],
    ] {
        refused(
            generated().split(1, shares),
            &["shares = ", "sum to at most 1"],
        );
    }
    refused(
        generated().split(1, &[0.5, 0.0001]),
        &["part 1 would be empty", "1000 images"],
    );
}
