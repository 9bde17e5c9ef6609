//! Kernels of this library on a GPU, compiled by NVRTC when they are first used, and copies to and from a GPU.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::{
    CudaStream, LaunchConfig, PinnedHostSlice, PushKernelArg,
};
use candle_core::cuda_backend::cudarc::nvrtc::compile_ptx;
use candle_core::cuda_backend::{CudaStorageSlice, WrapErr};
use candle_core::{CudaDevice, CudaStorage, Layout, Result, bail};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// Threads a block.
const BLOCK: u32 = 256;

/// The convolution that [`depthwise`] computes, in numbers.
#[derive(Clone, Copy, Debug)]
pub struct Convolution {
    /// Images, height, width, channels.
    pub input: [usize; 4],
    /// Rows and columns of a result.
    pub results: [usize; 2],
    pub kernel: usize,
    pub stride: usize,
    /// Zeros before the first row and column.
    pub before: usize,
}

/// The kernel's code for a virtual GPU, which the driver compiles for the one there is.
fn depthwise_code() -> Result<&'static str> {
    static CODE: OnceLock<std::result::Result<String, String>> = OnceLock::new();
    let compiled = CODE.get_or_init(|| {
        let code = compile_ptx(include_str!("depthwise.cu"));
        code.map(|code| code.to_src()).map_err(|e| format!("{e:?}"))
    });
    match compiled {
        Ok(code) => Ok(code),
        Err(reason) => bail!("NVRTC does not compile the depthwise convolution: {reason}"),
    }
}

/// Each channel of `x` with its own kernel of `weight`, K K x C, both contiguous and in f32: images x rows x columns x
/// channels.
///
/// # Errors
/// When the tensors are not so, the numbers do not fit in 32 bits, or the GPU fails.
pub fn depthwise(
    (x, lx): (&CudaStorage, &Layout),
    (weight, lw): (&CudaStorage, &Layout),
    c: Convolution,
) -> Result<CudaStorage> {
    let [images, height, width, channels] = c.input;
    let [rows, columns] = c.results;
    let (Some((x_from, x_to)), Some((w_from, w_to))) =
        (lx.contiguous_offsets(), lw.contiguous_offsets())
    else {
        bail!("depthwise-conv: the input or the weight is not contiguous")
    };
    let fits = lx.dims() == c.input && lw.dims() == [c.kernel * c.kernel, channels];
    let (CudaStorageSlice::F32(x_values), CudaStorageSlice::F32(w_values), true) =
        (&x.slice, &weight.slice, fits)
    else {
        bail!("depthwise-conv: {lx:?} and {lw:?}, f32 wanted")
    };
    let device = x.device();
    let len = images * rows * columns * channels;
    let numbers = [
        height, width, channels, rows, columns, c.kernel, c.stride, c.before,
    ];
    let blocks = u32::try_from(len.div_ceil(BLOCK as usize));
    let narrow = numbers.map(u32::try_from);
    let (Ok(blocks), true) = (blocks, narrow.iter().all(|n| n.is_ok_and(|n| n < 1 << 31))) else {
        bail!("depthwise-conv: {c:?} is too large for a GPU")
    };
    let narrow = narrow.map(|n| n.unwrap_or_default());
    let mut out = device.alloc_zeros::<f32>(len)?;
    if len > 0 {
        let function =
            device.get_or_load_custom_func("depthwise", "vitrepl_depthwise", depthwise_code()?)?;
        let (x_values, w_values) = (x_values.slice(x_from..x_to), w_values.slice(w_from..w_to));
        let results = len as u64;
        let mut launch = function.builder();
        launch
            .arg(&x_values)
            .arg(&w_values)
            .arg(&mut out)
            .arg(&results);
        narrow.iter().for_each(|n| {
            launch.arg(n);
        });
        let config = LaunchConfig {
            grid_dim: (blocks, 1, 1),
            block_dim: (BLOCK, 1, 1),
            shared_mem_bytes: 0,
        };
        // SAFETY: the arguments are those of the kernel, in its order and types. It writes `results` values, the length of
        // `out`, reads values of `x` at places below height, width and channels of its images and of `weight` below kernel
        // times kernel taps, which is what both were found to hold, and nothing else has `out`.
        unsafe { launch.launch(config) }.w()?;
    }
    Ok(CudaStorage {
        slice: CudaStorageSlice::F32(out),
        device: device.clone(),
    })
}

/// Copies to a GPU on a stream of their own, through page-locked memory of the host, from which values go without the
/// processor's waiting for them.
pub struct Uploads {
    device: CudaDevice,
    stream: Arc<CudaStream>,
    buffer: Option<PinnedHostSlice<f32>>,
}

impl Uploads {
    /// To `device`.
    ///
    /// # Errors
    /// When the GPU fails.
    pub fn to(device: &CudaDevice) -> Result<Self> {
        Ok(Self {
            device: device.clone(),
            stream: stream_beside(device)?,
            buffer: None,
        })
    }

    /// `values` on the device. They may still be under way: what takes them waits for them there.
    ///
    /// # Errors
    /// When the GPU fails or has too little memory.
    pub fn upload(&mut self, values: &[f32]) -> Result<CudaStorage> {
        let mut out = self.stream.alloc_zeros::<f32>(values.len()).w()?;
        if !values.is_empty() {
            let buffer = match self.buffer.take() {
                Some(buffer) if buffer.len() == values.len() => buffer,
                _ => {
                    let context = self.stream.context();
                    // SAFETY: the memory is the driver's, holds `len` numbers of 32 bits, any of which is an f32, and is
                    // written in full before it is read.
                    unsafe { context.alloc_pinned::<f32>(values.len()) }.w()?
                }
            };
            let buffer = self.buffer.insert(buffer);
            // This waits until the values before have left.
            buffer.as_mut_slice().w()?.copy_from_slice(values);
            self.stream.memcpy_htod(&*buffer, &mut out).w()?;
        }
        Ok(CudaStorage {
            slice: CudaStorageSlice::F32(out),
            device: self.device.clone(),
        })
    }
}

/// Copies from a GPU on a stream of their own.
pub struct Downloads(Arc<CudaStream>);

impl Downloads {
    /// From `device`.
    ///
    /// # Errors
    /// When the GPU fails.
    pub fn from(device: &CudaDevice) -> Result<Self> {
        Ok(Self(stream_beside(device)?))
    }

    /// The values `range` of those at `values`, f32, once they are computed.
    ///
    /// # Errors
    /// When the values are of another type, or the GPU fails.
    pub fn download(&self, values: &CudaStorage, range: Range<usize>) -> Result<Vec<f32>> {
        let values = values.as_cuda_slice::<f32>()?;
        match values.len() {
            0 => Ok(Vec::new()),
            _ => self.0.clone_dtoh(&values.slice(range)).w(),
        }
    }
}

/// A stream beside the one that `device` computes on. cudarc has each wait for what the other writes to a value that it
/// takes, from the first stream of a device that is not the driver's own on.
fn stream_beside(device: &CudaDevice) -> Result<Arc<CudaStream>> {
    device.cuda_stream().context().new_stream().w()
}

#[cfg(test)]
mod tests {
    /// NVRTC needs no GPU.
    #[test]
    fn the_depthwise_convolution_compiles() {
        let code = super::depthwise_code().unwrap();
        assert!(code.contains(".entry depthwise"));
    }
}
