//! Counts the steps of scanners, so that tests can check that work grows at most linearly with the input. A count,
//! unlike a time, is the same on every machine and under any load.
//!
//! Neither a limit nor a profiler: nothing is counted in a release build, and work that a scanner does not report is
//! not seen.
//!
//! A scanner calls [`count`] wherever it reads input, with the number of bytes or items that it reads, and again each
//! time that it reads them again. A search, a comparison, a copy or a parse by a library counts the length of its
//! input, whatever it finds. Report the loop, not the call: `count(1)` at the start of a function that then scans the
//! complete text is a test that cannot fail.

use std::cell::Cell;

thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
}

/// Reports steps of the work on this thread.
#[inline]
pub fn count(steps: usize) {
    if cfg!(debug_assertions) {
        STEPS.with(|sum| sum.set(sum.get().saturating_add(steps as u64)));
    }
}

/// Returns the steps that this thread reports during some work. A session is counted completely if its runtime has one
/// thread.
#[cfg(debug_assertions)]
pub fn of(work: impl FnOnce()) -> u64 {
    let before = STEPS.with(Cell::get);
    work();
    STEPS.with(Cell::get) - before
}

/// Asserts that twice the input takes at most about twice the work: `make` builds an input of a size proportional to
/// its argument (links, quotes, parts), and `run` processes it. Also fails if almost nothing is reported, because then
/// nothing would be checked.
#[cfg(debug_assertions)]
pub fn assert_linear<I>(name: &str, make: impl Fn(usize) -> I, run: impl Fn(I)) {
    const MIN_STEPS: usize = 64;
    const DOUBLINGS: usize = 7;
    /// Cost of a call for an empty input.
    const CONSTANT: u64 = 1024;
    /// Tolerance for overlapping windows and growing buffers.
    const SLACK: u64 = 8;
    let sizes = (0..=DOUBLINGS).map(|power| MIN_STEPS << power);
    let counted: Vec<(usize, u64)> = sizes
        .map(|size| {
            let input = make(size);
            (size, of(|| run(input)))
        })
        .collect();
    for pair in counted.windows(2) {
        let [(_, once), (_, twice)] = pair else { continue };
        assert!(
            *twice <= 2 * once + once / SLACK + CONSTANT,
            "{name}: more than twice the steps for twice the input: {counted:?}"
        );
    }
    let (size, steps) = counted[DOUBLINGS];
    assert!(
        steps >= size as u64,
        "{name}: {steps} steps are reported for {size} times the input: is its work counted?"
    );
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::*;

    /// Result of [`assert_linear`] for work that takes so many steps for an input of a size.
    fn verdict(steps: fn(usize) -> usize) -> Result<(), String> {
        let held = std::panic::catch_unwind(|| assert_linear("it", |size| size, |size| count(steps(size))));
        held.map_err(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_default())
    }

    #[test]
    fn detects_work_that_grows_faster_than_its_input() {
        for steps in [|size| size, |size| 20 * size + 500, |size: usize| size.min(8192)] as [fn(usize) -> usize; 3] {
            assert_eq!(verdict(steps), Ok(()));
        }
        for (steps, expected) in [
            (|size| size * size, "more than twice"),
            (|size| size * size / 256, "more than twice"),
            (|size| 1 << (size / 256), "more than twice"),
            (|_| 3, "is its work counted?"),
        ] as [(fn(usize) -> usize, &str); 4]
        {
            let error = verdict(steps).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
