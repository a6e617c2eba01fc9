//! A connection owns its sessions: how they end, whoever ends them, and what a host that misbehaves hears.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "support/daemon.rs"]
mod daemon;

use std::time::Duration;

use daemon::{Do, Plugin};
use dify_plugin::runtime::ServeOptions;
use futures_util::future::join_all;
use serde_json::json;

const LATE: &str = "InvokeConnectionError";
const SHUTTING_DOWN: &str = "InvokeServerUnavailableError";

fn options(change: impl FnOnce(&mut ServeOptions)) -> ServeOptions {
    let mut options = ServeOptions::default();
    change(&mut options);
    options
}

/// How a session ends: the types of its messages, its text, and the type and a part of its error.
type Ends = (&'static str, &'static [&'static str], &'static str, Option<(&'static str, &'static str)>);

struct Case {
    title: &'static str,
    options: ServeOptions,
    steps: Vec<Do>,
    ends: Vec<Ends>,
    /// Calls that reach the provider, where that is certain.
    begun: Option<usize>,
}

fn cancelled(
    title: &'static str,
    steps: Vec<Do>,
    types: &'static [&'static str],
    begun: impl Into<Option<usize>>,
) -> Case {
    Case { title, options: ServeOptions::default(), steps, ends: vec![("a", types, "", None)], begun: begun.into() }
}

fn cases() -> Vec<Case> {
    use Do::{Ask, AskWith, Begun, Cancel, CloseInput, Hear, HearEnd, Line, Pause, Release, Shutdown};
    let one = options(|options| options.max_sessions = 1);
    let short = options(|options| options.max_session_time = Duration::from_secs(3));
    let short_one = ServeOptions { max_sessions: 1, ..short };
    vec![
        // A request that is taken back ends without a word more.
        cancelled("at once", vec![Ask("a", "hang"), Cancel("a")], &["end"], None),
        cancelled("while it works", vec![Ask("a", "hang"), Begun(1), Cancel("a")], &["end"], 1),
        cancelled(
            "twice",
            vec![Ask("a", "hang"), Begun(1), Cancel("a"), Cancel("a"), Pause(50), Cancel("a")],
            &["end"],
            1,
        ),
        cancelled(
            "during a start of polling",
            vec![AskWith("a", "", json!({"action": "start_polling"})), Begun(1), Cancel("a")],
            &["end"],
            1,
        ),
        cancelled(
            "a blocking call",
            vec![AskWith("a", "say so;hang", json!({"stream": false})), Begun(1), Cancel("a")],
            &["end"],
            1,
        ),
        cancelled(
            "with a payload that nobody reads",
            vec![Ask("a", "hang"), Begun(1), Line(r#"{"session_id":"a","event":"cancel","data":null,"x":[1]}"#)],
            &["end"],
            1,
        ),
        Case {
            title: "after its first words",
            options: ServeOptions::default(),
            steps: vec![Ask("a", "say hello;hang"), Hear("a"), Cancel("a")],
            ends: vec![("a", &["stream", "end"], "hello", None)],
            begun: Some(1),
        },
        Case {
            title: "cancels of nobody, before and after",
            options: ServeOptions::default(),
            steps: vec![Cancel("x"), Cancel("a"), Ask("a", "say hello"), HearEnd("a"), Cancel("a"), Cancel("")],
            ends: vec![("a", &["stream", "end"], "hello", None)],
            begun: Some(1),
        },
        Case {
            title: "while it waits for its place, which goes to the next",
            options: one,
            steps: vec![
                Ask("a", "gate"),
                Ask("b", "hang"),
                Ask("c", "say c"),
                Begun(1),
                Cancel("b"),
                HearEnd("b"),
                Release,
            ],
            ends: vec![
                ("a", &["stream", "end"], "", None),
                ("b", &["end"], "", None),
                ("c", &["stream", "end"], "c", None),
            ],
            begun: Some(2),
        },
        Case {
            title: "a session that holds its thread is ended all the same",
            options: ServeOptions::default(),
            steps: vec![Ask("a", "hold"), Begun(1), Cancel("a")],
            ends: vec![("a", &["end"], "", None)],
            begun: Some(1),
        },
        Case {
            title: "a session that floods a host which reads late",
            options: ServeOptions::default(),
            steps: vec![Ask("a", "flood"), Begun(1), Pause(200), Cancel("a"), Pause(100), HearEnd("a")],
            ends: vec![],
            begun: Some(1),
        },
        // Limit, panic and shutdown are told apart.
        Case {
            title: "the limit",
            options: short,
            steps: vec![Ask("a", "say so far;hang")],
            ends: vec![("a", &["stream", "error", "end"], "so far", Some((LATE, "given up after 3 s")))],
            begun: Some(1),
        },
        Case {
            title: "a panic",
            options: ServeOptions::default(),
            steps: vec![Ask("a", "say so far;wait 20;panic")],
            ends: vec![("a", &["stream", "error", "end"], "so far", Some(("", "a fault of the plugin")))],
            begun: Some(1),
        },
        Case {
            title: "the limit of a session that holds its thread",
            options: short,
            steps: vec![Ask("a", "hold")],
            ends: vec![("a", &["error", "end"], "", Some((LATE, "given up after 3 s")))],
            begun: Some(1),
        },
        Case {
            title: "the limit counts the wait for a place",
            options: short_one,
            // Whoever came a moment later may get the place for that moment: that it was never started is not certain.
            steps: vec![Ask("a", "wait 1000"), Ask("b", "hang"), Ask("c", "hang"), Ask("d", "hang")],
            ends: vec![
                ("a", &["stream", "end"], "", None),
                ("b", &["error", "end"], "", Some((LATE, " 3 s"))),
                ("c", &["error", "end"], "", Some((LATE, " 3 s"))),
                ("d", &["error", "end"], "", Some((LATE, " 3 s"))),
            ],
            begun: None,
        },
        // The end of the process.
        Case {
            title: "shutdown: what is open may finish, what is new is refused",
            options: ServeOptions::default(),
            steps: vec![
                Ask("a", "gate;say done"),
                Begun(1),
                Shutdown(600_000),
                Ask("b", "say no"),
                HearEnd("b"),
                Release,
            ],
            ends: vec![
                ("a", &["stream", "end"], "done", None),
                ("b", &["error", "end"], "", Some((SHUTTING_DOWN, "shutting down"))),
            ],
            begun: Some(1),
        },
        Case {
            title: "shutdown: what is left is told",
            options: one,
            steps: vec![Ask("a", "say so far;hang"), Ask("b", "hang"), Hear("a"), Shutdown(200)],
            ends: vec![
                ("a", &["stream", "error", "end"], "so far", Some((SHUTTING_DOWN, "shutting down"))),
                ("b", &["error", "end"], "", Some((SHUTTING_DOWN, "shutting down"))),
            ],
            begun: Some(1),
        },
        Case {
            title: "shutdown: a session that holds its thread is told too",
            options: ServeOptions::default(),
            steps: vec![Ask("a", "hold"), Begun(1), Shutdown(100)],
            ends: vec![("a", &["error", "end"], "", Some((SHUTTING_DOWN, "shutting down")))],
            begun: Some(1),
        },
        Case {
            title: "no more input: what is open is finished",
            options: ServeOptions::default(),
            steps: vec![Ask("a", "wait 100;say done"), CloseInput],
            ends: vec![("a", &["stream", "end"], "done", None)],
            begun: Some(1),
        },
    ]
}

#[tokio::test]
async fn every_session_has_one_ending_and_the_right_one() {
    let plays = cases().into_iter().map(async |case| {
        let plugin = Plugin::new(case.options);
        let told = plugin.host(&case.steps).await;
        plugin.deeds.release();
        plugin.idle().await;
        (case, told, plugin.deeds.begun())
    });
    for (case, told, begun) in join_all(plays).await {
        for (session, types, text, error) in case.ends {
            let told = &told[session];
            assert_eq!(told.types, types, "{}: {session}: {told:?}", case.title);
            assert_eq!(told.text, text, "{}: {session}", case.title);
            match (error, &told.error) {
                (None, None) => {}
                (Some((kind, part)), Some((found, message))) => {
                    assert!(kind.is_empty() || kind == found, "{}: {session}: {found}", case.title);
                    assert!(message.contains(part), "{}: {session}: {message}", case.title);
                }
                (expected, found) => panic!("{}: {session}: expected {expected:?}, found {found:?}", case.title),
            }
        }
        assert_eq!(begun, case.begun.unwrap_or(begun), "{}", case.title);
    }
}

#[tokio::test]
async fn places_are_given_in_order_of_arrival() {
    const NAMES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let plugin = Plugin::new(options(|options| options.max_sessions = 1));
    let mut host = plugin.connect();
    for name in NAMES {
        host.step(Do::Ask(name, "wait 5")).await;
    }
    let mut order: Vec<&str> = Vec::new();
    while order.len() < NAMES.len() {
        assert!(host.read().await);
        order.extend(NAMES.iter().filter(|name| host.told[**name].types.last().is_some_and(|kind| kind == "end")));
        let mut seen = std::collections::BTreeSet::new();
        order.retain(|name| seen.insert(*name));
    }
    assert_eq!(order, NAMES);
}

#[tokio::test]
async fn no_work_of_a_session_delays_a_heartbeat() {
    let plugin = Plugin::new(options(|options| options.heartbeat = Duration::from_millis(100)));
    let mut host = plugin.connect();
    // More than there are workers.
    for session in ["a", "b", "c", "d"] {
        host.step(Do::Ask(session, "hold")).await;
    }
    host.step(Do::Begun(2)).await;
    let before = host.beats;
    while host.beats < before + 20 {
        assert!(host.read().await);
    }
    assert_eq!((plugin.deeds.begun(), plugin.deeds.open()), (2, 2), "not every worker was held");
}

#[tokio::test]
async fn a_connection_that_is_dropped_closes_its_socket_and_its_sessions() {
    let plugin = Plugin::new(ServeOptions::default());
    let (mut first, mut second) = (plugin.connect(), plugin.connect());
    first.step(Do::Ask("a", "say hello;hang")).await;
    second.step(Do::Ask("b", "say hello;gate;say again")).await;
    first.step(Do::Hear("a")).await;
    first.step(Do::Drop).await;
    while first.read().await {}
    assert_eq!(first.told["a"].types, ["stream"]);
    second.step(Do::Release).await;
    second.step(Do::HearEnd("b")).await;
    assert_eq!(second.told["b"].text, "helloagain");
    plugin.idle().await;
}

#[tokio::test]
async fn a_cancel_reaches_the_provider_within_a_tenth_of_a_second() {
    let plugin = Plugin::new(ServeOptions::default());
    let mut quickest = Duration::MAX;
    // A busy machine may take longer, but not each time.
    for _ in 0..50 {
        let mut host = plugin.connect();
        host.step(Do::Ask("a", "say hello;hang")).await;
        host.step(Do::Hear("a")).await;
        host.step(Do::Cancel("a")).await;
        quickest = quickest.min(plugin.idle().await);
        if quickest < Duration::from_millis(100) {
            return;
        }
    }
    panic!("{quickest:?}");
}

#[tokio::test]
async fn without_an_open_session_a_shutdown_is_at_once() {
    let plugin = Plugin::new(ServeOptions::default());
    let mut host = plugin.connect();
    host.step(Do::Ask("a", "say hello")).await;
    host.step(Do::HearEnd("a")).await;
    // Longer than is waited here.
    host.step(Do::Shutdown(600_000)).await;
    while host.read().await {}
}

#[tokio::test]
async fn a_host_that_reads_nothing_does_not_keep_the_process() {
    let plugin = Plugin::new(ServeOptions::default());
    let mut host = plugin.connect();
    host.step(Do::Ask("a", "flood")).await;
    host.step(Do::Pause(300)).await;
    let connection = host.connection.take().unwrap();
    let ending = connection.shutdown(tokio::time::Instant::now() + Duration::from_millis(100));
    tokio::time::timeout(Duration::from_secs(180), ending).await.unwrap().unwrap();
}

#[tokio::test]
async fn any_number_of_places_may_be_set() {
    for max_sessions in [0, 1, usize::MAX] {
        let plugin = Plugin::new(options(|options| options.max_sessions = max_sessions));
        assert_eq!(plugin.host(&[Do::Ask("a", "say hello")]).await["a"].text, "hello", "{max_sessions}");
    }
}

#[tokio::test]
async fn the_first_token_is_waited_for_as_long_as_the_caller_says() {
    // Prompt, stream, budget; whether the budget ends it.
    let missed = [
        ("hang", json!(0.1)),
        ("empty;hang", json!(0.1)),
        ("wait 600000;say late", json!(0.1)),
        ("block 300;say late", json!(0.05)),
    ];
    let kept = [
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
    for (prompt, budget) in missed {
        let plugin = Plugin::new(ServeOptions::default());
        let steps = [Do::AskWith("a", prompt, json!({"first_token_timeout": budget}))];
        let told = plugin.host(&steps).await;
        let (kind, message) = told["a"].error.clone().unwrap_or_else(|| panic!("{prompt}: {:?}", told["a"]));
        assert_eq!(kind, "FirstTokenTimeoutError", "{prompt}: {message}");
        assert!(message.contains(&format!("{budget} s")) && message.contains("`m`"), "{prompt}: {message}");
        plugin.idle().await;
    }
    let plays = kept.into_iter().map(async |(prompt, stream, budget)| {
        let plugin = Plugin::new(ServeOptions::default());
        let fields = json!({"first_token_timeout": budget, "stream": stream});
        let told = plugin.host(&[Do::AskWith("a", prompt, fields)]).await;
        (prompt, budget, told)
    });
    for (prompt, budget, told) in join_all(plays).await {
        assert_eq!((&told["a"].error, told["a"].types.last().unwrap().as_str()), (&None, "end"), "{prompt} {budget}");
    }
    // The wait for a place is within it, and ends with it.
    let plugin = Plugin::new(options(|options| options.max_sessions = 1));
    let waiting = Do::AskWith("b", "say b", json!({"first_token_timeout": 0.1}));
    let told = plugin.host(&[Do::Ask("a", "gate"), waiting, Do::HearEnd("b"), Do::Release]).await;
    assert_eq!(told["b"].error.as_ref().unwrap().0, "FirstTokenTimeoutError");
    assert_eq!(plugin.deeds.begun(), 1);
}
