//! What becomes of results, beside the computation of the next ones.

use crate::{Error, Result};
use std::panic::resume_unwind;
use std::sync::mpsc::sync_channel;

/// Runs `work`, and what it gives through `sink` on another thread: one value while `work` goes on to the next, so that at
/// most three are in memory. All that was given has gone through `sink` when this ends, whatever way `work` ends.
///
/// # Errors
/// The first error of `sink`, after which it is given nothing more and `work` can give nothing more; else that of `work`.
pub(crate) fn beside<T: Send, R>(
    mut sink: impl FnMut(T) -> Result<()> + Send,
    work: impl FnOnce(&mut dyn FnMut(T) -> Result<()>) -> Result<R>,
) -> Result<R> {
    std::thread::scope(|scope| {
        let (given, taken) = sync_channel::<T>(1);
        let taking = scope.spawn(move || taken.iter().try_for_each(&mut sink));
        let result = work(&mut |value| {
            let closed = |_| Error::trace("results are not taken any more");
            given.send(value).map_err(closed)
        });
        // The other side ends when there is nothing more to come.
        drop(given);
        match taking.join() {
            Ok(sunk) => sunk.and(result),
            Err(panic) => resume_unwind(panic),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn all_that_was_given_is_taken_in_order_however_the_work_ends() -> Result<()> {
        let mut taken = Vec::new();
        let sink = |x: usize| {
            taken.push(x);
            Ok(())
        };
        let failed: Result<()> = beside(sink, |give| {
            (0..5).try_for_each(&mut *give)?;
            Err(Error::trace("the sixth"))
        });
        assert!(failed.unwrap_err().to_string().contains("the sixth"));
        assert_eq!(taken, [0, 1, 2, 3, 4]);
        let sum = beside(|_: usize| Ok(()), |give| give(1).map(|()| 7))?;
        assert_eq!(sum, 7);
        Ok(())
    }

    #[test]
    fn an_error_or_panic_of_the_sink_ends_the_work() {
        let mut given = 0;
        let sink = |x: usize| match x {
            2 => Err(Error::trace("the disk is full")),
            _ => Ok(()),
        };
        let failed = beside(sink, |give| {
            loop {
                give(given)?;
                given += 1
            }
            #[allow(unreachable_code)]
            Ok(())
        });
        assert!(failed.unwrap_err().to_string().contains("the disk is full"));
        assert!(given < 6, "{given}");
        let panics = |_: usize| -> Result<()> { panic!("on purpose") };
        let ended = catch_unwind(AssertUnwindSafe(|| {
            beside(panics, |give| (0..9).try_for_each(give))
        }));
        assert!(ended.is_err());
    }
}
