//! Names for components: the texts that span most of what each contributes (greedy text span, as in
//! "Interpreting CLIP's Image Representation via Text-Based Decomposition", Gandelsman, Efros, Steinhardt 2024).

use crate::align::AlignedStack;
use crate::charts::Table;
use crate::identity::ModelId;
use crate::models::Model;
use crate::score::{self, Ranking};
use crate::{Error, Result, session};

/// The `count` texts that label each of `components` (of [`Scores::top`](crate::score::Scores::top)) best, out of `texts`
/// in the 80 prompt templates; `aligned` are these components in the space of `clip`. Behind each text stands the standard deviation over images of the component's
/// projection on it.
///
/// # Errors
/// When `count` is 0 or above the number of texts, `clip` has no text tower or is not the one aligned to, or the
/// components were ranked for another model.
pub fn text_labels<A: AlignedStack + ?Sized>(
    clip: impl AsRef<Model>,
    aligned: &A,
    components: &Ranking,
    texts: &[&str],
    count: usize,
) -> Result<Table> {
    let clip = clip.as_ref();
    let doing = "labelling components";
    aligned.check_space(doing, "texts", &ModelId::of(clip))?;
    components.check(doing, aligned)?;
    let embeddings = session::class_embeddings(clip, texts)?;
    let header = ["component".to_string(), "score".to_string()]
        .into_iter()
        .chain((1..=count).map(|i| format!("text {i}")));
    let mut table = Table::new("components by the texts that span them").columns(header);
    let places: Vec<usize> = components.iter().map(|ranked| ranked.index).collect();
    let spans = score::each_text_span(aligned, &places, &embeddings, count)?;
    for (component, span) in components.iter().zip(spans) {
        let span =
            span.map_err(|e| Error::data(&component.name, format!("it cannot be labelled ({e})")))?;
        let picked = span.picks.iter().zip(&span.std);
        let row = [component.name.clone(), format!("{:.3}", component.score)]
            .into_iter()
            .chain(picked.map(|(&text, std)| format!("{} ({std:.2})", texts[text])));
        table = table.row(row);
    }
    Ok(table)
}
