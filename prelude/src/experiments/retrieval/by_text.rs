//! Images by text, by some components alone.

use super::{Retrieved, RetrievedRow};
use crate::align::AlignedStack;
use crate::charts::of_tokens::check_images;
use crate::data::DataSet;
use crate::identity::TextEmbeddings;
use crate::score::{Ranking, retrieval};
use crate::{Error, Result};

/// The `count` images of `images` that the components of `aligned` match best with each of `texts`: the product of a text
/// with the sum of the components' aligned contributions, not divided by lengths, as published. Which components, is said by
/// a selection: `retrieve_by_text(&images, &aligned.select(&top)?, &texts, 5)`. They may be in memory or in chunks.
///
/// # Errors
/// When `aligned` is of other images, the texts are another CLIP's, or an image cannot be read.
pub fn retrieve_by_text(
    images: impl DataSet,
    aligned: impl AlignedStack,
    texts: impl AsRef<TextEmbeddings>,
    count: usize,
) -> Result<Retrieved> {
    let texts = texts.as_ref();
    let set: &dyn DataSet = &images;
    let names = check(set, &aligned, texts)?;
    let components = aligned.component_names();
    let all: Vec<usize> = (0..components.len()).collect();
    let products = retrieval::by_texts(&aligned, &[all], texts)?;
    let rows = texts
        .texts()
        .iter()
        .zip(&products[0])
        .map(|(text, scores)| {
            let found = retrieval::nearest(&names, scores, count)?;
            RetrievedRow::new(set, text.clone(), components.clone(), &found)
        });
    Ok(Retrieved {
        title: title(set, &aligned, &format!("{} components", components.len())),
        score: "product with the text",
        probe: None,
        rows: rows.collect::<Result<_>>()?,
        beside: None,
    })
}

/// The same for groups of `size` consecutive components of `ranking`, the first `groups` of them: what each finds for each
/// of `texts`. The pictures of the paper's appendix: one column a group, most relevant on the left, which should get worse
/// to the right.
///
/// # Errors
/// As [`retrieve_by_text`]; fewer components than the groups take.
pub fn retrieve_by_groups(
    images: impl DataSet,
    aligned: impl AlignedStack,
    ranking: &Ranking,
    (groups, size): (usize, usize),
    texts: impl AsRef<TextEmbeddings>,
    count: usize,
) -> Result<Retrieved> {
    let texts = texts.as_ref();
    let set: &dyn DataSet = &images;
    let names = check(set, &aligned, texts)?;
    ranking.check("retrieving images", &aligned)?;
    if groups * size == 0 || groups * size > ranking.len() {
        return Err(Error::argument(
            "groups",
            format!("{groups} of {size}"),
            format!(
                "one component or more, and at most the {} ranked",
                ranking.len()
            ),
        ));
    }
    let grouped = || ranking.chunks(size).take(groups);
    let sets = grouped().map(|group| group.iter().map(|ranked| ranked.index).collect());
    let products = retrieval::by_texts(&aligned, &sets.collect::<Vec<Vec<usize>>>(), texts)?;
    let mut columns = Vec::new();
    for (g, (group, products)) in grouped().zip(&products).enumerate() {
        let components: Vec<String> = group.iter().map(|r| r.name.clone()).collect();
        // Text 1's images, then text 2's, below each other.
        let mut column = Vec::new();
        for (text, scores) in texts.texts().iter().zip(products) {
            let found = retrieval::nearest(&names, scores, count)?;
            let places = format!("{} to {}", g * size + 1, (g + 1) * size);
            let query = format!("{text}, components {places}");
            column.push(RetrievedRow::new(set, query, components.clone(), &found)?);
        }
        columns.push(column);
    }
    let rows = (0..texts.texts().len())
        .flat_map(|j| {
            columns
                .iter()
                .map(move |column: &Vec<RetrievedRow>| column[j].clone())
        })
        .collect();
    Ok(Retrieved {
        title: title(set, &aligned, &format!("groups of {size} components")),
        score: "product with the text",
        probe: None,
        rows,
        beside: Some(groups),
    })
}

/// The names of the images, which are those of `aligned`.
fn check(
    set: &dyn DataSet,
    aligned: &impl AlignedStack,
    texts: &TextEmbeddings,
) -> Result<Vec<String>> {
    let doing = "retrieving images";
    if let Some(origin) = texts.origin() {
        aligned.check_space(doing, "texts", &origin.clip)?;
    }
    let of = aligned.made_of().map(|origin| &origin.images);
    check_images(doing, of, aligned.image_count(), set)?;
    Ok((0..set.len()).map(|i| set.image_name(i)).collect())
}

fn title(set: &dyn DataSet, aligned: &impl AlignedStack, what: &str) -> String {
    let model = aligned
        .made_of()
        .map_or(String::new(), |origin| format!("{}: ", origin.model));
    format!(
        "{model}images by text, {what}, {}, n = {}",
        set.name(),
        set.len()
    )
}
