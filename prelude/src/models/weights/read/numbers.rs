//! The numbers of a tensor, as f32, straight to where they stay. NaN and infinity are counted on the way, while a
//! piece is still in the processor's cache.

use super::slot::{Number, Place, Slot, contiguous, elements};
use super::source::Source;
use candle_core::{DType, Device, Tensor};
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};

/// Numbers that are read at a time.
const PIECE: usize = 1 << 16;

/// Why a tensor could not be read.
#[derive(Debug)]
pub(super) enum Fault {
    Read(std::io::Error),
    Tensor(candle_core::Error),
    /// Its bytes are not those that were written.
    Damaged,
}

/// A tensor, and how many of its numbers are NaN or infinite.
pub(super) type Counted = (Tensor, usize);

/// Read `slot`, which is at `place` of `source`; none where its numbers are of a kind that has no use here.
pub(super) fn read(slot: &Slot, place: &Place, source: &Source) -> Result<Option<Counted>, Fault> {
    let count = elements(&slot.shape).unwrap_or(0);
    let shape = slot.shape.as_slice();
    let whole = |values| Tensor::from_vec(values, shape, &Device::Cpu).map_err(Fault::Tensor);
    let plain = match slot.number {
        Number::Other(..) => return Ok(None),
        Number::U8 => Some(DType::U8),
        Number::U32 => Some(DType::U32),
        Number::I64 => Some(DType::I64),
        _ => None,
    };
    if let Some(dtype) = plain {
        if place.strides.is_some() {
            return Ok(None);
        }
        let mut bytes = vec![0; count * slot.number.size()];
        source.read(place.start, &mut bytes).map_err(Fault::Read)?;
        let tensor = Tensor::from_raw_buffer(&bytes, dtype, shape, &Device::Cpu);
        return Ok(Some((tensor.map_err(Fault::Tensor)?, 0)));
    }
    let Some(strides) = &place.strides else {
        let mut check = place.check.map(|_| crc32fast::Hasher::new());
        let (values, bad) = floats(slot.number, place.start, count, source, &mut check)?;
        if check.map(crc32fast::Hasher::finalize) != place.check {
            return Err(Fault::Damaged);
        }
        return Ok(Some((whole(values)?, bad)));
    };
    if count == 0 {
        return Ok(Some((whole(Vec::new())?, 0)));
    }
    let last: usize = (shape.iter().zip(strides)).map(|(n, s)| (n - 1) * s).sum();
    let (held, _) = floats(slot.number, place.start, last + 1, source, &mut None)?;
    let steps = contiguous(shape);
    let values: Vec<f32> = (0..count)
        .map(|i| {
            let of_axis = (steps.iter().zip(shape)).zip(strides);
            let at: usize = of_axis.map(|((step, n), s)| i / step % n * s).sum();
            held[at]
        })
        .collect();
    let bad = nonfinite(&values);
    Ok(Some((whole(values)?, bad)))
}

/// `count` numbers from byte `start` on, and how many of them are not finite. Their bytes go through `check`.
fn floats(
    number: Number,
    start: u64,
    count: usize,
    source: &Source,
    check: &mut Option<crc32fast::Hasher>,
) -> Result<(Vec<f32>, usize), Fault> {
    let size = number.size();
    let mut values = vec![0f32; count];
    // Of whole words, so that numbers of two, four and eight bytes are aligned.
    let mut words = match number {
        Number::F32 => Vec::new(),
        _ => vec![0u64; (PIECE.min(count) * size).div_ceil(8)],
    };
    let mut bad = 0;
    let mut seen = |bytes: &[u8]| {
        if let Some(check) = check {
            check.update(bytes)
        }
    };
    for (i, piece) in values.chunks_mut(PIECE).enumerate() {
        let at = start + (i * PIECE * size) as u64;
        if number == Number::F32 {
            let bytes = bytemuck::cast_slice_mut(piece);
            source.read(at, bytes).map_err(Fault::Read)?;
            seen(bytes)
        } else {
            let bytes = &mut bytemuck::cast_slice_mut(&mut words)[..piece.len() * size];
            source.read(at, bytes).map_err(Fault::Read)?;
            seen(bytes);
            widen(number, bytes, piece)
        }
        bad += nonfinite(piece)
    }
    Ok((values, bad))
}

/// `bytes`, numbers of the kind `number`, as f32. A double that no f32 can hold becomes infinite, and is counted so.
fn widen(number: Number, bytes: &[u8], to: &mut [f32]) {
    match number {
        Number::F16 => {
            let halves: &[u16] = bytemuck::cast_slice(bytes);
            halves
                .reinterpret_cast::<half::f16>()
                .convert_to_f32_slice(to)
        }
        Number::BF16 => {
            let halves: &[u16] = bytemuck::cast_slice(bytes);
            halves
                .reinterpret_cast::<half::bf16>()
                .convert_to_f32_slice(to)
        }
        Number::F64 => {
            let doubles: &[f64] = bytemuck::cast_slice(bytes);
            for (to, value) in to.iter_mut().zip(doubles) {
                *to = *value as f32
            }
        }
        Number::F8E5M2 => {
            for (to, byte) in to.iter_mut().zip(bytes) {
                // The upper half of an f16.
                *to = half::f16::from_bits(u16::from(*byte) << 8).to_f32()
            }
        }
        Number::F8E4M3 => {
            for (to, byte) in to.iter_mut().zip(bytes) {
                *to = e4m3(*byte)
            }
        }
        _ => {}
    }
}

/// `float8_e4m3fn` ("FP8 Formats for Deep Learning", Micikevicius et al. 2022): bias 7, no infinity, NaN where all
/// bits but the sign are set.
fn e4m3(byte: u8) -> f32 {
    let sign = if byte & 0x80 == 0 { 1. } else { -1. };
    let (exponent, mantissa) = (i32::from(byte >> 3 & 15), f32::from(byte & 7));
    sign * match (byte & 0x7f, exponent) {
        (0x7f, _) => f32::NAN,
        (_, 0) => mantissa / 8. * 2f32.powi(-6),
        _ => (1. + mantissa / 8.) * 2f32.powi(exponent - 7),
    }
}

/// How many of `values` are NaN or infinite: all bits of the exponent are set.
fn nonfinite(values: &[f32]) -> usize {
    const EXPONENT: u32 = 0x7f80_0000;
    let odd = |value: &f32| u32::from(value.to_bits() & EXPONENT == EXPONENT);
    values.iter().map(odd).sum::<u32>() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bits_are_what_pytorch_makes_of_them() {
        // torch.tensor(bytes, dtype=torch.uint8).view(torch.float8_e4m3fn).float()
        for (byte, value) in [
            (0x00, 0.),
            (0x01, 0.001953125),
            (0x07, 0.013671875),
            (0x08, 0.015625),
            (0x38, 1.),
            (0x3c, 1.5),
            (0x7e, 448.),
            (0xb8, -1.),
            (0xfe, -448.),
        ] {
            assert_eq!(e4m3(byte), value, "{byte:#x}");
        }
        assert!(e4m3(0x7f).is_nan() && e4m3(0xff).is_nan());
    }

    #[test]
    fn what_is_not_finite_is_counted() {
        let mut values = vec![1f32; 1000];
        assert_eq!(nonfinite(&values), 0);
        values[3] = f32::NAN;
        values[500] = f32::INFINITY;
        values[999] = f32::NEG_INFINITY;
        values[4] = f32::MAX;
        values[5] = 1e-42;
        assert_eq!(nonfinite(&values), 3);
    }
}
