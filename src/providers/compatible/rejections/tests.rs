//! Tests of rejections as servers word them, and of what each teaches.

use serde_json::json;

use super::*;
use crate::dialect::openai::profile::UserForm;

fn request(stream: bool) -> LlmRequest {
    serde_json::from_value(json!({
        "provider": "p", "model": "m", "user_id": "u", "model_parameters": {"max_tokens": 5}, "stream": stream,
        "tools": [{"name": "f", "parameters": {}}], "tool_choice": {"mode": "auto"},
        "prompt_messages": [{"role": "assistant", "content": "", "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}],
    }))
    .unwrap()
}

#[test]
fn learns_one_thing_from_each_rejection() {
    let none = Lessons::default();
    let usage = Lessons { without_usage: true, ..none };
    let limit = Lessons { completion_tokens: true, ..none };
    let streams = Lessons { streams_only: true, ..none };
    let whole = Lessons { whole_only: true, ..none };
    let thoughts = Lessons { thoughts: true, ..none };
    let signatures = Lessons { signatures: true, ..none };
    let user = Lessons { without_user: true, ..none };
    let choice = Lessons { without_choice: true, ..none };
    let cases = [
        (400, true, "Unrecognized request argument supplied: user", user),
        (422, true, "body.user: Extra inputs are not permitted", user),
        (400, false, "Unsupported parameter: 'user'", user),
        (400, false, "property 'user' is unsupported", user),
        (400, true, "Invalid 'user': string too long. Expected a string with maximum length 64", user),
        (400, true, "tool_choice is not supported by this model", choice),
        (422, true, "body.tool_choice: Extra inputs are not permitted", choice),
        (400, true, "roles must alternate; role `user` is not allowed here", none),
        (400, true, "the last message must have the role user: unexpected assistant", none),
        (400, true, "unknown users are not allowed", none),
        (400, true, "Function call is missing a thought_signature in functionCall parts.", signatures),
        (400, true, "Unknown field stream_options", usage),
        (422, true, "body.stream_options: Extra inputs are not permitted", usage),
        (400, true, "Unrecognized: `stream_options.include_usage`", usage),
        (400, true, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", limit),
        (400, false, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", limit),
        (400, true, "Streaming is not supported for this model", whole),
        (501, true, "stream not implemented", whole),
        (400, true, "Tool calls are not supported in streaming mode", whole),
        (400, true, "该模型不支持流式输出", whole),
        (
            400,
            false,
            "This model only support stream mode, please enable the stream parameter to access the model. ",
            streams,
        ),
        (400, false, "parameter.enable_thinking must be set to false for non-streaming calls", streams),
        (400, false, "Stream must be set to true", streams),
        (400, false, "该模型仅支持流式调用", streams),
        (400, true, "Missing `reasoning_content` field in the assistant message at message index 1.", thoughts),
        (400, true, "thinking is enabled but reasoning_content is missing", thoughts),
        // Nothing is learned if only part of a word matches, or if nothing was rejected.
        (400, true, "parameter top_k is not supported by the upstream provider", none),
        (400, false, "parameter top_k is not supported by the upstream provider", none),
        (400, true, "bitstream files are not supported by downstreams", none),
        (400, true, "the stream was too long", none),
        (400, true, "the prompt is too long", none),
        (401, true, "stream_options", none),
        (429, false, "too many streams", none),
        (500, true, "stream_options", none),
    ];
    let profile = Profile { include_usage: true, user: Some(UserForm::default()), ..Profile::default() };
    for (status, stream, message, expected) in cases {
        let error = InvokeError::bad_request(message).with_status(status);
        let learnt = none.learn(&error, &profile, &request(stream));
        assert_eq!(learnt.unwrap_or_default(), expected, "{status} {stream} {message}");
        let (mut profile, mut request) = (profile.clone(), request(stream));
        expected.apply(&mut profile, &mut request, stream);
        request.stream = stream;
        let then = expected.learn(&error, &profile, &request);
        if expected == signatures {
            assert_eq!(then, Some(Lessons { no_signatures: true, ..signatures }), "known signatures may be wrong");
        } else {
            assert_eq!(then, None, "learned only once: {message}");
        }
    }
}

#[test]
fn raises_limits_that_are_too_low() {
    for (status, message, expected) in [
        (
            400,
            "HTTP 400: Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 10 instead.",
            Some(16),
        ),
        (400, "HTTP 400: max_tokens must be at least 32", Some(32)),
        (422, "HTTP 422: max_completion_tokens should be greater than 1", Some(16)),
        (400, "HTTP 400: `max_tokens` must be between 64 and 8192", Some(64)),
        (400, "HTTP 400: max_tokens is too small", Some(16)),
        (400, "HTTP 400: max_tokens 10 is not supported", None),
        (400, "HTTP 400: temperature must be at least 32", None),
        (500, "HTTP 500: max_tokens must be at least 32", None),
    ] {
        let error = InvokeError::bad_request(message).with_status(status);
        assert_eq!(min_limit(&error, 10), expected, "{message}");
    }
}

#[test]
fn leaves_out_only_what_is_the_default() {
    let lessons = Lessons { without_user: true, without_choice: true, ..Lessons::default() };
    for (choice, left) in [("auto", None), ("required", Some("required")), ("none", Some("none"))] {
        let mut asked = request(true);
        asked.tool_choice = Some(serde_json::from_value(json!({"mode": choice})).unwrap());
        let mut profile = Profile { always_chooses: true, user: Some(UserForm::default()), ..Profile::default() };
        lessons.apply(&mut profile, &mut asked, true);
        let mode = asked.tool_choice.map(|choice| serde_json::to_value(choice).unwrap()["mode"].clone());
        assert_eq!(mode, left.map(Into::into), "{choice}");
        assert!(profile.user.is_none() && !profile.always_chooses);
    }
}
