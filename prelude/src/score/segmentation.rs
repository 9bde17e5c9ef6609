//! How well a map separates an object from its background, under the names of three published protocols.
//!
//! All of them threshold a map at its own mean and count pixels. They differ in what they call IoU and average
//! precision: "Decomposing and Interpreting Image Representations via Text in ViTs Beyond CLIP" accumulates the IoU of
//! the foreground alone, CLIP-PRS (Gandelsman et al., ICLR 2024) and Chefer et al. (CVPR 2021) average background and
//! foreground, and CLIP-PRS joins both classes in its average precision. Each has a method of its own here.

use candle_core::{DType, Device, Tensor};

use crate::{Error, Result};

/// The label of mask pixels that belong to neither object nor background.
pub const LEFT_OUT: u8 = 255;

/// Pixels of one or more images, as counts that add up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PixelCounts {
    /// Labelled pixels that are predicted as they are labelled.
    pub correct: u64,
    /// Pixels that are not left out.
    pub labelled: u64,
    /// Of background and foreground: pixels that are both predicted and labelled so.
    pub intersection: [u64; 2],
    /// Of background and foreground: labelled pixels that are predicted or labelled so.
    pub union: [u64; 2],
}

impl PixelCounts {
    /// The share of labelled pixels that are predicted rightly; NaN where none is labelled.
    pub fn pixel_accuracy(&self) -> f64 {
        ratio(self.correct, self.labelled)
    }

    /// Intersection over union of background and foreground; NaN where a union is empty.
    pub fn iou(&self) -> [f64; 2] {
        [0, 1].map(|class| ratio(self.intersection[class], self.union[class]))
    }
}

impl std::ops::AddAssign for PixelCounts {
    fn add_assign(&mut self, other: Self) {
        self.correct += other.correct;
        self.labelled += other.labelled;
        for class in [0, 1] {
            self.intersection[class] += other.intersection[class];
            self.union[class] += other.union[class];
        }
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// A segmented image.
#[derive(Clone)]
pub struct Segmented {
    /// The mean of the map over all pixels, those that the mask leaves out too.
    pub threshold: f64,
    /// Whether each pixel is above the threshold, row by row.
    pub foreground: Vec<bool>,
    pub counts: PixelCounts,
    /// scikit-learn's `average_precision_score` of the map against the foreground over the labelled pixels; 0 where the
    /// mask has no foreground.
    pub average_precision: f64,
    /// CLIP-PRS's: the map scaled to 0..1 and 1 less it as one list against foreground and background.
    pub joined_average_precision: f64,
    /// Whether the mask has foreground.
    pub has_foreground: bool,
}

/// Segments by `map` (H x W): foreground is what lies above the map's mean; and compares that with `mask`
/// (H x W, u8: 0 background, 255 left out, everything else foreground).
///
/// # Errors
/// Shapes that differ, NaN or infinity, a mask that labels no pixel.
pub fn segment(map: &Tensor, mask: &Tensor) -> Result<Segmented> {
    let (height, width) = crate::check::matrix("map", map)?;
    crate::check::finite("map", map)?;
    if mask.dims() != [height, width] {
        return Err(Error::argument(
            "mask",
            format!("{:?}", mask.dims()),
            format!("[{height}, {width}], as the map; enlarge the map to the mask's size first"),
        ));
    }
    let flat = |t: &Tensor, dtype| t.to_device(&Device::Cpu)?.to_dtype(dtype)?.flatten_all();
    let map: Vec<f64> = flat(map, DType::F64)?.to_vec1()?;
    let mask: Vec<u8> = flat(mask, DType::U8)?.to_vec1()?;
    let threshold = map.iter().sum::<f64>() / map.len() as f64;
    let foreground: Vec<bool> = map.iter().map(|v| *v > threshold).collect();

    let labelled = || (0..map.len()).filter(|&i| mask[i] != LEFT_OUT);
    let mut counts = PixelCounts::default();
    for i in labelled() {
        let (predicted, label) = (usize::from(foreground[i]), usize::from(mask[i] > 0));
        counts.labelled += 1;
        counts.union[label] += 1;
        match predicted == label {
            true => {
                counts.correct += 1;
                counts.intersection[label] += 1;
            }
            false => counts.union[predicted] += 1,
        }
    }
    if counts.labelled == 0 {
        return Err(Error::argument(
            "mask",
            format!("{LEFT_OUT} everywhere"),
            "at least one pixel labelled 0 (background) or 1 (foreground)",
        ));
    }
    let own: Vec<(f64, bool)> = labelled().map(|i| (map[i], mask[i] > 0)).collect();
    let (low, high) = own
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), (v, _)| {
            (low.min(*v), high.max(*v))
        });
    let scaled = |v: f64| match high > low {
        true => (v - low) / (high - low),
        false => 0.0,
    };
    let joined = own.iter().flat_map(|&(v, object)| {
        let v = scaled(v);
        // A constant map says nothing of either class.
        let background = if high > low { 1.0 - v } else { 0.0 };
        [(v, object), (background, !object)]
    });
    Ok(Segmented {
        threshold,
        foreground,
        counts,
        joined_average_precision: average_precision(joined.collect()),
        has_foreground: own.iter().any(|(_, object)| *object),
        average_precision: average_precision(own),
    })
}

/// The sum over thresholds of precision times the gain in recall, as scikit-learn's `average_precision_score`; equal
/// scores are one threshold. 0 where nothing is positive.
fn average_precision(mut scored: Vec<(f64, bool)>) -> f64 {
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let positives = scored.iter().filter(|(_, positive)| *positive).count();
    let (mut found, mut seen, mut sum) = (0, 0, 0.0);
    for tied in scored.chunk_by(|a, b| a.0 == b.0) {
        let more = tied.iter().filter(|(_, positive)| *positive).count();
        found += more;
        seen += tied.len();
        sum += more as f64 * found as f64 / seen as f64;
    }
    match positives {
        0 => 0.0,
        n => sum / n as f64,
    }
}

/// A map with what lies below 0 cut off, divided by its largest value (as the paper prepares its maps); all 0 where
/// nothing lies above 0.
///
/// # Errors
/// When it is no matrix, or holds NaN or infinity.
pub fn clipped(map: &Tensor) -> Result<Tensor> {
    crate::check::matrix("map", map)?;
    crate::check::finite("map", map)?;
    let map = map.relu()?;
    let most = map.max_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()?;
    match most > 0.0 {
        true => Ok((map / most)?),
        false => Ok(map),
    }
}

/// The sums over a set of images from which every published measure follows. Sums of parts of a set can be added.
#[derive(Debug, Clone, Copy, Default)]
pub struct SegmentationScores {
    counts: PixelCounts,
    images: u64,
    images_with_foreground: u64,
    precision: f64,
    precision_with_foreground: f64,
    joined: f64,
}

impl SegmentationScores {
    /// With one more image.
    pub fn add(&mut self, image: &Segmented) {
        self.counts += image.counts;
        self.images += 1;
        self.precision += image.average_precision;
        self.joined += image.joined_average_precision;
        if image.has_foreground {
            self.images_with_foreground += 1;
            self.precision_with_foreground += image.average_precision;
        }
    }

    /// With the images of another part of the set.
    pub fn merge(&mut self, other: &Self) {
        self.counts += other.counts;
        self.images += other.images;
        self.images_with_foreground += other.images_with_foreground;
        self.precision += other.precision;
        self.precision_with_foreground += other.precision_with_foreground;
        self.joined += other.joined;
    }

    /// Number of images.
    pub fn images(&self) -> u64 {
        self.images
    }

    /// The pixels of all images.
    pub fn counts(&self) -> &PixelCounts {
        &self.counts
    }

    /// Correct pixels over labelled pixels of all images.
    pub fn pixel_accuracy(&self) -> f64 {
        self.counts.pixel_accuracy()
    }

    /// Intersections over unions of the foreground, summed over all images: what the paper calls mIoU.
    pub fn foreground_iou(&self) -> f64 {
        self.counts.iou()[1]
    }

    /// The mean of background's and foreground's IoU, each summed over all images: CLIP-PRS's and Chefer et al.'s mIoU.
    pub fn mean_iou(&self) -> f64 {
        self.counts.iou().iter().sum::<f64>() / 2.0
    }

    /// The mean over images of the average precision of the foreground: the paper's mAP. An image without foreground
    /// counts 0.
    pub fn mean_average_precision(&self) -> f64 {
        self.precision / self.images as f64
    }

    /// The mean of the average precision over the images that have foreground.
    pub fn mean_average_precision_with_foreground(&self) -> f64 {
        self.precision_with_foreground / self.images_with_foreground as f64
    }

    /// The mean over images of the average precision that joins both classes: CLIP-PRS's mAP.
    pub fn joined_mean_average_precision(&self) -> f64 {
        self.joined / self.images as f64
    }
}
