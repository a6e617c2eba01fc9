//! Counts the steps of scanners, so that tests can hold that work grows no faster than its input. A count, unlike a time,
//! is the same on every machine and beside every other load.
//!
//! It is no limit and no profiler: nothing is counted in a release build, and what a scanner does not report is not seen.
//!
//! A scanner calls [`count`] wherever it looks at input, with the number of bytes or items that it looks at, and again
//! each time that it looks at them again. A search, a comparison, a copy, a parse by a library counts the length of what
//! it is handed, whatever it finds. Report the walk, not the call: `count(1)` at the top of a function that then scans a
//! whole text is a test that cannot fail.

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

/// The steps that this thread reports during some work. A session counts as a whole where its runtime has one thread.
#[cfg(debug_assertions)]
pub fn of(work: impl FnOnce()) -> u64 {
    let before = STEPS.with(Cell::get);
    work();
    STEPS.with(Cell::get) - before
}

/// Holds that twice the input is at most twice the work, and a little: `make` builds an input of a size in proportion to
/// its number (links, quotes, parts), `run` works on it. Fails too where next to nothing is reported, for then nothing is
/// held.
#[cfg(debug_assertions)]
pub fn assert_linear<I>(name: &str, make: impl Fn(usize) -> I, run: impl Fn(I)) {
    const MIN_STEPS: usize = 64;
    const DOUBLINGS: usize = 7;
    /// What a call costs whatever its input is.
    const CONSTANT: u64 = 1024;
    /// Windows overlap and buffers grow in jumps.
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

    /// What [`assert_linear`] says of work that takes so many steps for an input of a size.
    fn verdict(steps: fn(usize) -> usize) -> Result<(), String> {
        let held = std::panic::catch_unwind(|| assert_linear("it", |size| size, |size| count(steps(size))));
        held.map_err(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_default())
    }

    #[test]
    fn work_that_outgrows_its_input_is_told() {
        for steps in [|size| size, |size| 20 * size + 500, |size: usize| size.min(8192)] as [fn(usize) -> usize; 3] {
            assert_eq!(verdict(steps), Ok(()));
        }
        for (steps, said) in [
            (|size| size * size, "more than twice"),
            (|size| size * size / 256, "more than twice"),
            (|size| 1 << (size / 256), "more than twice"),
            (|_| 3, "is its work counted?"),
        ] as [(fn(usize) -> usize, &str); 4]
        {
            let error = verdict(steps).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
