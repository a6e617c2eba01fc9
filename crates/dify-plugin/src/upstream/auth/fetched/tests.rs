//! Who waits for a fetch, who does not, and what is remembered of one.

use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::*;

/// A token endpoint that answers when it may.
#[derive(Default)]
struct Endpoint {
    calls: AtomicU32,
    turns: Option<Semaphore>,
}

impl Endpoint {
    async fn ask(self: Arc<Self>, life: Result<u64, InvokeError>) -> Result<Token, InvokeError> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        if let Some(turns) = &self.turns {
            turns.acquire().await.unwrap().forget();
        }
        life.map(|seconds| Token::new(format!("token-{number}").into(), Duration::from_secs(seconds)))
    }
}

/// As old as if it had been got so long ago.
fn age(cell: &TokenCell, by: Duration) {
    let mut state = cell.state();
    if let Some(token) = &mut state.token {
        for time in [&mut token.fresh_until, &mut token.used_until, &mut token.expires] {
            *time -= by;
        }
    }
    if let Some((_, until)) = &mut state.failure {
        *until -= by;
    }
}

async fn text(cell: &TokenCell, endpoint: &Arc<Endpoint>, life: Result<u64, InvokeError>) -> Result<String, String> {
    let got = cell.get(|| endpoint.clone().ask(life)).await;
    got.map(|secret| secret.expose_secret().to_owned()).map_err(|error| error.message)
}

fn down() -> InvokeError {
    InvokeError::connection("down").retryable()
}

#[tokio::test]
async fn all_that_wait_share_the_outcome() {
    for (life, expected) in [(Ok(3600), Ok("token-0".to_owned())), (Err(down()), Err("down".to_owned()))] {
        let (cell, endpoint) = (TokenCell::default(), Arc::new(Endpoint::default()));
        let got = join_all((0..40).map(|_| text(&cell, &endpoint, life.clone()))).await;
        assert!(got.iter().all(|got| *got == expected), "{got:?}");
        assert_eq!(text(&cell, &endpoint, life).await, expected, "who comes a moment later too");
        assert_eq!(endpoint.calls.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_failure_is_remembered_for_a_moment() {
    for (error, memory) in [(down(), FAILURE_MEMORY), (InvokeError::authorization("revoked"), REFUSAL_MEMORY)] {
        let (cell, endpoint) = (TokenCell::default(), Arc::new(Endpoint::default()));
        for (pause, calls) in [(Duration::ZERO, 1), (memory / 2, 1), (memory, 2)] {
            age(&cell, pause);
            assert!(text(&cell, &endpoint, Err(error.clone())).await.is_err());
            assert_eq!(endpoint.calls.load(Ordering::SeqCst), calls, "{} after {pause:?}", error.message);
        }
        age(&cell, memory);
        assert_eq!(text(&cell, &endpoint, Ok(3600)).await.as_deref(), Ok("token-2"));
    }
}

#[tokio::test]
async fn a_renewal_runs_beside_a_good_token() {
    let endpoint = Arc::new(Endpoint { turns: Some(Semaphore::new(1)), ..Endpoint::default() });
    let cell = TokenCell::default();
    assert_eq!(text(&cell, &endpoint, Ok(3600)).await.as_deref(), Ok("token-0"));
    age(&cell, Duration::from_secs(3600 - 200));
    for _ in 0..5 {
        assert_eq!(text(&cell, &endpoint, Ok(3600)).await.as_deref(), Ok("token-0"), "nobody waits");
        tokio::task::yield_now().await;
    }
    assert_eq!(endpoint.calls.load(Ordering::SeqCst), 2, "one renewal is on its way");
    age(&cell, Duration::from_secs(160));
    let mut waiting = Box::pin(text(&cell, &endpoint, Ok(3600)));
    assert!(futures_util::poll!(&mut waiting).is_pending(), "what may arrive too late is not sent");
    endpoint.turns.as_ref().unwrap().add_permits(1);
    assert_eq!(waiting.await.as_deref(), Ok("token-1"));
}

#[tokio::test]
async fn a_token_that_still_works_outlives_a_failed_renewal() {
    let (cell, endpoint) = (TokenCell::default(), Arc::new(Endpoint::default()));
    assert!(text(&cell, &endpoint, Ok(3600)).await.is_ok());
    age(&cell, Duration::from_secs(3590));
    for _ in 0..2 {
        assert_eq!(text(&cell, &endpoint, Err(down())).await.as_deref(), Ok("token-0"));
    }
    assert_eq!(endpoint.calls.load(Ordering::SeqCst), 2);
    cell.forget("token-9");
    cell.forget("token-0");
    assert_eq!(text(&cell, &endpoint, Ok(3600)).await, Err("down".to_owned()));
}

#[tokio::test]
async fn a_fetch_goes_on_without_its_caller_and_ends_with_a_panic() {
    let (cell, endpoint) = (TokenCell::default(), Arc::new(Endpoint::default()));
    drop(futures_util::poll!(Box::pin(text(&cell, &endpoint, Ok(3600)))));
    assert_eq!(text(&cell, &endpoint, Ok(3600)).await.as_deref(), Ok("token-0"));

    let cell = TokenCell::default();
    async fn broken() -> Result<Token, InvokeError> {
        panic!("a fault of ours")
    }
    assert!(cell.get(broken).await.is_err());
    age(&cell, REFUSAL_MEMORY);
    assert!(text(&cell, &endpoint, Ok(3600)).await.is_ok(), "the next one is not stuck");
}

#[tokio::test]
async fn no_life_that_an_endpoint_tells_is_too_long_or_too_short() {
    for life in [0, 1, 3600, u64::MAX / 2, u64::MAX] {
        let (cell, endpoint) = (TokenCell::default(), Arc::new(Endpoint::default()));
        assert_eq!(text(&cell, &endpoint, Ok(life)).await.as_deref(), Ok("token-0"), "{life}");
    }
}
