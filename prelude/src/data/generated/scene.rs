//! One image: place, distractors, object, light and noise.

use super::canvas::Canvas;
use super::factors::{Factor, Factors};
use super::{backgrounds, noise, object};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// An image as it was drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawing {
    /// RGB bytes, row by row.
    pub rgb: Vec<u8>,
    /// 1 where the object covers at least half of the pixel, row by row.
    pub mask: Vec<u8>,
}

/// Draws `factors`; `rng` decides everything else. What it decides does not depend on `size`.
pub(super) fn draw(factors: &Factors, size: usize, rng: &mut ChaCha8Rng) -> Drawing {
    let mut canvas = Canvas::new(size);
    backgrounds::draw(&mut canvas, factors.get(Factor::Location), rng);
    object::distractors(&mut canvas, rng);
    let coverage = object::draw(&mut canvas, factors, size, rng);
    let mut rgb = canvas.rgb();
    Light::sample(rng).shine(&mut rgb, size);
    let mask = coverage
        .data()
        .iter()
        .map(|&c| u8::from(c >= 128))
        .collect();
    Drawing { rgb, mask }
}

/// Illumination that changes over the image, a slight cast, and the noise of a sensor.
struct Light {
    gain: [f32; 3],
    slope: (f32, f32),
    noise: f32,
    seed: u64,
}

impl Light {
    fn sample(rng: &mut ChaCha8Rng) -> Self {
        let gain = rng.random_range(0.75f32..1.1);
        Self {
            gain: [0; 3].map(|_| gain * rng.random_range(0.95f32..1.05)),
            slope: (rng.random_range(-0.25..0.25), rng.random_range(-0.25..0.25)),
            noise: rng.random_range(0.01f32..0.045),
            seed: rng.random(),
        }
    }

    fn shine(&self, rgb: &mut [u8], size: usize) {
        let step = 1. / size as f32;
        for (i, pixel) in rgb.chunks_exact_mut(3).enumerate() {
            let (x, y) = (
                (i % size) as f32 * step - 0.5,
                (i / size) as f32 * step - 0.5,
            );
            let light = 1. + self.slope.0 * x + self.slope.1 * y;
            let bits = noise::hash(self.seed ^ (i as u64)).to_le_bytes();
            for channel in 0..3 {
                // The sum of two bytes: triangular, deviation 0.41 of its half range.
                let grain =
                    (f32::from(bits[2 * channel]) + f32::from(bits[2 * channel + 1]) - 255.) / 104.;
                let value = f32::from(pixel[channel]) * self.gain[channel] * light
                    + 255. * self.noise * grain;
                pixel[channel] = value.round().clamp(0., 255.) as u8;
            }
        }
    }
}
