//! What is kept, joined and left out.

use dify_plugin::serde_json::json;

use super::*;

fn none(_: &str) -> bool {
    false
}

fn texts(messages: &[PromptMessage]) -> Vec<(Role, String)> {
    messages.iter().map(|message| (message.role, message.content.text())).collect()
}

fn call(id: &str, arguments: &str) -> ToolCall {
    ToolCall::function(id, "search", arguments)
}

#[test]
fn a_conversation_begins_with_instruction_history_and_query() {
    let history = [PromptMessage::user("Hi"), PromptMessage::assistant("Hello")];
    let conversation = Conversation::new("  ", &history, PromptMessage::user("What?"));
    let expected = [(Role::User, "Hi"), (Role::Assistant, "Hello"), (Role::User, "What?")];
    assert_eq!(texts(&conversation.prompt(&none)), expected.map(|(role, text)| (role, text.to_owned())));
    assert_eq!(texts(&Conversation::new("Be kind.", &[], PromptMessage::user("What?")).prompt(&none)).len(), 2);
}

#[test]
fn the_last_request_has_no_trace_of_tool_calls() {
    let mut conversation = Conversation::new("", &[], PromptMessage::user("What?"));
    let calls = [call("1", "{\"a\":1}"), call("2", "{}")];
    conversation.extend([answered("Let me see.", &calls)]);
    conversation.extend(calls.iter().map(|call| PromptMessage::tool(call, format!("result {}", call.id))));
    conversation.extend([answered("", &calls[1..])]);
    conversation.extend([PromptMessage::tool(&calls[1], "more")]);
    let messages = conversation.closing_prompt(&closing_request("It is late."), &none);
    let expected = [
        (Role::User, "What?"),
        (
            Role::Assistant,
            "Let me see.\n(I called the tool `search` with {\"a\":1}.)\n(I called the tool `search` with {}.)",
        ),
        (Role::User, "Result of the tool `search`:\nresult 1\n\nResult of the tool `search`:\nresult 2"),
        (Role::Assistant, "(I called the tool `search` with {}.)"),
        (
            Role::User,
            "Result of the tool `search`:\nmore\n\nIt is late. No more tools can be called. Answer the query now with \
                      what is known so far, and say what is missing.",
        ),
    ];
    assert_eq!(texts(&messages), expected.map(|(role, text)| (role, text.to_owned())));
    assert!(messages.iter().all(|message| message.tool_calls.is_empty() && message.tool_call_id.is_none()));
    // Without a round the request follows the query, which stays as it is.
    let closing = Conversation::new("", &[], PromptMessage::user("What?")).closing_prompt("Now.", &none);
    assert_eq!(texts(&closing), [(Role::User, "What?".to_owned()), (Role::User, "Now.".to_owned())]);
}

#[test]
fn arguments_that_are_no_json_are_not_sent_back() {
    for (arguments, expected) in [("{\"a\": 1}", "{\"a\": 1}"), ("{\"a\": ", "{}"), ("", "{}"), ("[1]", "{}")] {
        let message = answered("", &[call("1", arguments)]);
        assert_eq!(message.tool_calls[0].function.arguments, expected);
    }
}

#[test]
fn what_a_model_cannot_read_is_named() {
    let message: PromptMessage = serde_json::from_value(json!({"role": "user", "content": [
        {"type": "image", "base64_data": "AA==", "mime_type": "image/png", "format": "png", "filename": "a.png"},
        {"type": "document", "url": "https://e/b", "filename": ""},
        {"type": "text", "data": "What?"},
    ]}))
    .unwrap();
    let conversation = Conversation::new("", &[], message.clone());
    assert_eq!(conversation.prompt(&|_| true), [message]);
    let expected = "(The attached image `a.png` cannot be read by this model.)\n\
                    (The attached document cannot be read by this model.)\nWhat?";
    assert_eq!(conversation.prompt(&none)[0].content, expected.into());
    let Content::Parts(parts) = &conversation.prompt(&|feature| feature == "vision")[0].content else { panic!() };
    assert!(matches!(parts[..], [ContentPart::Image(_), ContentPart::Text(_), ContentPart::Text(_)]));
}

#[test]
fn the_oldest_messages_are_left_out_until_the_rest_fits() {
    let long = |text: &str| text.repeat(1_500_000 / text.len());
    let history = [PromptMessage::user(long("a")), PromptMessage::assistant("short")];
    let mut conversation = Conversation::new("Be brief.", &history, PromptMessage::user(long("q")));
    conversation.extend([answered("", &[call("1", "{}")]), PromptMessage::tool(&call("1", "{}"), long("r"))]);
    let left_out = |conversation: &Conversation| {
        let messages = conversation.prompt(&none);
        messages.iter().map(|message| message.content == LEFT_OUT.into()).collect::<Vec<_>>()
    };
    // 4.5 million bytes: the history goes first.
    assert_eq!(left_out(&conversation), [false, true, false, false, false, false]);
    // A line break takes two bytes in JSON: the older result goes, too; the query never does.
    conversation
        .extend([answered("", &[call("2", "{}")]), PromptMessage::tool(&call("2", "{}"), "\n".repeat(1_000_000))]);
    assert_eq!(left_out(&conversation), [false, true, false, false, false, true, false, false]);
}
