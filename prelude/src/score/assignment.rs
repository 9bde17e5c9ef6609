//! One-to-one assignment of the greatest total: Kuhn's Hungarian method by shortest augmenting paths with potentials, in
//! O(rows^2 columns) (Jonker and Volgenant, 1987, without their initialisation), as `scipy.optimize.linear_sum_assignment`.

use crate::{Error, Result};

/// For each row of `values` the column that it is matched with, so that the sum over matches is the greatest and no column
/// is taken twice. Where there are more rows than columns, as many rows as there are columns are matched, and the others
/// have none.
///
/// ```
/// use vitrepl_prelude::score::best_assignment;
///
/// // Taking the best of each row in turn would come to 9 + 1.
/// let found = best_assignment(&[vec![9.0, 8.0], vec![7.0, 1.0]])?;
/// assert_eq!(found, [Some(1), Some(0)]);
/// # Ok::<(), vitrepl_prelude::Error>(())
/// ```
///
/// # Errors
/// No rows or columns, rows of several lengths, NaN or infinity.
pub fn best_assignment(values: &[Vec<f64>]) -> Result<Vec<Option<usize>>> {
    let (rows, columns) = (values.len(), values.first().map_or(0, Vec::len));
    if rows == 0 || columns == 0 {
        let expected = "a row and a column or more, for there to be something to match";
        return Err(Error::argument(
            "values",
            format!("{rows} x {columns}"),
            expected,
        ));
    }
    if let Some(row) = values.iter().find(|row| row.len() != columns) {
        let expected = format!("{columns} values in each row, as in the first");
        return Err(Error::argument("values", row.len(), expected));
    }
    if let Some(value) = values.iter().flatten().find(|v| !v.is_finite()) {
        let expected = "finite values; look at what they are similarities of";
        return Err(Error::argument("values", value, expected));
    }
    if rows > columns {
        let turned: Vec<Vec<f64>> = (0..columns)
            .map(|c| values.iter().map(|row| row[c]).collect())
            .collect();
        let mut of_row = vec![None; rows];
        for (column, row) in cheapest(&turned).into_iter().enumerate() {
            of_row[row] = Some(column);
        }
        return Ok(of_row);
    }
    Ok(cheapest(values).into_iter().map(Some).collect())
}

/// The column of each row in the assignment with the least sum of `-values`; no more rows than columns.
fn cheapest(values: &[Vec<f64>]) -> Vec<usize> {
    let (rows, columns) = (values.len(), values[0].len());
    let cost = |row: usize, column: usize| -values[row][column];
    // Column `columns` stands for none: the row that is being placed is put there first.
    let mut row_of: Vec<Option<usize>> = vec![None; columns + 1];
    let (mut of_rows, mut of_columns) = (vec![0.0; rows], vec![0.0; columns + 1]);
    for row in 0..rows {
        row_of[columns] = Some(row);
        let mut column = columns;
        let mut before = vec![columns; columns];
        let mut distance = vec![f64::INFINITY; columns];
        let mut done = vec![false; columns + 1];
        // The shortest path of alternating edges to a column that is free.
        while let Some(from) = row_of[column] {
            done[column] = true;
            let (mut least, mut next) = (f64::INFINITY, column);
            for c in (0..columns).filter(|c| !done[*c]) {
                let reduced = cost(from, c) - of_rows[from] - of_columns[c];
                if reduced < distance[c] {
                    (distance[c], before[c]) = (reduced, column);
                }
                if distance[c] < least {
                    (least, next) = (distance[c], c);
                }
            }
            for c in 0..=columns {
                match (done[c], row_of[c]) {
                    (true, Some(placed)) => {
                        of_rows[placed] += least;
                        of_columns[c] -= least;
                    }
                    (false, _) if c < columns => distance[c] -= least,
                    _ => {}
                }
            }
            column = next;
        }
        // Rows move along the path.
        while column != columns {
            let previous = before[column];
            row_of[column] = row_of[previous];
            column = previous;
        }
    }
    let mut found = vec![0; rows];
    for (column, row) in row_of[..columns].iter().enumerate() {
        if let Some(row) = row {
            found[*row] = column;
        }
    }
    found
}
