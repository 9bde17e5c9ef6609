//! Values on their way to the device that computes, and back.
//!
//! Copies to and from a GPU go on streams of their own, beside what it computes: a computation waits for the values that it
//! takes, a copy for the computation that makes its values, and neither for anything else.

#[cfg(feature = "cuda")]
use super::raw::cuda::{Downloads, Uploads};
use candle_core::{Device, Result, Tensor};
#[cfg(feature = "cuda")]
use candle_core::{Storage, op::BackpropOp};

/// The way to a device. To a GPU values go through page-locked memory, which is taken once and from which they are copied
/// while the thread goes on.
pub(crate) struct Upload {
    device: Device,
    #[cfg(feature = "cuda")]
    uploads: Option<Uploads>,
}

impl Upload {
    /// To `device`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn to(device: &Device) -> Result<Self> {
        Ok(Self {
            device: device.clone(),
            #[cfg(feature = "cuda")]
            uploads: match device {
                Device::Cuda(gpu) => Some(Uploads::to(gpu)?),
                _ => None,
            },
        })
    }

    /// `x` on the device.
    ///
    /// # Errors
    /// When the device fails or has too little memory.
    pub fn bring(&mut self, x: &Tensor) -> Result<Tensor> {
        #[cfg(feature = "cuda")]
        if let (Some(uploads), true) = (&mut self.uploads, x.device().is_cpu() && is_plain(x)) {
            let x = x.contiguous()?;
            let (storage, layout) = x.storage_and_layout();
            if let (Storage::Cpu(values), Some((from, to))) =
                (&*storage, layout.contiguous_offsets())
            {
                let values = &values.as_slice::<f32>()?[from..to];
                let there = Storage::Cuda(uploads.upload(values)?);
                return Ok(Tensor::from_storage(
                    there,
                    x.shape(),
                    BackpropOp::none(),
                    false,
                ));
            }
        }
        x.to_device(&self.device)
    }
}

/// `x` on `device`; what is computed on a GPU meanwhile is not waited for.
///
/// # Errors
/// When a device fails or has too little memory.
pub(crate) fn moved(x: &Tensor, device: &Device) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if let (Device::Cuda(gpu), true) = (x.device(), device.is_cpu() && is_plain(x)) {
        let x = x.contiguous()?;
        let (storage, layout) = x.storage_and_layout();
        if let (Storage::Cuda(values), Some((from, to))) = (&*storage, layout.contiguous_offsets())
        {
            let values = Downloads::from(gpu)?.download(values, from..to)?;
            return Tensor::from_vec(values, x.shape(), device);
        }
    }
    x.to_device(device)
}

/// Whether it is of f32 without a gradient.
#[cfg(feature = "cuda")]
fn is_plain(x: &Tensor) -> bool {
    x.dtype() == candle_core::DType::F32 && !x.track_op()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_come_to_the_cpu_is_there_already() -> Result<()> {
        let cpu = &Device::Cpu;
        let x = Tensor::arange(0f32, 6., cpu)?.reshape((3, 2))?.t()?;
        for there in [Upload::to(cpu)?.bring(&x)?, moved(&x, cpu)?] {
            assert_eq!(there.to_vec2::<f32>()?, x.to_vec2::<f32>()?);
        }
        Ok(())
    }
}
