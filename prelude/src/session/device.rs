//! The device models are loaded onto.

use crate::{Error, Result};
use candle_core::{Device, cuda};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The device that was chosen or found; none until it is asked for, and as long as there is none to be had.
static DEVICE: Mutex<Option<Device>> = Mutex::new(None);

/// The device models are loaded onto: what [`set_device`] chose, else the first CUDA device in a build with CUDA, and the CPU
/// in one without.
///
/// # Errors
/// In a build with CUDA whose driver or first device does not answer, until [`set_device`] has chosen another: what was
/// meant for a GPU does not go on on the CPU unnoticed.
pub fn device() -> Result<Device> {
    let mut device = DEVICE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(chosen) = &*device {
        return Ok(chosen.clone());
    }
    let found = match candle_core::utils::cuda_is_available() {
        true => gpu(0).map_err(|reason| Error::Device {
            wanted: "cuda:0".to_string(),
            reason: format!(
                "this build has CUDA, and the device does not answer ({reason}); call set_device(\"cpu\")? to compute on the CPU",
            ),
        })?,
        false => Device::Cpu,
    };
    *device = Some(found.clone());
    Ok(found)
}

/// The GPUs that were opened: candle takes one that is opened twice for two, and refuses operations between them.
static GPUS: Mutex<BTreeMap<usize, Device>> = Mutex::new(BTreeMap::new());

/// GPU number `ordinal`, or what its driver says.
fn gpu(ordinal: usize) -> std::result::Result<Device, String> {
    let mut gpus = GPUS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(gpu) = gpus.get(&ordinal) {
        return Ok(gpu.clone());
    }
    // A stream of its own: `new_cuda` takes the driver's stream of the calling thread, so that what several threads do to a
    // value, as loading, decomposing and storing do here, would not wait for each other.
    let gpu = Device::new_cuda_with_stream(ordinal).map_err(|e| first_line(&e))?;
    gpus.insert(ordinal, gpu.clone());
    Ok(gpu)
}

/// Whether products of f32 on a GPU may be taken in TF32.
pub(super) fn tf32() -> bool {
    cuda::gemm_reduced_precision_f32()
}

/// Take products of f32 on GPUs in TF32 from now on, or not: ten bits of precision in place of twenty-three, sums in f32, and
/// several times as fast on GPUs that have it (NVIDIA's since 2020). Not at the start, as in PyTorch. Results are kept apart.
///
/// # Errors
/// When it is asked for in a build without CUDA.
pub fn set_tf32(on: bool) -> Result<()> {
    if on && !candle_core::utils::cuda_is_available() {
        return Err(Error::Device {
            wanted: "TF32".to_string(),
            reason: "this build has no CUDA; build vitrepl with `--features cuda`, or leave it off"
                .into(),
        });
    }
    cuda::set_gemm_reduced_precision_f32(on);
    Ok(())
}

/// What an error says, without a stack of calls.
fn first_line(e: &candle_core::Error) -> String {
    let text = e.to_string();
    text.lines().next().unwrap_or_default().to_string()
}

/// The names of the devices there are, `cpu` first; an error of the driver in place of the others where it does not answer.
pub(super) fn known_devices() -> Vec<String> {
    let mut names = vec!["cpu".to_string()];
    match cuda_count() {
        Ok(count) => names.extend((0..count).map(|i| format!("cuda:{i}"))),
        Err(e) => names.push(format!("cuda: {e}")),
    }
    names
}

/// The number of CUDA devices.
#[cfg(feature = "cuda")]
fn cuda_count() -> std::result::Result<i32, String> {
    let count = candle_core::cuda_backend::cudarc::driver::CudaContext::device_count();
    count.map_err(|e| e.to_string())
}

/// The number of CUDA devices that a build without CUDA has.
#[cfg(not(feature = "cuda"))]
fn cuda_count() -> std::result::Result<i32, String> {
    Ok(0)
}

/// Choose the device of models loaded from now on: `"cpu"`, `"cuda"` or `"cuda:N"`. What is resident stays where
/// it is.
///
/// # Errors
/// When the name is none of these, the library was built without CUDA, or the device is not there.
pub fn set_device(name: &str) -> Result<Device> {
    let fail = |reason: String| Error::Device {
        wanted: name.to_string(),
        reason,
    };
    let chosen = match name.split_once(':').unwrap_or((name, "0")) {
        ("cpu", _) => Device::Cpu,
        ("cuda", ordinal) => {
            let ordinal = ordinal.parse::<usize>();
            let ordinal = ordinal.map_err(|_| fail("write \"cuda:0\", \"cuda:1\", ...".into()))?;
            if !candle_core::utils::cuda_is_available() {
                let remedy =
                    "this build has no CUDA; build vitrepl with `--features cuda`, or take \"cpu\"";
                return Err(fail(remedy.into()));
            }
            gpu(ordinal).map_err(|reason| fail(format!("{reason}; take \"cpu\"")))?
        }
        _ => return Err(fail("known are \"cpu\", \"cuda\" and \"cuda:N\"".into())),
    };
    *DEVICE.lock().unwrap_or_else(PoisonError::into_inner) = Some(chosen.clone());
    Ok(chosen)
}
