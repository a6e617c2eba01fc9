//! The pace of messages, in virtual time.

use serde_json::json;

use super::*;
use crate::plugin::{AgentMessages, AgentUsage, BlobMeta, Messages};
use crate::runtime::kinds::tests::{Written, with_session};

const MAX_LINE_BYTES: usize = 100_000;

/// Runs a hook at a pace, as a tool or an agent does.
async fn run(
    pace: Pace,
    usage: Option<AgentUsage>,
    hook: impl AsyncFnOnce(&mut AgentMessages) -> Result<(), PluginError>,
) -> (bool, Written) {
    with_session(MAX_LINE_BYTES, Duration::ZERO, async move |session| {
        let (outbox, inbox) = session.queue();
        let mut messages = AgentMessages::new(Messages::new(outbox));
        let mut drain = Drain::new(session, inbox, pace);
        let outcome = drain.run(hook(&mut messages)).await;
        if let (Ok(()), Some(usage)) = (&outcome, usage) {
            assert!(drain.finish(&usage.into_message()).await.is_ok());
        }
        outcome.is_ok()
    })
    .await
}

/// The most lines that were written within 100 ms.
fn densest(items: &[(Duration, Value)]) -> usize {
    let within = |start: Duration| {
        items.iter().filter(|(time, _)| *time >= start && *time < start + Duration::from_millis(100)).count()
    };
    items.iter().map(|(start, _)| within(*start)).max().unwrap_or_default()
}

fn text(items: &[(Duration, Value)]) -> String {
    items.iter().filter_map(|(_, item)| item["message"]["text"].as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_short_answer_is_one_write_with_its_end() {
    let (_, written) = with_session(MAX_LINE_BYTES, Duration::from_secs(1), async |session| {
        let (outbox, inbox) = session.queue();
        let mut messages = Messages::new(outbox);
        let mut drain = Drain::new(session, inbox, Pace::TOOL);
        let hook = async {
            messages.text("a").await?;
            messages.json(json!({"b": 1})).await
        };
        assert!(drain.run(hook).await.is_ok());
    })
    .await;
    let times: Vec<_> = written.lines().iter().map(|(time, _)| *time).collect();
    assert_eq!(times, [Duration::from_secs(1); 3]);
}

#[tokio::test(start_paused = true)]
async fn tokens_are_joined_to_few_lines_and_none_is_lost() {
    for (pace, most) in [(Pace::AGENT, 22), (Pace::TOOL, 70)] {
        let (_, written) = run(pace, None, async |out| {
            for number in 0..1000 {
                out.text(format!("{number} ")).await?;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Ok(())
        })
        .await;
        let items = written.items();
        let expected: String = (0..1000).map(|number| format!("{number} ")).collect();
        assert_eq!(text(&items), expected);
        assert!(items.len() <= most, "{} lines", items.len());
        assert_eq!(items[0].0, Duration::ZERO, "the first text does not wait");
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_never_has_more_unread_lines_than_the_daemon_keeps() {
    let (_, written) = run(Pace::AGENT, Some(AgentUsage::default()), async |out| {
        out.blob(vec![7; 3_000_000], BlobMeta::new("image/png")).await?;
        for number in 0..500 {
            out.json(json!({"number": number})).await?;
        }
        for number in 0..500 {
            out.variable(&format!("n{number}"), number).await?;
        }
        Ok(())
    })
    .await;
    let items = written.items();
    assert_eq!(items.len(), 368 + 1000 + 1, "chunks, what follows, and the usage");
    assert!(densest(&items) <= 128, "{} lines in 100 ms", densest(&items));
    let (last, before) = (&items[items.len() - 1], &items[items.len() - 2]);
    assert!(last.1["message"]["json_object"]["execution_metadata"].is_object(), "{last:?}");
    assert!(last.0 >= before.0 + Duration::from_millis(100), "the usage waits for the queue");
}

#[tokio::test(start_paused = true)]
async fn a_tool_is_not_slowed_down() {
    let (_, written) = run(Pace::TOOL, None, async |out| out.blob(vec![7; 3_000_000], BlobMeta::default()).await).await;
    assert_eq!((written.items().len(), written.end()), (368, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_before_a_failure_is_written_in_order() {
    for pace in [Pace::TOOL, Pace::AGENT, Pace::DATASOURCE] {
        let (is_ok, written) = run(pace, Some(AgentUsage::default()), async |out| {
            out.text("a").await?;
            out.text("b").await?;
            let mut writer = out.stream_variable("v")?;
            writer.write("1").await?;
            writer.write("2").await?;
            out.json(json!([1])).await?;
            out.text("c").await?;
            Err(PluginError::internal("no"))
        })
        .await;
        assert!(!is_ok);
        let items: Vec<Value> = written.items().into_iter().map(|(_, item)| item["message"].clone()).collect();
        let variable = json!({"variable_name": "v", "variable_value": "12", "stream": true});
        assert_eq!(text(&written.items()), "abc");
        assert!(items.contains(&variable), "{items:?}");
        let place = |wanted: &Value| items.iter().position(|item| item == wanted);
        assert!(place(&variable) < place(&json!({"json_object": [1]})));
    }
}

#[tokio::test(start_paused = true)]
async fn joined_texts_fit_a_line_however_they_are_escaped() {
    let (is_ok, written) = run(Pace::TOOL, None, async |out| {
        for _ in 0..50 {
            out.text("\u{1}".repeat(15_000)).await?;
        }
        Ok(())
    })
    .await;
    assert!(is_ok);
    assert_eq!(text(&written.items()).len(), 50 * 15_000);
}

#[tokio::test(start_paused = true)]
async fn a_log_entry_that_is_dropped_is_shown_as_failed() {
    let (_, written) = run(Pace::AGENT, None, async |out| {
        let round = out.log("ROUND 1").data("n", 1).start().await?;
        let call = round.child("CALL forecast").metadata("provider", "weather").start().await?;
        call.finish(json!({"output": "sunny"})).await?;
        round.child("Thought").start().await?.fail("no model").await
    })
    .await;
    let entries: Vec<Value> = written.items().into_iter().map(|(_, item)| item["message"].clone()).collect();
    let states: Vec<(&str, &str)> =
        entries.iter().map(|entry| (entry["label"].as_str().unwrap(), entry["status"].as_str().unwrap())).collect();
    let expected = [
        ("ROUND 1", "start"),
        ("CALL forecast", "start"),
        ("CALL forecast", "success"),
        ("Thought", "start"),
        ("Thought", "error"),
        ("ROUND 1", "error"),
    ];
    assert_eq!(states, expected);
    assert_eq!(entries[1]["parent_id"], entries[0]["id"]);
    assert_eq!((&entries[1]["id"], &entries[2]["data"]), (&entries[2]["id"], &json!({"output": "sunny"})));
    assert!(entries[5]["metadata"]["elapsed_time"].is_number() && entries[5]["error"] == "given up");
}

#[tokio::test(start_paused = true)]
async fn a_hook_goes_on_while_its_messages_wait() {
    let (is_ok, written) = run(Pace::AGENT, None, async |out| {
        let started = Instant::now();
        // Two more than are written within 100 ms.
        for number in 0..66 {
            out.json(json!({"number": number})).await?;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(started.elapsed().as_millis(), 10);
        Ok(())
    })
    .await;
    assert!(is_ok);
    assert_eq!(written.items().len(), 66);
    assert!(written.items()[65].0 >= Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn a_log_entry_that_does_not_fit_a_line_is_cut() {
    for (data, shown) in [
        (json!({"output": {"text": "x".repeat(200_000)}, "n": 1}), "… (200000 bytes)\"},\"n\":1}"),
        (json!({"output": vec![1; 100_000]}), "{\"note\":\"200012 bytes do not fit a line to Dify\"}"),
    ] {
        let (is_ok, written) =
            run(Pace::AGENT, None, async move |out| out.log("ROUND 1").start().await?.finish(data).await).await;
        assert!(is_ok);
        let entry = written.items()[1].1["message"]["data"].to_string();
        assert!(entry.ends_with(shown), "{}", &entry[entry.len() - 50..]);
    }
}
