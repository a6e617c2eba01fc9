//! Which requests wait for a fetch, which do not, and how long its outcome is remembered.

use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::*;

/// A token endpoint that can be made to wait.
#[derive(Default)]
struct Endpoint {
    calls: AtomicU32,
    turns: Option<Semaphore>,
}

impl Endpoint {
    async fn fetch(self: Arc<Self>, lifetime: Result<u64, InvokeError>) -> Result<Token, InvokeError> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        if let Some(turns) = &self.turns {
            turns.acquire().await.unwrap().forget();
        }
        lifetime.map(|seconds| Token::new(format!("token-{number}").into(), Duration::from_secs(seconds)))
    }
}

/// Moves the times of the cell into the past.
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

async fn text(
    cell: &TokenCell,
    endpoint: &Arc<Endpoint>,
    lifetime: Result<u64, InvokeError>,
) -> Result<String, String> {
    let got = cell.get(|| endpoint.clone().fetch(lifetime)).await;
    got.map(|secret| secret.expose_secret().to_owned()).map_err(|error| error.message)
}

fn down() -> InvokeError {
    InvokeError::connection("down").retryable()
}

#[tokio::test]
async fn shares_the_outcome_with_all_waiting_requests() {
    for (lifetime, expected) in [(Ok(3600), Ok("token-0".to_owned())), (Err(down()), Err("down".to_owned()))] {
        let (cell, endpoint) = (TokenCell::default(), Arc::new(Endpoint::default()));
        let got = join_all((0..40).map(|_| text(&cell, &endpoint, lifetime.clone()))).await;
        assert!(got.iter().all(|got| *got == expected), "{got:?}");
        assert_eq!(text(&cell, &endpoint, lifetime).await, expected, "a later request gets the same outcome");
        assert_eq!(endpoint.calls.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn remembers_errors_for_a_limited_time() {
    for (error, ttl) in [(down(), TRANSIENT_ERROR_TTL), (InvokeError::authorization("revoked"), PERMANENT_ERROR_TTL)] {
        let (cell, endpoint) = (TokenCell::default(), Arc::new(Endpoint::default()));
        for (pause, calls) in [(Duration::ZERO, 1), (ttl / 2, 1), (ttl, 2)] {
            age(&cell, pause);
            assert!(text(&cell, &endpoint, Err(error.clone())).await.is_err());
            assert_eq!(endpoint.calls.load(Ordering::SeqCst), calls, "{} after {pause:?}", error.message);
        }
        age(&cell, ttl);
        assert_eq!(text(&cell, &endpoint, Ok(3600)).await.as_deref(), Ok("token-2"));
    }
}

#[tokio::test]
async fn refreshes_a_valid_token_in_the_background() {
    let endpoint = Arc::new(Endpoint { turns: Some(Semaphore::new(1)), ..Endpoint::default() });
    let cell = TokenCell::default();
    assert_eq!(text(&cell, &endpoint, Ok(3600)).await.as_deref(), Ok("token-0"));
    age(&cell, Duration::from_secs(3600 - 200));
    for _ in 0..5 {
        assert_eq!(text(&cell, &endpoint, Ok(3600)).await.as_deref(), Ok("token-0"), "no request waits");
        tokio::task::yield_now().await;
    }
    assert_eq!(endpoint.calls.load(Ordering::SeqCst), 2, "one refresh is in progress");
    age(&cell, Duration::from_secs(160));
    let mut waiting = Box::pin(text(&cell, &endpoint, Ok(3600)));
    assert!(futures_util::poll!(&mut waiting).is_pending(), "a token that may expire in transit is not used");
    endpoint.turns.as_ref().unwrap().add_permits(1);
    assert_eq!(waiting.await.as_deref(), Ok("token-1"));
}

#[tokio::test]
async fn keeps_a_valid_token_when_its_refresh_fails() {
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
async fn continues_without_its_caller_and_ends_on_a_panic() {
    let (cell, endpoint) = (TokenCell::default(), Arc::new(Endpoint::default()));
    drop(futures_util::poll!(Box::pin(text(&cell, &endpoint, Ok(3600)))));
    assert_eq!(text(&cell, &endpoint, Ok(3600)).await.as_deref(), Ok("token-0"));

    let cell = TokenCell::default();
    async fn broken() -> Result<Token, InvokeError> {
        panic!("bug")
    }
    assert!(cell.get(broken).await.is_err());
    age(&cell, PERMANENT_ERROR_TTL);
    assert!(text(&cell, &endpoint, Ok(3600)).await.is_ok(), "the next request is not blocked");
}

#[tokio::test]
async fn accepts_any_lifetime() {
    for lifetime in [0, 1, 3600, u64::MAX / 2, u64::MAX] {
        let (cell, endpoint) = (TokenCell::default(), Arc::new(Endpoint::default()));
        assert_eq!(text(&cell, &endpoint, Ok(lifetime)).await.as_deref(), Ok("token-0"), "{lifetime}");
    }
}
