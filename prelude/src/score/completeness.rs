//! How much of a representation a few texts a head account for: heads are rebuilt from their texts and classified
//! ("Interpreting CLIP's Image Representation via Text-Based Decomposition", Gandelsman, Efros, Steinhardt 2024,
//! section 4 and `compute_complete_text_set.py`).

use candle_core::{DType, Device, Tensor};
use nalgebra::DMatrix;

use super::{component_means, text_span};
use crate::check;
use crate::{Error, Result};

/// What a component becomes when a representation is rebuilt from texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rebuild {
    /// It is replaced by its mean plus the part within the span of its texts.
    FromTexts,
    /// The component is replaced by its mean over the images.
    Mean,
    /// The component stays as it is.
    Keep,
}

/// A representation rebuilt from texts.
#[derive(Clone)]
pub struct Rebuilt {
    /// For each component rebuilt from texts, in order: its place in the stack, and the rows of its texts as picked.
    pub picks: Vec<(usize, Vec<usize>)>,
    /// Those components as rebuilt, one B x d each, in the same order.
    pub components: Vec<Tensor>,
    /// The sum over all components, rebuilt or not: B x d.
    pub representation: Tensor,
}

impl Rebuilt {
    /// Number of different texts of all components.
    pub fn distinct_texts(&self) -> usize {
        let mut all: Vec<usize> = self
            .picks
            .iter()
            .flat_map(|(_, picks)| picks.clone())
            .collect();
        all.sort_unstable();
        all.dedup();
        all.len()
    }
}

/// Rebuilds representations from `contributions` (n x B x d), each component as `rebuild` (n) says. A component that is
/// rebuilt gets `count` of `texts` (m x d) by the greedy text span, whose candidates are first projected on the first
/// `rank` right singular vectors of the component's data, not centred, as published: a text cannot then be picked for
/// directions that the component does not have.
///
/// # Errors
/// Shapes that do not fit, NaN or infinity, a `count` or `rank` outside what there is, fewer than two images.
pub fn rebuild_from_texts(
    contributions: &Tensor,
    rebuild: &[Rebuild],
    texts: &Tensor,
    count: usize,
    rank: usize,
) -> Result<Rebuilt> {
    let (n, images, d) = check::stack("contributions", contributions)?;
    let (_, width) = check::matrix("texts", texts)?;
    check::same("rebuild", rebuild.len(), n, "components")?;
    check::same("texts", width, d, "channels")?;
    let most = images.min(d);
    if rank == 0 || rank > most {
        return Err(Error::argument(
            "rank",
            rank,
            format!("from 1 to {most}, the fewer of images and channels"),
        ));
    }
    let means = component_means(contributions)?;
    let contributions = check::f32(contributions)?;
    let mut rebuilt = Rebuilt {
        picks: Vec::new(),
        components: Vec::new(),
        representation: Tensor::zeros((images, d), DType::F32, contributions.device())?,
    };
    for (i, how) in rebuild.iter().enumerate() {
        let data = contributions.get(i)?;
        let part = match how {
            Rebuild::Keep => data,
            Rebuild::Mean => means.get(i)?.unsqueeze(0)?.broadcast_as((images, d))?,
            Rebuild::FromTexts => {
                let projected = projected(texts, &data, rank)?;
                let span = text_span(&data, &projected, count)?;
                let part = span.reconstruction.to_device(contributions.device())?;
                rebuilt.picks.push((i, span.picks));
                rebuilt.components.push(part.clone());
                part
            }
        };
        rebuilt.representation = (rebuilt.representation + part)?;
    }
    Ok(rebuilt)
}

/// `texts` (m x d) projected on the first `rank` right singular vectors of `data` (B x d).
fn projected(texts: &Tensor, data: &Tensor, rank: usize) -> Result<Tensor> {
    let d = data.dim(1)?;
    let cpu = |t: &Tensor| {
        t.to_device(&Device::Cpu)?
            .to_dtype(DType::F64)?
            .contiguous()
    };
    let data = cpu(data)?;
    let vectors = eigenvectors(&data.t()?.matmul(&data)?, rank)?;
    let vectors = Tensor::from_vec(vectors, (rank, d), &Device::Cpu)?;
    let texts = cpu(texts)?;
    Ok(texts.matmul(&vectors.t()?)?.matmul(&vectors)?)
}

/// The eigenvectors of a symmetric matrix with the `count` largest eigenvalues, as rows one after another.
fn eigenvectors(symmetric: &Tensor, count: usize) -> Result<Vec<f64>> {
    let (size, _) = symmetric.dims2()?;
    let values: Vec<f64> = symmetric.flatten_all()?.to_vec1()?;
    let decomposed = DMatrix::from_vec(size, size, values).symmetric_eigen();
    let mut order: Vec<usize> = (0..size).collect();
    order.sort_by(|a, b| decomposed.eigenvalues[*b].total_cmp(&decomposed.eigenvalues[*a]));
    let columns = order.iter().take(count);
    Ok(columns
        .flat_map(|&i| {
            decomposed
                .eigenvectors
                .column(i)
                .iter()
                .copied()
                .collect::<Vec<_>>()
        })
        .collect())
}
