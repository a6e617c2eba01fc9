//! A connection owns its sessions: how they end, what ends them, and responses to a misbehaving daemon.

use std::time::Duration;

use crate::support::daemon;
use daemon::{Do, Plugin};
use dify_plugin::runtime::ServeOptions;
use futures_util::future::join_all;
use serde_json::json;

const TIMED_OUT: &str = "InvokeConnectionError";
const SHUTTING_DOWN: &str = "InvokeServerUnavailableError";

fn options(change: impl FnOnce(&mut ServeOptions)) -> ServeOptions {
    let mut options = ServeOptions::default();
    change(&mut options);
    options
}

/// End of a session: the types of its messages, its text, and the type and a part of its error.
type End = (&'static str, &'static [&'static str], &'static str, Option<(&'static str, &'static str)>);

struct Case {
    title: &'static str,
    options: ServeOptions,
    steps: Vec<Do>,
    ends: Vec<End>,
    /// Number of calls that reach the provider, if it is certain.
    started: Option<usize>,
}

fn cancelled(
    title: &'static str,
    steps: Vec<Do>,
    types: &'static [&'static str],
    started: impl Into<Option<usize>>,
) -> Case {
    Case { title, options: ServeOptions::default(), steps, ends: vec![("a", types, "", None)], started: started.into() }
}

fn cases() -> Vec<Case> {
    use Do::{Ask, AskWith, Cancel, CloseInput, Line, Pause, Read, ReadEnd, Release, Shutdown, Started};
    let one = options(|options| options.max_sessions = 1);
    let short = options(|options| options.max_session_time = Duration::from_secs(3));
    let short_one = short.with_max_sessions(1);
    vec![
        // A cancelled request ends without further output.
        cancelled("immediately", vec![Ask("a", "hang"), Cancel("a")], &["end"], None),
        cancelled("while it runs", vec![Ask("a", "hang"), Started(1), Cancel("a")], &["end"], 1),
        cancelled(
            "twice",
            vec![Ask("a", "hang"), Started(1), Cancel("a"), Cancel("a"), Pause(50), Cancel("a")],
            &["end"],
            1,
        ),
        cancelled(
            "while it starts polling",
            vec![AskWith("a", "", json!({"action": "start_polling"})), Started(1), Cancel("a")],
            &["end"],
            1,
        ),
        cancelled(
            "a blocking call",
            vec![AskWith("a", "say so;hang", json!({"stream": false})), Started(1), Cancel("a")],
            &["end"],
            1,
        ),
        cancelled(
            "with an ignored payload",
            vec![Ask("a", "hang"), Started(1), Line(r#"{"session_id":"a","event":"cancel","data":null,"x":[1]}"#)],
            &["end"],
            1,
        ),
        Case {
            title: "after its first text",
            options: ServeOptions::default(),
            steps: vec![Ask("a", "say hello;hang"), Read("a"), Cancel("a")],
            ends: vec![("a", &["stream", "end"], "hello", None)],
            started: Some(1),
        },
        Case {
            title: "cancels of unknown sessions, before and after",
            options: ServeOptions::default(),
            steps: vec![Cancel("x"), Cancel("a"), Ask("a", "say hello"), ReadEnd("a"), Cancel("a"), Cancel("")],
            ends: vec![("a", &["stream", "end"], "hello", None)],
            started: Some(1),
        },
        Case {
            title: "while it is queued, so that the next one starts",
            options: one,
            steps: vec![
                Ask("a", "gate"),
                Ask("b", "hang"),
                Ask("c", "say c"),
                Started(1),
                Cancel("b"),
                ReadEnd("b"),
                Release,
            ],
            ends: vec![
                ("a", &["stream", "end"], "", None),
                ("b", &["end"], "", None),
                ("c", &["stream", "end"], "c", None),
            ],
            started: Some(2),
        },
        Case {
            title: "a session that blocks its thread",
            options: ServeOptions::default(),
            steps: vec![Ask("a", "hold"), Started(1), Cancel("a")],
            ends: vec![("a", &["end"], "", None)],
            started: Some(1),
        },
        Case {
            title: "a session that floods a daemon that reads late",
            options: ServeOptions::default(),
            steps: vec![Ask("a", "flood"), Started(1), Pause(200), Cancel("a"), Pause(100), ReadEnd("a")],
            ends: vec![],
            started: Some(1),
        },
        // Timeout, panic and shutdown have different errors.
        Case {
            title: "the timeout",
            options: short,
            steps: vec![Ask("a", "say so far;hang")],
            ends: vec![("a", &["stream", "error", "end"], "so far", Some((TIMED_OUT, "timed out after 3 s")))],
            started: Some(1),
        },
        Case {
            title: "a panic",
            options: ServeOptions::default(),
            steps: vec![Ask("a", "say so far;wait 20;panic")],
            ends: vec![("a", &["stream", "error", "end"], "so far", Some(("", "an internal error of the plugin")))],
            started: Some(1),
        },
        Case {
            title: "the timeout of a session that blocks its thread",
            options: short,
            steps: vec![Ask("a", "hold")],
            ends: vec![("a", &["error", "end"], "", Some((TIMED_OUT, "timed out after 3 s")))],
            started: Some(1),
        },
        Case {
            title: "the timeout includes the time in the queue",
            options: short_one,
            // A later session may get the place for a moment, so it is not certain that none of them is started.
            steps: vec![Ask("a", "wait 1000"), Ask("b", "hang"), Ask("c", "hang"), Ask("d", "hang")],
            ends: vec![
                ("a", &["stream", "end"], "", None),
                ("b", &["error", "end"], "", Some((TIMED_OUT, " 3 s"))),
                ("c", &["error", "end"], "", Some((TIMED_OUT, " 3 s"))),
                ("d", &["error", "end"], "", Some((TIMED_OUT, " 3 s"))),
            ],
            started: None,
        },
        // The end of the process.
        Case {
            title: "shutdown: open sessions may finish, new ones are rejected",
            options: ServeOptions::default(),
            steps: vec![
                Ask("a", "gate;say done"),
                Started(1),
                Shutdown(600_000),
                Ask("b", "say no"),
                ReadEnd("b"),
                Release,
            ],
            ends: vec![
                ("a", &["stream", "end"], "done", None),
                ("b", &["error", "end"], "", Some((SHUTTING_DOWN, "shutting down"))),
            ],
            started: Some(1),
        },
        Case {
            title: "shutdown: remaining sessions get an error",
            options: one,
            steps: vec![Ask("a", "say so far;hang"), Ask("b", "hang"), Read("a"), Shutdown(200)],
            ends: vec![
                ("a", &["stream", "error", "end"], "so far", Some((SHUTTING_DOWN, "shutting down"))),
                ("b", &["error", "end"], "", Some((SHUTTING_DOWN, "shutting down"))),
            ],
            started: Some(1),
        },
        Case {
            title: "shutdown: a session that blocks its thread gets an error",
            options: ServeOptions::default(),
            steps: vec![Ask("a", "hold"), Started(1), Shutdown(100)],
            ends: vec![("a", &["error", "end"], "", Some((SHUTTING_DOWN, "shutting down")))],
            started: Some(1),
        },
        Case {
            title: "end of input: open sessions are finished",
            options: ServeOptions::default(),
            steps: vec![Ask("a", "wait 100;say done"), CloseInput],
            ends: vec![("a", &["stream", "end"], "done", None)],
            started: Some(1),
        },
    ]
}

#[tokio::test]
async fn every_session_has_exactly_one_correct_ending() {
    let runs = cases().into_iter().map(async |case| {
        let plugin = Plugin::new(case.options);
        let seen = plugin.run(&case.steps).await;
        plugin.progress.release();
        plugin.idle().await;
        (case, seen, plugin.progress.started())
    });
    for (case, seen, started) in join_all(runs).await {
        for (session, types, text, error) in case.ends {
            let seen = &seen[session];
            assert_eq!(seen.types, types, "{}: {session}: {seen:?}", case.title);
            assert_eq!(seen.text, text, "{}: {session}", case.title);
            match (error, &seen.error) {
                (None, None) => {}
                (Some((kind, part)), Some((found, message))) => {
                    assert!(kind.is_empty() || kind == found, "{}: {session}: {found}", case.title);
                    assert!(message.contains(part), "{}: {session}: {message}", case.title);
                }
                (expected, found) => panic!("{}: {session}: expected {expected:?}, found {found:?}", case.title),
            }
        }
        assert_eq!(started, case.started.unwrap_or(started), "{}", case.title);
    }
}

#[tokio::test]
async fn starts_queued_sessions_in_order_of_arrival() {
    const NAMES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let plugin = Plugin::new(options(|options| options.max_sessions = 1));
    let mut daemon = plugin.connect();
    for name in NAMES {
        daemon.step(Do::Ask(name, "wait 5")).await;
    }
    let mut order: Vec<&str> = Vec::new();
    while order.len() < NAMES.len() {
        assert!(daemon.read().await);
        order
            .extend(NAMES.iter().filter(|name| daemon.sessions[**name].types.last().is_some_and(|kind| kind == "end")));
        let mut seen = std::collections::BTreeSet::new();
        order.retain(|name| seen.insert(*name));
    }
    assert_eq!(order, NAMES);
}

#[tokio::test]
async fn sessions_that_block_threads_do_not_delay_heartbeats() {
    let plugin = Plugin::new(options(|options| options.heartbeat = Duration::from_millis(100)));
    let mut daemon = plugin.connect();
    // More sessions than workers.
    for session in ["a", "b", "c", "d"] {
        daemon.step(Do::Ask(session, "hold")).await;
    }
    daemon.step(Do::Started(2)).await;
    let before = daemon.heartbeats;
    while daemon.heartbeats < before + 20 {
        assert!(daemon.read().await);
    }
    assert_eq!((plugin.progress.started(), plugin.progress.open()), (2, 2), "not every worker was blocked");
}

#[tokio::test]
async fn dropping_a_connection_closes_its_socket_and_its_sessions() {
    let plugin = Plugin::new(ServeOptions::default());
    let (mut first, mut second) = (plugin.connect(), plugin.connect());
    first.step(Do::Ask("a", "say hello;hang")).await;
    second.step(Do::Ask("b", "say hello;gate;say again")).await;
    first.step(Do::Read("a")).await;
    first.step(Do::Drop).await;
    while first.read().await {}
    assert_eq!(first.sessions["a"].types, ["stream"]);
    second.step(Do::Release).await;
    second.step(Do::ReadEnd("b")).await;
    assert_eq!(second.sessions["b"].text, "helloagain");
    plugin.idle().await;
}

#[tokio::test]
async fn a_cancel_reaches_the_provider_within_a_tenth_of_a_second() {
    let plugin = Plugin::new(ServeOptions::default());
    let mut quickest = Duration::MAX;
    // A busy machine may take longer, but not every time.
    for _ in 0..50 {
        let mut daemon = plugin.connect();
        daemon.step(Do::Ask("a", "say hello;hang")).await;
        daemon.step(Do::Read("a")).await;
        daemon.step(Do::Cancel("a")).await;
        quickest = quickest.min(plugin.idle().await);
        if quickest < Duration::from_millis(100) {
            return;
        }
    }
    panic!("{quickest:?}");
}

#[tokio::test]
async fn a_shutdown_without_open_sessions_is_immediate() {
    let plugin = Plugin::new(ServeOptions::default());
    let mut daemon = plugin.connect();
    daemon.step(Do::Ask("a", "say hello")).await;
    daemon.step(Do::ReadEnd("a")).await;
    // Longer than this test waits.
    daemon.step(Do::Shutdown(600_000)).await;
    while daemon.read().await {}
}

#[tokio::test]
async fn a_daemon_that_does_not_read_cannot_block_the_shutdown() {
    let plugin = Plugin::new(ServeOptions::default());
    let mut daemon = plugin.connect();
    daemon.step(Do::Ask("a", "flood")).await;
    daemon.step(Do::Pause(300)).await;
    let connection = daemon.wire.take_connection().unwrap();
    let ending = connection.shutdown(tokio::time::Instant::now() + Duration::from_millis(100));
    tokio::time::timeout(Duration::from_secs(180), ending).await.unwrap().unwrap();
}

#[tokio::test]
async fn any_number_of_sessions_may_be_set() {
    for max_sessions in [0, 1, usize::MAX] {
        let plugin = Plugin::new(options(|options| options.max_sessions = max_sessions));
        assert_eq!(plugin.run(&[Do::Ask("a", "say hello")]).await["a"].text, "hello", "{max_sessions}");
    }
}

#[tokio::test]
async fn enforces_the_first_token_timeout_of_the_request() {
    // Prompt and timeout; and prompt, stream and timeout.
    let expired = [
        ("hang", json!(0.1)),
        ("empty;hang", json!(0.1)),
        ("wait 600000;say late", json!(0.1)),
        ("block 300;say late", json!(0.05)),
    ];
    let in_time = [
        ("say hello;wait 4000;say again", json!(true), json!(3)),
        ("call;wait 4000", json!(true), json!(3)),
        ("wait 300;say hello", json!(false), json!(0.1)),
        ("wait 150;say hello", json!(true), json!(null)),
        ("wait 150;say hello", json!(true), json!("0.1")),
        ("wait 150;say hello", json!(true), json!(0)),
        ("wait 150;say hello", json!(true), json!(-0.1)),
        ("wait 150;say hello", json!(true), json!("NaN")),
        ("wait 150;say hello", json!(true), json!(1e300)),
        ("wait 150;say hello", json!(true), json!({"seconds": 0.1})),
        ("wait 150;say hello", json!(true), json!([])),
        ("wait 150;say hello", json!(true), json!(true)),
    ];
    for (prompt, limit) in expired {
        let plugin = Plugin::new(ServeOptions::default());
        let steps = [Do::AskWith("a", prompt, json!({"first_token_timeout": limit}))];
        let seen = plugin.run(&steps).await;
        let (kind, message) = seen["a"].error.clone().unwrap_or_else(|| panic!("{prompt}: {:?}", seen["a"]));
        assert_eq!(kind, "FirstTokenTimeoutError", "{prompt}: {message}");
        assert!(message.contains(&format!("{limit} s")) && message.contains("`m`"), "{prompt}: {message}");
        plugin.idle().await;
    }
    let runs = in_time.into_iter().map(async |(prompt, stream, limit)| {
        let plugin = Plugin::new(ServeOptions::default());
        let fields = json!({"first_token_timeout": limit, "stream": stream});
        let seen = plugin.run(&[Do::AskWith("a", prompt, fields)]).await;
        (prompt, limit, seen)
    });
    for (prompt, limit, seen) in join_all(runs).await {
        assert_eq!((&seen["a"].error, seen["a"].types.last().unwrap().as_str()), (&None, "end"), "{prompt} {limit}");
    }
    // The timeout includes the time in the queue.
    let plugin = Plugin::new(options(|options| options.max_sessions = 1));
    let waiting = Do::AskWith("b", "say b", json!({"first_token_timeout": 0.1}));
    let seen = plugin.run(&[Do::Ask("a", "gate"), waiting, Do::ReadEnd("b"), Do::Release]).await;
    assert_eq!(seen["b"].error.as_ref().unwrap().0, "FirstTokenTimeoutError");
    assert_eq!(plugin.progress.started(), 1);
}
