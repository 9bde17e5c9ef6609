//! Names for components: the texts that span most of what each contributes (greedy text span, as in
//! "Interpreting CLIP's Image Representation via Text-Based Decomposition", Gandelsman, Efros, Steinhardt 2024).

use crate::charts::Table;
use crate::models::Model;
use crate::score::{self, Ranked};
use crate::{Result, session};
use candle_core::Tensor;

/// The `count` texts that label each of `components` best, out of `texts` in the 80 prompt templates; `aligned` is
/// n x B x D in the space of `clip`. Behind each text stands the standard deviation over images of the component's
/// projection on it.
///
/// # Errors
/// When `count` is 0 or above the number of texts, a component is not among the n, or `clip` has no text tower.
pub fn text_labels(
    clip: &Model,
    aligned: &Tensor,
    components: &[Ranked],
    texts: &[&str],
    count: usize,
) -> Result<Table> {
    let embeddings = session::class_embeddings(clip, texts)?;
    let header = ["component".to_string(), "score".to_string()]
        .into_iter()
        .chain((1..=count).map(|i| format!("text {i}")));
    let mut table = Table::new("components by the texts that span them").columns(header);
    for component in components {
        let data = aligned.get(component.index)?;
        let span = score::text_span(&data, &embeddings, count)?;
        let picked = span.picks.iter().zip(&span.std);
        let row = [component.name.clone(), format!("{:.3}", component.score)]
            .into_iter()
            .chain(picked.map(|(&text, std)| format!("{} ({std:.2})", texts[text])));
        table = table.row(row);
    }
    Ok(table)
}
