//! How long to train and how fast.

/// Linear warm-up over the first twentieth, then half a cosine down to a hundredth of the peak.
/// `progress` runs from 0 to 1.
pub fn rate(peak: f64, progress: f64) -> f64 {
    const WARM_UP: f64 = 0.05;
    const FLOOR: f64 = 0.01;
    if progress < WARM_UP {
        return peak * (progress / WARM_UP).max(0.02);
    }
    let rest = ((progress - WARM_UP) / (1. - WARM_UP)).min(1.);
    let cosine = 0.5 * (1. + (std::f64::consts::PI * rest).cos());
    peak * (FLOOR + (1. - FLOOR) * cosine)
}

#[cfg(test)]
mod tests {
    use super::rate;

    #[test]
    fn warms_up_then_falls() {
        assert!(rate(1., 0.) < 0.05);
        assert!((rate(1., 0.05) - 1.).abs() < 1e-9);
        assert!((rate(1., 0.525) - 0.505).abs() < 1e-3);
        assert!((rate(1., 1.) - 0.01).abs() < 1e-9);
        assert!(rate(2., 0.3) > rate(2., 0.31));
    }
}
