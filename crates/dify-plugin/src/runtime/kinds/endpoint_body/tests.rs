//! The items of a body and the end behind them, in virtual time.

use serde_json::Value;

use super::*;
use crate::runtime::kinds::tests::{Written, with_session};

const MAX_LINE_BYTES: usize = 5 * 1024 * 1024;

async fn write_body(max_line_bytes: usize, write_delay: Duration, head: Head, body: Body) -> (bool, Written) {
    let write = async move |session: &mut Session<'_>| matches!(write(session, head, body).await, Ok(None));
    with_session(max_line_bytes, write_delay, write).await
}

fn head(has_body: bool) -> Head {
    Head { status: 200, headers: vec![("content-type".to_owned(), "text/plain".to_owned())], has_body }
}

/// A body of so many parts of so many bytes, with a pause after each.
fn parts(count: usize, bytes: usize, pause: u64) -> Body {
    Body::stream(async_stream::stream! {
        for _ in 0..count {
            yield Ok(vec![b'x'; bytes]);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    })
}

fn bytes(items: &[(Duration, Value)]) -> usize {
    items.iter().filter_map(|(_, item)| item["result"].as_str()).map(|text| text.len() / 2).sum()
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_there_soon_is_one_item() {
    for body in [Body::from("hello"), parts(2, 10, 0), parts(1000, 1, 0), parts(4, 5, 5), parts(1, 1_500_000, 0)] {
        let (is_ok, written) = write_body(MAX_LINE_BYTES, Duration::ZERO, head(true), body).await;
        assert!(is_ok);
        let items = written.items();
        assert_eq!(items.len(), 1, "{:?}", items.len());
        assert_eq!(
            (&items[0].1["status"], &items[0].1["headers"]["content-type"]),
            (&200.into(), &"text/plain".into())
        );
        assert!(written.end() <= Duration::from_millis(25));
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_longer_body_is_held_back_from_when_its_first_item_was_written() {
    for (count, size, pause) in [(2, 1, 30), (2, 1_500_000, 0), (3, 4_000_000, 0), (500, 10, 1), (20, 100_000, 7)] {
        // A daemon that reads late does not shorten the delay.
        for write_delay in [0, 200] {
            let write_delay = Duration::from_millis(write_delay);
            let body = parts(count, size, pause);
            let (is_ok, written) = write_body(MAX_LINE_BYTES, write_delay, head(true), body).await;
            let items = written.items();
            assert!(is_ok && items.len() > 1, "{count} parts of {size} bytes");
            assert_eq!(bytes(&items), count * size);
            assert!(written.end() >= items[0].0 + END_DELAY, "{count} parts of {size} bytes");
            for pair in items.windows(2) {
                assert!(pair[1].0 >= pair[0].0 + ITEM_INTERVAL, "{count} parts of {size} bytes");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_bytes_of_a_slow_body_do_not_wait_for_more() {
    let (_, written) = write_body(MAX_LINE_BYTES, Duration::ZERO, head(true), parts(3, 5, 1000)).await;
    let times: Vec<u64> = written.items().iter().map(|(time, _)| time.as_millis() as u64).collect();
    assert_eq!(times.len(), 3);
    assert!(times[0] <= 25 && (1000..1050).contains(&times[1]) && (2000..2100).contains(&times[2]), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn the_first_event_of_a_stream_is_sent_at_once_and_nothing_of_it_is_lost() {
    let events = || Head {
        headers: vec![("content-type".to_owned(), "text/event-stream; charset=utf-8".to_owned())],
        ..head(true)
    };
    let ready = Body::stream(futures_util::stream::iter((0..5).map(|_| Ok(vec![b'x'; 10]))));
    // Events that are ready together are one item, even a whole stream.
    for (body, count, expected) in [(ready, 5, 1), (parts(3, 10, 5), 3, 2), (parts(3, 10, 30), 3, 3)] {
        let (is_ok, written) = write_body(MAX_LINE_BYTES, Duration::ZERO, events(), body).await;
        let items = written.items();
        assert!(is_ok && bytes(&items) == count * 10, "{items:?}");
        assert_eq!((items.len(), items[0].0), (expected, Duration::ZERO));
        assert!(items.len() == 1 || written.end() >= END_DELAY);
    }
}

#[tokio::test(start_paused = true)]
async fn responses_without_a_body_have_no_result() {
    for (head, body) in [(head(false), Body::from("ignored")), (head(true), Body::empty())] {
        let (_, written) = write_body(MAX_LINE_BYTES, Duration::ZERO, head, body).await;
        let items = written.items();
        assert_eq!((items.len(), items[0].1.get("result")), (1, None));
        assert_eq!(items[0].1["status"], 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_length_that_is_wrong_is_corrected_where_the_body_is_known() {
    let mut wrong = head(true);
    wrong.headers.push(("content-length".to_owned(), "99".to_owned()));
    let (_, written) = write_body(MAX_LINE_BYTES, Duration::ZERO, wrong, Body::from("hello")).await;
    assert_eq!(written.items()[0].1["headers"]["content-length"], "5");
}

#[tokio::test(start_paused = true)]
async fn every_item_fits_a_line_and_headers_that_fit_none_are_an_error() {
    let (is_ok, written) = write_body(10_000, Duration::ZERO, head(true), parts(10, 10_000, 0)).await;
    assert!(is_ok);
    assert_eq!(bytes(&written.items()), 100_000);
    let mut long = head(true);
    long.headers.push(("x".to_owned(), "y".repeat(20_000)));
    assert!(!write_body(10_000, Duration::ZERO, long, Body::from("hello")).await.0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fails_before_its_first_part_is_not_written() {
    for delay in [0, 100] {
        let body = Body::stream(async_stream::stream! {
            tokio::time::sleep(Duration::from_millis(delay)).await;
            yield Err::<Vec<u8>, _>(PluginError::not_found("no app"));
        });
        let write = async move |session: &mut Session<'_>| match write(session, head(true), body).await {
            Ok(Some(error)) => error.message == "no app",
            _ => false,
        };
        let (is_returned, written) = with_session(MAX_LINE_BYTES, Duration::ZERO, write).await;
        assert!(is_returned && written.items().is_empty(), "{delay} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_within_a_body_is_not_shown_to_its_reader() {
    let body = Body::stream(async_stream::stream! {
        yield Ok("first");
        tokio::time::sleep(Duration::from_millis(100)).await;
        yield Err(PluginError::internal("secret"));
    });
    let (is_ok, written) = write_body(MAX_LINE_BYTES, Duration::ZERO, head(true), body).await;
    assert!(is_ok);
    let lines = written.lines();
    assert_eq!(lines.len(), 2, "an item and the end");
    assert!(!format!("{lines:?}").contains("secret"));
}
