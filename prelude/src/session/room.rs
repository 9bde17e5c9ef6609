//! Whether a decomposition will fit in memory, said before it starts.

use super::registry::make_room;
use crate::data::DataSet;
use crate::decompose::{DecomposeOptions, Granularity};
use crate::facts::{count, size};
use crate::models::Model;
use crate::process::memory::{available, available_on};
use crate::store::StorePlan;
use crate::{Error, Result};
use candle_core::Device;

/// The device on which a decomposition of all images of `set` is kept: the model's, unless it would fill more than half of
/// what is free on a GPU; then it is kept in the host's memory, to which batches are copied as they are done.
///
/// Refuses one that takes more of the host's memory than there is, and says how much one takes that needs more than half of
/// it. Where what is free is not known (another system than Linux), a large one is announced only.
///
/// # Errors
/// When it will not fit.
pub(super) fn check(
    model: &Model,
    set: &dyn DataSet,
    options: &DecomposeOptions,
    plan: &StorePlan,
) -> Result<Device> {
    let device = model.encoder().device();
    let all = (plan.bytes_per_image() as u64).saturating_mul(set.len() as u64);
    if stays_on_device(all, device.is_cpu(), || available_on(device)) {
        return Ok(device.clone());
    }
    // What can be found again makes room. The process may keep its memory for itself, so that the system does not say so.
    let free = available().map(|free| free + make_room(all.saturating_sub(free)));
    let fit = Fit {
        what: format!("{} of {}", model.name(), set.name()),
        images: set.len(),
        components: plan.components.len(),
        width: plan.width,
        each: plan.bytes_per_image() as u64,
        granularity: options.granularity,
    };
    if let Some(said) = fit.against(free)? {
        eprintln!("{said}");
    }
    Ok(Device::Cpu)
}

/// Whether so many bytes are kept on a device other than the CPU, of which so many may be free.
fn stays_on_device(all: u64, cpu: bool, free: impl FnOnce() -> Option<u64>) -> bool {
    !cpu && free().is_none_or(|free| all <= free / 2)
}

/// What is to be decomposed.
struct Fit {
    what: String,
    images: usize,
    components: usize,
    width: usize,
    /// Bytes that the contributions of one image take.
    each: u64,
    granularity: Granularity,
}

/// A decomposition of so many bytes is announced where what is free is not known.
const LARGE: u64 = 4_000_000_000;

impl Fit {
    /// What is said before it starts, if anything, where `free` bytes are.
    fn against(&self, free: Option<u64>) -> Result<Option<String>> {
        let all = self.each.saturating_mul(self.images as u64);
        let (images, components) = (
            count(self.images, "image"),
            count(self.components, "component"),
        );
        let tokens = match self.granularity {
            Granularity::Tokens => ", and their source tokens",
            _ => "",
        };
        let takes = format!(
            "{images} x {components} x {} channels{tokens}: {}",
            self.width,
            size(all as usize)
        );
        let Some(free) = free else {
            let said = format!(
                "decomposing {} takes {takes}; how much memory is free is not known",
                self.what
            );
            return Ok((all > LARGE).then_some(said));
        };
        if all <= free {
            let said = format!(
                "decomposing {} takes {takes}; {} are free",
                self.what,
                size(free as usize)
            );
            return Ok((all > free / 2).then_some(said));
        }
        Err(Error::argument(
            "decomposition",
            format!("{} for {}", size(all as usize), self.what),
            format!(
                "at most {}, what is free; it takes {takes}. {}",
                size(free as usize),
                self.remedies(free)
            ),
        ))
    }

    fn remedies(&self, free: u64) -> String {
        // A tenth is left for the forward pass.
        let most = (free / 10 * 9) / self.each.max(1);
        let mut remedies = Vec::new();
        if most > 0 {
            remedies.push(format!("take fewer images, images.first({most})?"));
        }
        match self.granularity {
            Granularity::Tokens => {
                remedies.push("leave source tokens out (Granularity::Heads)".into())
            }
            Granularity::Heads => remedies.push("take layers (Granularity::Layers)".into()),
            Granularity::Layers => {}
        }
        remedies.push("decompose later blocks only (DecomposeOptions::first_block)".into());
        remedies.push("put them into a store, decompose_into(\"run.zarr\", ..)?".into());
        remedies.push("or forget(\"NAME\") something that resident() lists".into());
        let text = remedies.join("; ");
        text[..1].to_uppercase() + &text[1..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(images: usize) -> Fit {
        Fit {
            what: "vit of photos".into(),
            images,
            components: 169,
            width: 768,
            each: 4 * 170 * 768,
            granularity: Granularity::Heads,
        }
    }

    #[test]
    fn what_will_not_fit_is_refused_with_what_will() {
        let free = 8_000_000_000;
        let error = fit(50_000).against(Some(free)).unwrap_err().to_string();
        for part in [
            "decomposition = 26.1 GB for vit of photos",
            "at most 8.0 GB",
            "50000 images x 169 components x 768 channels: 26.1 GB",
            "Take fewer images, images.first(13786)?",
            "Granularity::Layers",
            "forget(",
        ] {
            assert!(error.contains(part), "no \"{part}\" in: {error}");
        }
        // The remedy, followed to the letter: it fits, and is announced.
        let said = fit(13786).against(Some(free)).expect("it fits");
        assert!(said.is_some_and(|said| said.contains("8.0 GB are free")));
        assert!(fit(1000).against(Some(free)).expect("it fits").is_none());
    }

    #[test]
    fn what_fills_more_than_half_of_a_gpu_is_kept_beside_it() {
        assert!(!stays_on_device(1, true, || Some(100)));
        assert!(stays_on_device(50, false, || Some(100)));
        assert!(!stays_on_device(51, false, || Some(100)));
        assert!(stays_on_device(1 << 60, false, || None));
    }

    #[test]
    fn where_nothing_is_known_a_large_one_is_announced() {
        let said = fit(50_000).against(None).expect("nothing is refused");
        assert!(said.is_some_and(|said| said.contains("is not known")));
        assert!(
            fit(100)
                .against(None)
                .expect("nothing is refused")
                .is_none()
        );
        // No number of images overflows.
        assert!(fit(usize::MAX).against(Some(1)).is_err());
    }
}
