//! How long something takes that is run again and again.

use crate::Failed;
use std::time::{Duration, Instant};

/// Rounds of runs.
const ROUNDS: u32 = 7;

/// All rounds together take about so long, unless one run takes longer.
const BUDGET: Duration = Duration::from_secs(2);

/// The time that one run takes: mean and standard deviation over rounds.
///
/// # Errors
/// The one with which a run ends early.
#[inline(never)]
pub fn timeit(run: &mut dyn FnMut() -> Result<(), Failed>) -> Result<String, Failed> {
    let start = Instant::now();
    run()?;
    let first = start.elapsed();
    if first > BUDGET {
        return Ok(format!("{} (one run)", told(first.as_secs_f64())));
    }
    // The first run may have had more to do than the others.
    let start = Instant::now();
    run()?;
    let once = start.elapsed().max(Duration::from_nanos(1));
    let runs = BUDGET.as_secs_f64() / f64::from(ROUNDS) / once.as_secs_f64();
    let runs = runs.clamp(1., 1e6) as u32;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..runs {
            run()?;
        }
        times.push(start.elapsed().as_secs_f64() / f64::from(runs));
    }
    let mean = times.iter().sum::<f64>() / f64::from(ROUNDS);
    let squares = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>();
    let deviation = (squares / f64::from(ROUNDS - 1)).sqrt();
    Ok(format!(
        "{} \u{b1} {} a run (mean and deviation of {ROUNDS} rounds of {runs})",
        told(mean),
        told(deviation)
    ))
}

/// A time for a person.
fn told(seconds: f64) -> String {
    match seconds {
        s if s >= 1. => format!("{s:.2} s"),
        s if s >= 1e-3 => format!("{:.2} ms", s * 1e3),
        s if s >= 1e-6 => format!("{:.2} \u{b5}s", s * 1e6),
        s => format!("{:.1} ns", s * 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sleeps_takes_at_least_as_long() {
        let mut runs = 0;
        let told = timeit(&mut || {
            runs += 1;
            std::thread::sleep(Duration::from_millis(50));
            Ok(())
        });
        let told = told.unwrap_or_default();
        assert!(
            told.starts_with("5") && told.contains(" ms \u{b1} "),
            "{told}"
        );
        assert!(runs > 7, "{runs}");
        let failed = timeit(&mut || Err("x".into()));
        assert!(failed.is_err());
    }

    #[test]
    fn times_have_their_units() {
        assert_eq!(told(0.0021), "2.10 ms");
        assert_eq!(told(3.2e-6), "3.20 \u{b5}s");
        assert_eq!(told(12.), "12.00 s");
    }
}
