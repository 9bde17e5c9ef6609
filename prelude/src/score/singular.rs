//! Singular values and right singular vectors of a few rows, by one-sided Jacobi rotations (Golub and Van Loan, "Matrix
//! Computations", section 8.6.3): pairs of rows are rotated until all are orthogonal; their lengths are then the
//! singular values, their directions the right singular vectors.

use super::vector::{dot, norm};

/// Sweeps over all pairs; convergence is quadratic, six to ten are usual.
const SWEEPS: usize = 60;

/// Singular values of the matrix of these `rows` and, as unit vectors, its right singular vectors, largest first; those
/// whose value is zero but for rounding are left out.
pub(super) fn decompose(mut rows: Vec<Vec<f64>>) -> Vec<(f64, Vec<f64>)> {
    let whole: f64 = rows.iter().map(|r| dot(r, r)).sum();
    let negligible = 1e-15 * whole;
    for _ in 0..SWEEPS {
        let mut orthogonal = true;
        for p in 0..rows.len() {
            let (head, tail) = rows.split_at_mut(p + 1);
            for other in tail {
                orthogonal &= !rotate(&mut head[p], other, negligible);
            }
        }
        if orthogonal {
            break;
        }
    }
    let mut found: Vec<(f64, Vec<f64>)> = rows
        .into_iter()
        .map(|mut row| {
            let length = norm(&row);
            row.iter_mut().for_each(|v| *v /= length);
            (length, row)
        })
        .filter(|(length, _)| length * length > negligible)
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found
}

/// Turns two rows in their plane so that they are orthogonal; false where they are already.
fn rotate(p: &mut [f64], q: &mut [f64], negligible: f64) -> bool {
    let along = dot(p, q);
    if along.abs() <= negligible {
        return false;
    }
    let zeta = (dot(q, q) - dot(p, p)) / (2.0 * along);
    let tangent = zeta.signum() / (zeta.abs() + (1.0 + zeta * zeta).sqrt());
    let cosine = 1.0 / (1.0 + tangent * tangent).sqrt();
    let sine = cosine * tangent;
    for (p, q) in p.iter_mut().zip(q) {
        (*p, *q) = (cosine * *p - sine * *q, sine * *p + cosine * *q);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_numpy_computes_them() {
        // numpy.linalg.svd([[3, 0, 1], [1, 2, 0], [0, 1, 1], [4, 2, 1]])[1]
        let want = [5.70819591, 2.09486689, 1.01391924];
        let rows = [[3., 0., 1.], [1., 2., 0.], [0., 1., 1.], [4., 2., 1.]];
        let found = decompose(rows.iter().map(|r| r.to_vec()).collect());
        assert_eq!(found.len(), 3, "four rows of width three");
        let squares: f64 = found.iter().map(|f| f.0 * f.0).sum();
        assert!((squares - 38.0).abs() < 1e-12);
        for ((value, vector), want) in found.iter().zip(want) {
            assert!((value - want).abs() < 1e-8, "{value} for {want}");
            // A^T A v = value^2 v
            let image: Vec<f64> = rows.iter().map(|r| dot(r, vector)).collect();
            for c in 0..3 {
                let back: f64 = rows.iter().zip(&image).map(|(r, i)| r[c] * i).sum();
                assert!((back - value * value * vector[c]).abs() < 1e-12);
            }
        }
    }
}
