//! Text labels of a component: the greedy TextSpan of "Interpreting CLIP's Image Representation via Text-Based
//! Decomposition" (Gandelsman, Efros, Steinhardt, ICLR 2024), algorithm 1.

use candle_core::{DType, Device, Tensor};

use super::basis::CUT;
use super::enough;
use super::scatter::Scatter;
use super::vector::dot;
use crate::check;
use crate::decompose::{ImageChunks, each_block};
use crate::{Error, Result};

/// A standard deviation below this share of the data's is rounding.
const STILL: f64 = 1e-6;

/// The texts that span most of what a component does, in the order they were picked.
#[derive(Clone)]
pub struct TextSpan {
    /// Rows of the texts picked.
    pub picks: Vec<usize>,
    /// The (unbiased) standard deviation over images of the projection on each, when it was picked.
    pub std: Vec<f64>,
    /// Share of the data's variance that lies in the span of the picks so far.
    pub explained: Vec<f64>,
    /// Mean of the data plus its projection on the span of the picks, B x d, f32 on the CPU.
    pub reconstruction: Tensor,
}

/// Picks up to `directions` of `texts` (m x d) for `data` (B x d), one component's contributions: each time the
/// text on which the centred data varies most, then takes its direction out of data and texts alike. Texts are
/// taken as long as they are: the published code gives them unit length. Fewer are returned once nothing is left of the
/// data's variance, or of any text: one less than a thousandth of which lies outside the directions picked already
/// ("sea." after "sea") is no further direction.
///
/// Nothing is projected again after a pick: with the data's covariance S, the variance along a text x is x S x,
/// and taking out a direction u changes it by a rank-one term, so that a pick costs O(m d) instead of O(B m d).
///
/// # Errors
/// Shapes that do not fit, fewer than two images, data that do not vary, NaN or infinity, `directions` of 0, above m or
/// above the number of images.
pub fn text_span(data: &Tensor, texts: &Tensor, directions: usize) -> Result<TextSpan> {
    check::matrix("data", data)?;
    let mut spans = text_spans(&data.unsqueeze(0)?, &[0], texts, directions)?;
    Ok(spans.swap_remove(0))
}

/// [`text_span`] of several components of a stack (n x B x d), in two passes over the images for all of them.
///
/// # Errors
/// As [`text_span`]; a component that is not there.
pub fn text_spans<C: ImageChunks + ?Sized>(
    contributions: &C,
    components: &[usize],
    texts: &Tensor,
    directions: usize,
) -> Result<Vec<TextSpan>> {
    let spans = each_text_span(contributions, components, texts, directions)?;
    spans.into_iter().collect()
}

/// [`text_spans`] with an answer or an error for each component.
pub(crate) fn each_text_span<C: ImageChunks + ?Sized>(
    contributions: &C,
    components: &[usize],
    texts: &Tensor,
    directions: usize,
) -> Result<Vec<Result<TextSpan>>> {
    let (n, images, d) = contributions.extent("data")?;
    super::ablation::distinct(components, n)?;
    let (m, width) = check::matrix("texts", texts)?;
    check::same("texts", width, d, "channels")?;
    check::finite("texts", texts)?;
    if directions == 0 || directions > m {
        return Err(Error::argument(
            "directions",
            directions,
            format!("from 1 to {m}, the number of texts"),
        ));
    }
    if images < 2 {
        return Err(Error::data(
            "for text labels",
            "one image has no variance; give two or more",
        ));
    }
    if directions > images {
        return Err(Error::argument(
            "directions",
            directions,
            format!(
                "at most {images}, the number of images: fewer images cannot vary along so many texts"
            ),
        ));
    }
    let mut scatters = vec![Scatter::new(d); components.len()];
    each_block(contributions, |_, block| {
        for (scatter, &i) in scatters.iter_mut().zip(components) {
            let data = wide(&block.get(i)?)?;
            check::finite("data", &data)?;
            scatter.merge(&Scatter::of(&data)?);
        }
        Ok(())
    })?;
    let picked = scatters
        .iter()
        .map(|scatter| Picked::new(scatter, texts, directions));
    let mut spans: Vec<Result<Picked>> = picked.collect();
    each_block(contributions, |_, block| {
        for (picked, &i) in spans.iter_mut().zip(components) {
            if let Ok(picked) = picked {
                picked.rebuild(&wide(&block.get(i)?)?)?;
            }
        }
        Ok(())
    })?;
    let spans = spans.into_iter();
    Ok(spans.map(|picked| picked?.into_span()).collect())
}

/// On the CPU in f64.
fn wide(data: &Tensor) -> Result<Tensor> {
    Ok(data.to_device(&Device::Cpu)?.to_dtype(DType::F64)?)
}

/// The picks for one component, and the images rebuilt from them so far.
struct Picked {
    span: TextSpan,
    mean: Tensor,
    units: Tensor,
    rebuilt: Vec<Tensor>,
}

impl Picked {
    fn new(scatter: &Scatter, texts: &Tensor, directions: usize) -> Result<Self> {
        let d = scatter.width();
        let (images, m) = (scatter.rows(), texts.dim(0)?);
        let mut search = Search::new(&scatter.covariance()?, texts)?;
        if search.variance <= STILL * STILL * scatter.mean_square() {
            return Err(enough::constant(
                "data",
                format!("{images} images"),
                "they do not vary, so no text spans anything; leave this component out",
            ));
        }
        let (mut picks, mut std, mut explained) = (Vec::new(), Vec::new(), Vec::new());
        let mut taken: Vec<f64> = Vec::new();
        for _ in 0..directions {
            let Some((pick, deviation)) = search.best() else {
                break;
            };
            let unit = search.take(pick);
            picks.push(pick);
            std.push(deviation);
            explained.push(search.explained());
            taken.extend(unit);
        }
        if picks.is_empty() {
            return Err(Error::argument(
                "texts",
                format!("{m} texts"),
                "the data do not vary along any of them; give texts embedded by the CLIP the data are aligned to",
            ));
        }
        let units = Tensor::from_vec(taken, (picks.len(), d), &Device::Cpu)?;
        let mean = scatter.mean()?;
        Ok(Self {
            span: TextSpan {
                picks,
                std,
                explained,
                reconstruction: mean.clone(),
            },
            mean,
            units,
            rebuilt: Vec::new(),
        })
    }

    /// Of more images, `data` b x d.
    fn rebuild(&mut self, data: &Tensor) -> Result<()> {
        let centred = data.broadcast_sub(&self.mean)?;
        let rebuilt = centred
            .matmul(&self.units.t()?)?
            .matmul(&self.units)?
            .broadcast_add(&self.mean)?;
        self.rebuilt.push(rebuilt.to_dtype(DType::F32)?);
        Ok(())
    }

    fn into_span(self) -> Result<TextSpan> {
        Ok(TextSpan {
            reconstruction: Tensor::cat(&self.rebuilt, 0)?,
            ..self.span
        })
    }
}

struct Search {
    d: usize,
    /// d x d, of the data as given.
    covariance: Vec<f64>,
    variance: f64,
    seen: f64,
    /// What is left of each text, m x d, and its squared length; and the one it had.
    texts: Vec<f64>,
    left: Vec<f64>,
    whole: Vec<f64>,
    /// The variance of the data along what is left of each text.
    along: Vec<f64>,
}

impl Search {
    fn new(covariance: &Tensor, texts: &Tensor) -> Result<Self> {
        let d = covariance.dim(0)?;
        let texts = texts
            .to_device(&Device::Cpu)?
            .to_dtype(DType::F64)?
            .contiguous()?;
        let along = (texts.matmul(covariance)? * &texts)?.sum(1)?.to_vec1()?;
        let whole: Vec<f64> = texts.sqr()?.sum(1)?.to_vec1()?;
        let covariance: Vec<f64> = covariance.flatten_all()?.to_vec1()?;
        Ok(Self {
            variance: covariance.iter().step_by(d + 1).sum(),
            seen: 0.0,
            d,
            covariance,
            texts: texts.flatten_all()?.to_vec1()?,
            left: whole.clone(),
            whole,
            along,
        })
    }

    /// The text along which the data varies most, the first of equals, and the standard deviation.
    fn best(&self) -> Option<(usize, f64)> {
        let fresh = |j: &usize| {
            self.left[*j] > CUT * CUT * self.whole[*j]
                && self.along[*j] > STILL * STILL * self.variance * self.left[*j]
        };
        let pick = (0..self.along.len()).filter(fresh).reduce(|best, j| {
            if self.along[j] > self.along[best] {
                j
            } else {
                best
            }
        })?;
        Some((pick, self.along[pick].max(0.0).sqrt()))
    }

    /// Takes the direction of text `pick` out of all texts; the direction, of unit length.
    fn take(&mut self, pick: usize) -> Vec<f64> {
        let d = self.d;
        let length = self.left[pick].sqrt();
        let unit: Vec<f64> = self.texts[pick * d..(pick + 1) * d]
            .iter()
            .map(|x| x / length)
            .collect();
        let pulled: Vec<f64> = self
            .covariance
            .chunks_exact(d)
            .map(|row| dot(row, &unit))
            .collect();
        let own = dot(&unit, &pulled);
        self.seen += own;
        for (j, text) in self.texts.chunks_exact_mut(d).enumerate() {
            let a = dot(text, &unit);
            // (x - a u) S (x - a u)
            self.along[j] += a * (a * own - 2.0 * dot(text, &pulled));
            text.iter_mut().zip(&unit).for_each(|(x, u)| *x -= a * u);
            self.left[j] = dot(text, text);
        }
        self.left[pick] = 0.0;
        unit
    }

    fn explained(&self) -> f64 {
        (self.seen / self.variance).min(1.0)
    }
}
