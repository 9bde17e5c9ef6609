//! Kernels as functions of the values of their inputs.

use super::rows::f32_slice;
use candle_core::{Device, Result, Shape, Storage, Tensor, bail};

/// The tensor of `shape` whose values `kernel` makes of those of `inputs`, which are f32 on the CPU, row by row. No
/// gradient leads through it.
///
/// # Errors
/// When an input is of another type or elsewhere, or the values are not as many as the shape has.
pub fn computed<const N: usize>(
    op: &'static str,
    inputs: [&Tensor; N],
    shape: impl Into<Shape>,
    kernel: impl FnOnce([&[f32]; N]) -> Vec<f32>,
) -> Result<Tensor> {
    computed_of_all(op, &inputs, shape, |values| {
        kernel(std::array::from_fn(|i| values[i]))
    })
}

/// As [`computed`], of any number of inputs.
///
/// # Errors
/// As [`computed`].
pub fn computed_of_all(
    op: &'static str,
    inputs: &[&Tensor],
    shape: impl Into<Shape>,
    kernel: impl FnOnce(&[&[f32]]) -> Vec<f32>,
) -> Result<Tensor> {
    let inputs = inputs.iter().map(|input| input.contiguous());
    let inputs = inputs.collect::<Result<Vec<Tensor>>>()?;
    let held: Vec<_> = inputs.iter().map(Tensor::storage_and_layout).collect();
    let values = held.iter().map(|(storage, layout)| {
        let Storage::Cpu(storage) = &**storage else {
            bail!("{op}: an input is not on the CPU")
        };
        f32_slice(op, storage, layout)
    });
    let values = values.collect::<Result<Vec<_>>>()?;
    Tensor::from_vec(kernel(&values), shape.into(), &Device::Cpu)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::DType;

    #[test]
    fn values_are_given_row_by_row() -> Result<()> {
        let x = Tensor::arange(0f32, 6., &Device::Cpu)?.reshape((2, 3))?;
        let part = x.narrow(0, 1, 1)?;
        let got = computed("sum", [&x.t()?, &part], 6, |[x, part]| {
            assert_eq!(part, [3., 4., 5.]);
            x.iter().map(|x| x + part[0]).collect()
        })?;
        assert_eq!(got.to_vec1::<f32>()?, [3., 6., 4., 7., 5., 8.]);
        Ok(())
    }

    #[test]
    fn other_types_and_numbers_of_values_are_refused() -> Result<()> {
        let x = Tensor::zeros(2, DType::F64, &Device::Cpu)?;
        let error = computed("sum", [&x], 2, |[x]| x.to_vec()).unwrap_err();
        assert!(
            error.to_string().contains("sum: f32 wanted, got F64"),
            "{error}"
        );
        let x = x.to_dtype(DType::F32)?;
        assert!(computed("sum", [&x], 3, |[x]| x.to_vec()).is_err());
        Ok(())
    }
}
