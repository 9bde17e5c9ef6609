//! Values on their way to the device that computes.

#[cfg(feature = "cuda")]
use super::raw::cuda::Pinned;
use candle_core::{Device, Result, Tensor};
#[cfg(feature = "cuda")]
use candle_core::{Storage, op::BackpropOp};

/// The way to a device. To a GPU values go through page-locked memory, which is taken once and from which they are copied
/// while the thread goes on.
pub(crate) struct Upload {
    device: Device,
    #[cfg(feature = "cuda")]
    pinned: Pinned,
}

impl Upload {
    /// To `device`.
    pub fn to(device: &Device) -> Self {
        Self {
            device: device.clone(),
            #[cfg(feature = "cuda")]
            pinned: Pinned::default(),
        }
    }

    /// `x` on the device.
    ///
    /// # Errors
    /// When the device fails or has too little memory.
    pub fn bring(&mut self, x: &Tensor) -> Result<Tensor> {
        #[cfg(feature = "cuda")]
        if let (Device::Cuda(device), true) = (&self.device, is_host_f32(x)) {
            let x = x.contiguous()?;
            let (storage, layout) = x.storage_and_layout();
            if let (Storage::Cpu(values), Some((from, to))) =
                (&*storage, layout.contiguous_offsets())
            {
                let values = &values.as_slice::<f32>()?[from..to];
                let there = Storage::Cuda(self.pinned.upload(values, device)?);
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

#[cfg(feature = "cuda")]
fn is_host_f32(x: &Tensor) -> bool {
    x.device().is_cpu() && x.dtype() == candle_core::DType::F32 && !x.track_op()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_brought_to_the_cpu_is_there_already() -> Result<()> {
        let x = Tensor::arange(0f32, 6., &Device::Cpu)?
            .reshape((3, 2))?
            .t()?;
        let there = Upload::to(&Device::Cpu).bring(&x)?;
        assert_eq!(there.to_vec2::<f32>()?, x.to_vec2::<f32>()?);
        Ok(())
    }
}
