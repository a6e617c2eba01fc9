//! Delays and limits in server messages, and the retry delays that follow from them.

use super::*;

#[test]
fn parses_the_delays_of_every_vendor() {
    for (text, expected) in [
        ("Please retry in 55.1s.", Some(55.1)),
        ("You exceeded your current quota.\nPlease retry in 1h2m3.5s. See https://a/?b=1", Some(3723.5)),
        ("Please retry in 450.5ms.", Some(0.4505)),
        ("please retry in 7 s", Some(7.0)),
        ("Rate limit reached on tokens per min. Limit: 10000 / min. Please try again in 6ms.", Some(0.006)),
        ("Please try again in 1m12.5s. Visit …", Some(72.5)),
        ("Please try again in 20s.", Some(20.0)),
        ("Requests have exceeded the limit. Please retry after 28 seconds.", Some(28.0)),
        ("Please Retry After 1 minute and 5 seconds", Some(65.0)),
        ("Try again in about 2 minutes, 1 second", Some(121.0)),
        ("retry-after: 30", Some(30.0)),
        ("{\"retry_after\": 12.5}", Some(12.5)),
        ("too many requests, retry after 3", Some(3.0)),
        ("retry after 3.", Some(3.0)),
        ("wait for 10 seconds", Some(10.0)),
        ("请求过于频繁，请在 20 秒后重试", Some(20.0)),
        ("请2分钟后再试", Some(120.0)),
        ("retry, please: retry later; try again in 4s", Some(4.0)),
        ("", None),
        ("please retry in a moment", None),
        ("you may retry in 3 other regions", None),
        ("retry after 2026-11-26T10:00:00Z", None),
        ("wait 3 turns", None),
        ("wait 3", None),
        ("retry in 1e9999s", None),
        ("retry in 99999999999999999999999999999s", None),
        ("retry in 9999999999999999999999999999999999999999999999999s", None),
        ("retry in -5s", None),
        ("retry in ..s", None),
        ("Bitte 秒后", None),
    ] {
        assert_eq!(delay_in(text), expected.map(Duration::from_secs_f64), "{text}");
    }
}

#[test]
fn applies_delays_in_messages_and_stops_at_a_zero_quota() {
    let free = "Quota exceeded for metric: generate_content_free_tier_requests, limit: 0, model: gemini-2.0-flash\n\
                Please retry in 55.1s.";
    for (error, wait, retryable) in [
        (InvokeError::rate_limit("Please retry in 2s."), Some(2), true),
        (InvokeError::server_unavailable("overloaded, try again in 3 seconds"), Some(3), true),
        (InvokeError::rate_limit(free), Some(55), false),
        (InvokeError::rate_limit("Limit 0, used 0, requested 10"), None, false),
        (InvokeError::rate_limit("\"limit\": \"0\""), None, false),
        (InvokeError::rate_limit("limit: 0.5 per s, limit: 05, limit: 20, limit: none, limits"), None, true),
        (InvokeError::bad_request("retry in 2s; limit: 0"), None, true),
    ] {
        let message = error.message.clone();
        let error = with_stated_wait(error.retryable());
        assert_eq!((error.retry_after.map(|wait| wait.as_secs()), error.retryable), (wait, retryable), "{message}");
    }
    let mut error = InvokeError::rate_limit("retry in 2s");
    error.retry_after = Some(Duration::from_secs(9));
    assert_eq!(with_stated_wait(error).retry_after, Some(Duration::from_secs(9)), "the header is more exact");
}

#[test]
fn spreads_the_retries_of_concurrent_calls() {
    let policy = RetryPolicy::default();
    let mut error = InvokeError::rate_limit("slow down").retryable();
    for asked in [None, Some(0), Some(5), Some(20)] {
        error.retry_after = asked.map(Duration::from_secs);
        let waits: Vec<Duration> = (0..5).map(|step| policy.wait(&error, 0, f64::from(step) / 4.0).unwrap()).collect();
        let (first, last) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
        assert!(*last - *first >= policy.first_wait / 2, "{asked:?}: {waits:?}");
        assert!(asked.is_none_or(|asked| *first >= Duration::from_secs(asked)), "{asked:?}: {waits:?}");
    }
    error.retry_after = Some(Duration::MAX);
    assert_eq!(policy.wait(&error, 0, 0.5), None);
    let unbounded = RetryPolicy { max_wait: Duration::MAX, ..policy };
    assert!(unbounded.wait(&error, 1, 1.0).is_some(), "sums do not overflow");
}

#[test]
#[cfg(debug_assertions)]
fn parses_messages_in_linear_time() {
    for text in
        ["retry in ", "retry in 1h ", "retry in 1111", "wait 5 ", "limit: 0", "1秒后", "1111", "again in 1s and "]
    {
        steps::assert_linear(
            text,
            |size| text.repeat(size),
            |text| drop(with_stated_wait(InvokeError::rate_limit(text))),
        );
    }
}
