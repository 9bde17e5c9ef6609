//! The device models are loaded onto.

use crate::{Error, Result};
use candle_core::Device;
use std::sync::{LazyLock, Mutex, PoisonError};

/// CUDA when this library was built with it and there is such a device, else the CPU.
static DEVICE: LazyLock<Mutex<Device>> = LazyLock::new(|| {
    let found = Device::cuda_if_available(0).unwrap_or(Device::Cpu);
    Mutex::new(found)
});

/// The device models are loaded onto.
pub fn device() -> Device {
    DEVICE
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
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
            Device::new_cuda(ordinal).map_err(|e| fail(format!("{e}; take \"cpu\"")))?
        }
        _ => return Err(fail("known are \"cpu\", \"cuda\" and \"cuda:N\"".into())),
    };
    *DEVICE.lock().unwrap_or_else(PoisonError::into_inner) = chosen.clone();
    Ok(chosen)
}
