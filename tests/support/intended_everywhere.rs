//! Intended differences that occur with many plugins. Those of single plugins are beside this file.

use serde_json::Value;

use super::{Intended, added, at, error_of, ours, recorded, without_thoughts};

/// All of them.
pub const INTENDED: &[Intended] = &[
    Intended {
        name: "errors have their class",
        fault: Some(6),
        reason: "Dify changes keys and waits only if the class says that the key or the rate was the reason",
        is: |c, d| {
            d.at == "answer"
                && c.recorded_error()
                && error_of(d, true).starts_with("Invoke")
                && !error_of(d, true).is_empty()
                && (c.name().contains("error") || c.name().contains("bad key"))
        },
    },
    Intended {
        name: "whole answers have a finish reason",
        fault: None,
        reason: "Dify shows why an answer ended, streamed or not",
        is: |c, d| d.at == "answer.finish_reason" && added(d) && c.is("invoke_llm"),
    },
    Intended {
        name: "thoughts of whole answers",
        fault: Some(16),
        reason: "thoughts that came are part of the answer, in whichever member and form they came",
        is: |c, d| {
            d.at == "answer.text"
                && c.case["answers"][0].as_str().is_some_and(|answer| answer.starts_with("thoughts"))
                && ours(d)
                    .is_some_and(|text| text.starts_with("<think>") && Some(without_thoughts(text)) == recorded(d))
        },
    },
    Intended {
        name: "no thoughts in the history",
        fault: None,
        reason: "models must not get their thoughts back unless the provider asks for them in a member of their own",
        is: |_, d| {
            at(d, "requests[*].body.messages[*].content")
                && recorded(d).is_some_and(|text| text.contains("</think>") && Some(without_thoughts(text)) == ours(d))
        },
    },
    Intended {
        name: "undeclared media are refused",
        fault: Some(22),
        reason: "a file that the model cannot read is named, instead of being sent or dropped silently",
        is: |c, d| {
            let media = ["image", "image_url", "video", "audio", "document"].contains(&c.prompt());
            let refused = c.answer["message"].as_str().is_some_and(|message| message.contains("does not support"));
            media && refused && (d.at == "answer" || at(d, "requests[*]") && d.ours.is_none())
        },
    },
    Intended {
        name: "the recorded code fails",
        fault: None,
        reason: "an exception of the recorded code before or after its request is not copied",
        is: |c, d| {
            c.recorded_error()
                && c.answer.get("error").is_none()
                && (d.at == "answer" || c.recorded_nothing() && at(d, "requests[*]") && added(d))
        },
    },
    Intended {
        name: "tools by declared feature",
        fault: None,
        reason: "models that declare tool calls get tools, also where the recorded code never sends them",
        is: |c, d| {
            c.offers_tools()
                && (added(d) && (at(d, "requests[0].body.tools") || at(d, "requests[0].body.functions"))
                    || added(d) && at(d, "requests[0].body.messages[*]*")
                    || added(d) && d.at == "answer.calls"
                    || at(d, "requests[0].body.messages[*].content") && recorded(d).is_none_or(str::is_empty)
                    || at(d, "requests[0].body.messages[*].role"))
        },
    },
    Intended {
        name: "tool results as text",
        fault: None,
        reason: "a model without tool calls gets results of tools as text, instead of a message without content or of a role that it rejects",
        is: |c, d| {
            c.prompt().starts_with("tool_")
                && !c.offers_tools()
                && at(d, "requests[0].body.*")
                && (at(d, "*.messages[*]*") || at(d, "*.tools") || at(d, "*.functions"))
        },
    },
    Intended {
        name: "undeclared tools are not sent",
        fault: None,
        reason: "a model that declares no tool calls gets no tools",
        is: |c, d| {
            !c.offers_tools()
                && d.ours.is_none()
                && (at(d, "requests[0].body.tools") || at(d, "requests[0].body.functions"))
        },
    },
    Intended {
        name: "calls that nothing asked for",
        fault: None,
        reason: "an answer that says it is a tool call, to a model that got no tools, is an error and not an empty success",
        is: |c, d| {
            d.at == "answer"
                && error_of(d, true) == "InvokeServerUnavailableError"
                && c.answer["message"].as_str().is_some_and(|message| message.contains("tool call"))
        },
    },
    Intended {
        name: "function calls are tool calls",
        fault: Some(14),
        reason: "Dify knows one finish reason and one form of calls, and a function in the older form is a call with an identifier of its own",
        is: |c, d| {
            d.at == "answer.finish_reason" && recorded(d) == Some("function_call") && ours(d) == Some("tool_calls")
                || c.answer["finish_reason"] == "tool_calls"
                    && (d.at == "answer.calls" && added(d) || at(d, "answer.calls[*].id"))
        },
    },
    Intended {
        name: "names of functions",
        fault: None,
        reason: "the result of a function bears the function's name, not the identifier of the call; a result of a tool needs none",
        is: |_, d| {
            at(d, "requests[0].body.messages[*].name")
                && (ours(d) == Some("get_weather")
                    || d.ours.is_none() && matches!(recorded(d), Some("get_weather" | "")))
        },
    },
    Intended {
        name: "JSON by prompt in our words",
        fault: None,
        reason: "the recorded code asks for a code block and stops at its end; ours asks for JSON alone. XML is refused",
        is: |c, d| {
            let format = c.case["parameters"]["response_format"].as_str().unwrap_or_default();
            matches!(format, "JSON" | "XML") && (at(d, "requests[0]*") || d.at == "answer")
        },
    },
    Intended {
        name: "text is the default format",
        fault: None,
        reason: "response_format text changes nothing and is not sent",
        is: |_, d| {
            at(d, "requests[0].body.response_format")
                && d.ours.is_none()
                && d.recorded.as_ref().is_some_and(|v| v["type"] == "text")
        },
    },
    Intended {
        name: "a bare schema gets its envelope",
        fault: None,
        reason: "servers demand a name and the schema under `schema`",
        is: |c, d| c.name() == "json_schema, bare" && at(d, "requests[0].body.response_format.json_schema*"),
    },
    Intended {
        name: "completion of all texts",
        fault: Some(11),
        reason: "the recorded code sends the first message only",
        is: |_, d| {
            at(d, "requests[0].body.prompt")
                && ours(d).is_some_and(|text| recorded(d).is_some_and(|first| text.starts_with(first)))
        },
    },
    Intended {
        name: "batches of customizable models",
        fault: Some(19),
        reason: "one text a request is slow, and servers take more",
        is: |_, d| d.at == "answer.schema.properties.max_chunks",
    },
    Intended {
        name: "usage as the server counts it",
        fault: Some(10),
        reason: "the recorded code estimates tokens although the server reports them, or loses them with the last event",
        is: |c, d| {
            c.is("invoke_llm")
                && c.answer["usage"] == serde_json::json!([11, 7])
                && (at(d, "answer.usage*") || at(d, "answer.price*"))
        },
    },
    Intended {
        name: "an unknown voice is named",
        fault: None,
        reason: "another voice than the one that was chosen is not used silently",
        is: |c, d| {
            c.answer["message"].as_str().is_some_and(|message| message.contains("unknown voice"))
                && (d.at == "answer" || at(d, "requests[*]") && d.ours.is_none())
        },
    },
    Intended {
        name: "fixed headers on every call",
        fault: None,
        reason: "headers that name the client are sent for all model types and for validation",
        is: |_, d| {
            at(d, "requests[*].headers.*")
                && added(d)
                && ["http-referer", "x-title", "app-code", "x-novita-source"].iter().any(|name| d.at.ends_with(name))
        },
    },
    Intended {
        name: "a validation is the smallest call",
        fault: None,
        reason: "five tokens and nothing else; the form of the call is that of the model type",
        is: |c, d| {
            c.is("validate")
                && ([
                    "temperature",
                    "max_tokens",
                    "max_completion_tokens",
                    "encoding_format",
                    "top_n",
                    "user",
                    "top_p",
                    "stream",
                    "provider",
                    "thinking",
                    "reasoning_format",
                ]
                .iter()
                .any(|name| at(d, &format!("requests[0].body.{name}"))))
        },
    },
    Intended {
        name: "a rejected key is an error",
        fault: None,
        reason: "the recorded code accepts a key that the server rejects",
        is: |c, d| {
            c.name().contains("bad key") && error_of(d, true) == "CredentialsValidateFailedError" && d.at == "answer"
                || c.name().contains("bad key") && at(d, "requests[*]") && d.ours.is_none()
        },
    },
    Intended {
        name: "a schema for every type",
        fault: Some(21),
        reason: "Dify does not list a customizable model without a schema",
        is: |_, d| d.at == "answer.schema" && d.recorded.as_ref().is_some_and(Value::is_null),
    },
    Intended {
        name: "features of customizable models",
        fault: None,
        reason: "a feature is offered if the form asks for it, and no feature for tools without tools",
        is: |_, d| {
            at(d, "answer.schema.features.*")
                && (d.at.ends_with("tool-call")
                    || ["agent-thought", "vision", "structured-output"].iter().any(|name| d.at.ends_with(name)))
        },
    },
    Intended {
        name: "rules of customizable models",
        fault: None,
        reason: "a customizable model without parameter rules could not be set at all",
        is: |c, d| {
            at(d, "answer.schema.rules.*")
                || at(d, "answer.schema.properties.mode") && added(d)
                || at(d, "answer.schema.properties.context_size") && added(d)
                || c.name().starts_with("custom plain")
                    && added(d)
                    && at(d, "requests[0].body.*")
                    && ["temperature", "top_p", "max_tokens", "presence_penalty", "frequency_penalty"]
                        .iter()
                        .any(|name| d.at.ends_with(name))
        },
    },
    Intended {
        name: "properties of speech models",
        fault: None,
        reason: "Dify reads formats, size and parallelism of audio from the schema; words and languages of the form are kept",
        is: |_, d| {
            ["file_upload_limit", "supported_file_extensions", "max_workers", "word_limit", "voices*"]
                .iter()
                .any(|name| at(d, &format!("answer.schema.properties.{name}")))
        },
    },
    Intended {
        name: "completion models are completed",
        fault: None,
        reason: "a model whose form says completion is called by completion",
        is: |c, d| c.name().ends_with(": completion") && (at(d, "requests[0].*") || d.at.starts_with("answer")),
    },
    Intended {
        name: "thoughts without marks",
        fault: None,
        reason: "a thought is text in one form for all providers, without marks and escapes of one",
        is: |_, d| d.at == "answer.text" && recorded(d).is_some_and(|text| text.contains("<!--")),
    },
    Intended {
        name: "defaults are not stored",
        fault: None,
        reason: "a default or a choice of the recorded code is not written into the stored credentials",
        is: |_, d| d.at == "answer.credentials" && d.ours.is_none(),
    },
    Intended {
        name: "the format of speech is stated",
        fault: None,
        reason: "Dify expects mp3, and a server has a default of its own",
        is: |_, d| added(d) && at(d, "requests[0].body.response_format") && ours(d) == Some("mp3"),
    },
    Intended {
        name: "the chosen voice is used",
        fault: None,
        reason: "the recorded code replaces voices or sends none",
        is: |c, d| c.case["model_type"] == "tts" && at(d, "requests[0].body.voice") && d.ours.is_some(),
    },
    Intended {
        name: "declared media are sent",
        fault: Some(22),
        reason: "a model that declares documents or audio gets them",
        is: |c, d| matches!(c.prompt(), "document" | "audio") && at(d, "requests[0].body.messages[0].content"),
    },
    Intended {
        name: "white space around thoughts",
        fault: None,
        reason: "line breaks between a thought and the text belong to neither",
        is: |_, d| {
            (at(d, "requests[*].body.messages[*].*content") || d.at == "answer.text")
                && ours(d).zip(recorded(d)).is_some_and(|(ours, recorded)| recorded.trim() == ours)
        },
    },
    Intended {
        name: "parts of a text are lines",
        fault: None,
        reason: "texts of one message are not run together",
        is: |c, d| c.prompt() == "parts" && at(d, "requests[0].body.messages[*].content"),
    },
    Intended {
        name: "thoughts of stored texts are handed back",
        fault: None,
        reason: "Dify stores the text of an answer with its thoughts, and nothing else of streams",
        is: |_, d| {
            at(d, "requests[0].body.messages[*].reasoning_content")
                && recorded(d) == Some("")
                && ours(d) == Some("plan")
        },
    },
    Intended {
        name: "top_n when asked",
        fault: None,
        reason: "the number of results is sent only if Dify has one",
        is: |c, d| c.is("invoke_rerank") && at(d, "requests[0].body.top_n") && d.ours.is_none(),
    },
    Intended {
        name: "calls end with tool_calls",
        fault: None,
        reason: "an answer with calls ends with tool_calls",
        is: |c, d| {
            d.at == "answer.finish_reason"
                && ours(d) == Some("tool_calls")
                && recorded(d) == Some("stop")
                && c.answer["calls"].is_array()
        },
    },
    Intended {
        name: "vectors are decoded by format",
        fault: None,
        reason: "the format of vectors is not named where the server has one",
        is: |_, d| at(d, "requests[0].body.encoding_format") && d.ours.is_none(),
    },
    Intended {
        name: "no thoughts without thinking",
        fault: None,
        reason: "thoughts that come although thinking is off are not shown",
        is: |c, d| {
            d.at == "answer.text"
                && c.sent[0]["body"]["reasoning"]["enabled"] == false
                && recorded(d).map(without_thoughts) == ours(d)
        },
    },
];
