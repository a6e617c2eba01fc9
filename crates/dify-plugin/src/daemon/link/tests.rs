//! Sessions that are not read, and processes that have ended while their output is held open.

use tokio::io::{AsyncBufReadExt, BufReader, DuplexStream};

use super::*;

fn options() -> LinkOptions {
    let answering: Answering = Box::new(|_, _, _| {});
    LinkOptions {
        max_line_bytes: 1 << 20,
        idle_timeout: None,
        process_ended: None,
        answering,
        watching: None,
        logging: None,
    }
}

/// A connection, and the plugin's side of it.
fn linked(options: LinkOptions) -> (Link, DuplexStream) {
    let (plugin, daemon) = tokio::io::duplex(1 << 20);
    let (reader, writer) = tokio::io::split(daemon);
    (Link::over(reader, writer, options), plugin)
}

fn item(number: usize) -> String {
    let data = json!({"type": "stream", "data": {"number": number}});
    format!("{}\n", json!({"event": "session", "session_id": "s", "data": data}))
}

#[tokio::test]
async fn a_session_that_is_not_read_ends_at_its_limit() {
    const ITEMS: usize = 50;
    let most = item(ITEMS).len() * 10;
    let (link, plugin) = linked(options());
    let mut events = link.open("s", &json!({"event": "request"}), Queue::Bytes(most));
    let (reader, mut writer) = tokio::io::split(plugin);
    let mut lines = BufReader::new(reader).lines();
    assert!(lines.next_line().await.unwrap().unwrap().contains("request"));
    // One that is read may send any number.
    for number in 0..ITEMS {
        writer.write_all(item(number).as_bytes()).await.unwrap();
        assert_eq!(events.next().await, SessionEvent::Item(json!({ "number": number })));
    }
    for number in 0..ITEMS {
        writer.write_all(item(number).as_bytes()).await.unwrap();
    }
    assert!(lines.next_line().await.unwrap().unwrap().contains("cancel"), "the plugin is asked to stop");
    let mut count = 0;
    let ending = loop {
        match events.next().await {
            SessionEvent::Item(_) => count += 1,
            ending => break ending,
        }
    };
    assert!((9..=11).contains(&count), "{count} items were kept");
    assert!(matches!(&ending, SessionEvent::Closed(reason) if reason.contains("were not read")), "{ending:?}");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_process_is_noticed_although_its_output_stays_open() {
    // Whether another process goes on to write.
    for is_written in [false, true] {
        let (ended, has_ended) = tokio::sync::oneshot::channel::<()>();
        let process_ended: BoxFuture<'static, ()> = Box::pin(async move { drop(has_ended.await) });
        let (link, mut plugin) = linked(LinkOptions { process_ended: Some(process_ended), ..options() });
        let mut events = link.open("s", &json!({}), Queue::Unlimited);
        plugin.write_all(item(1).as_bytes()).await.unwrap();
        ended.send(()).unwrap();
        let writing = async {
            let mut interval = tokio::time::interval(Duration::from_millis(1));
            loop {
                interval.tick().await;
                if is_written {
                    plugin.write_all(b"{\"event\":\"heartbeat\"}\n").await.unwrap();
                }
            }
        };
        let reading = async {
            assert_eq!(events.next().await, SessionEvent::Item(json!({"number": 1})), "what was written is read");
            assert_eq!(events.next().await, SessionEvent::Closed(PROCESS_ENDED.to_owned()));
        };
        tokio::select! {
            () = writing => {}
            () = reading => {}
        }
    }
}
