//! Smooth value noise and white noise, as functions of coordinates and a seed.

/// A well mixed 64-bit value (the finaliser of splitmix64).
pub(super) fn hash(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn lattice(x: i32, y: i32, seed: u64) -> f32 {
    let cell = (u64::from(x as u32) << 32) | u64::from(y as u32);
    (hash(cell ^ seed) >> 40) as f32 / (1u64 << 24) as f32
}

/// Value noise in [0, 1], smooth over cells of side 1.
pub(super) fn smooth(x: f32, y: f32, seed: u64) -> f32 {
    let (x0, y0) = (x.floor(), y.floor());
    let ease = |t: f32| t * t * (3. - 2. * t);
    let (tx, ty) = (ease(x - x0), ease(y - y0));
    let at = |dx, dy| lattice(x0 as i32 + dx, y0 as i32 + dy, seed);
    let row = |dy| at(0, dy) + (at(1, dy) - at(0, dy)) * tx;
    row(0) + (row(1) - row(0)) * ty
}

/// Two octaves of [`smooth`], in [0, 1].
pub(super) fn cloud(x: f32, y: f32, seed: u64) -> f32 {
    (2. * smooth(x, y, seed) + smooth(2. * x, 2. * y, !seed)) / 3.
}
