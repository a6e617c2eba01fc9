//! Splits many items into batches and runs them concurrently, with the results in the order of the items.

use std::future::Future;

use futures_util::{StreamExt, TryStreamExt, stream};

use dify_plugin::error::InvokeError;

/// Calls once per batch of at most `size` items, with at most `parallel` concurrent calls. The first error cancels the
/// rest.
pub async fn in_batches<T, R, F>(
    items: Vec<T>,
    size: usize,
    parallel: usize,
    call: impl Fn(Vec<T>) -> F,
) -> Result<Vec<R>, InvokeError>
where
    F: Future<Output = Result<R, InvokeError>>,
{
    let size = size.max(1);
    let mut items = items.into_iter();
    let batches = std::iter::from_fn(|| {
        let batch: Vec<T> = items.by_ref().take(size).collect();
        (!batch.is_empty()).then_some(batch)
    });
    stream::iter(batches.map(call)).buffered(parallel.max(1)).try_collect().await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn runs_concurrently_and_keeps_the_order() {
        let running = AtomicUsize::new(0);
        let most = AtomicUsize::new(0);
        let results = in_batches((0..10).collect(), 3, 2, |batch: Vec<u64>| {
            let (running, most) = (&running, &most);
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(100 - batch[0])).await;
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(batch)
            }
        })
        .await
        .unwrap();
        assert_eq!(results, [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7, 8], vec![9]]);
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn the_first_error_cancels_the_rest() {
        let calls = AtomicUsize::new(0);
        let result = in_batches(vec![1, 2, 3], 1, 1, |_| {
            calls.fetch_add(1, Ordering::SeqCst);
            async { Err::<(), _>(InvokeError::bad_request("no")) }
        })
        .await;
        assert!(result.is_err());
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        assert!(in_batches(Vec::<u8>::new(), 0, 0, |_| async { Ok(()) }).await.unwrap().is_empty());
    }
}
