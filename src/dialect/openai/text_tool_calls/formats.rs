//! The formats in which models write tool calls, as data: the tags that open a call, what follows each of them, and the
//! closing tags and tokens that are skipped. `reading` parses the bodies.
//!
//! | model family | a call |
//! |---|---|
//! | Hermes, Qwen | `<tool_call>{"name": …, "arguments": {…}}</tool_call>` |
//! | Phi, Granite | `<\|tool_call\|>[{"name": …, "arguments": {…}}]<\|/tool_call\|>` |
//! | Qwen Coder, Llama 3 with custom functions | `<function=NAME><parameter=KEY>…</parameter></function>`, `<function=NAME>{…}</function>` |
//! | GLM 4.5 and later | `<tool_call>NAME<arg_key>KEY</arg_key><arg_value>…</arg_value></tool_call>` |
//! | Mistral | `[TOOL_CALLS] [{"name": …, "arguments": {…}}]`, `[TOOL_CALLS]NAME{…}`, `[TOOL_CALLS]NAME[ARGS]{…}` |
//! | Llama 3 | `<\|python_tag\|>{"name": …, "parameters": {…}}; {…}`; without the tag see `bare` |
//! | Kimi K2 | `<\|tool_call_begin\|>functions.NAME:0<\|tool_call_argument_begin\|>{…}<\|tool_call_end\|>` in a section |
//! | DeepSeek V3, R1 | `<｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME`, the arguments in a fence, `<｜tool▁call▁end｜>`, in a section |
//! | DeepSeek V3.1 | `<｜tool▁call▁begin｜>NAME<｜tool▁sep｜>{…}<｜tool▁call▁end｜>` in a section |
//! | DeepSeek V3.2 and V4, MiniMax M2 | `<invoke name="NAME"><parameter name="KEY">…</parameter></invoke>` in a section, also with `｜DSML｜` |
//!
//! Source: the tool parsers of vLLM (`vllm/tool_parsers`), SGLang (`python/sglang/srt/function_call`) and Xinference
//! (`xinference/model/llm/tool_parsers`).

/// A tag that may start tool calls.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) tag: &'static str,
    pub(super) body: Body,
}

/// What follows a tag.
#[derive(Debug)]
pub(super) enum Body {
    /// Calls in their own tags.
    Section,
    /// Calls as JSON.
    Json,
    /// Calls as JSON, in their own tags, or a name with arguments in pairs of tags.
    JsonOrPairs,
    /// A name, one of these separators, and the arguments as JSON; or calls as JSON.
    Named(&'static [&'static str]),
    /// A name and parameters in tags; or a name and the arguments as JSON.
    Tagged(Tags),
}

/// The tags around a parameter.
#[derive(Debug)]
pub(super) struct Tags {
    pub(super) begin: &'static str,
    pub(super) end: &'static str,
}

const fn opening(tag: &'static str, body: Body) -> Opening {
    Opening { tag, body }
}

/// Every tag that opens calls.
pub(super) const OPENINGS: &[Opening] = &[
    opening("<tool_call>", Body::JsonOrPairs),
    opening("<|tool_call|>", Body::Json),
    opening("<function=", Body::Tagged(Tags { begin: "<parameter=", end: "</parameter>" })),
    opening("[TOOL_CALLS]", Body::Named(&["[CALL_ID]", "[ARGS]"])),
    opening("<|python_tag|>", Body::Json),
    opening("<|tool_calls_section_begin|>", Body::Section),
    opening("<|tool_call_section_begin|>", Body::Section),
    opening("<|tool_call_begin|>", Body::Named(&["<|tool_call_argument_begin|>"])),
    opening("<｜tool▁calls▁begin｜>", Body::Section),
    opening("<｜tool▁call▁begin｜>", Body::Named(&["<｜tool▁sep｜>"])),
    opening("<｜DSML｜function_calls>", Body::Section),
    opening("<｜DSML｜tool_calls>", Body::Section),
    opening("<function_calls>", Body::Section),
    opening("<tool_calls>", Body::Section),
    opening("<minimax:tool_call>", Body::Section),
    opening("<invoke name=", Body::Tagged(Tags { begin: "<parameter name=", end: "</parameter>" })),
    opening(
        "<｜DSML｜invoke name=",
        Body::Tagged(Tags { begin: "<｜DSML｜parameter name=", end: "</｜DSML｜parameter>" }),
    ),
];

/// Closing tags of calls and sections, and tokens that end a response.
const CLOSING_TAGS: &[&str] = &[
    "</tool_call>",
    "<|/tool_call|>",
    "<|end_tool_call|>",
    "</function>",
    "<|tool_call_end|>",
    "<|tool_calls_section_end|>",
    "<|tool_call_section_end|>",
    "<｜tool▁call▁end｜>",
    "<｜tool▁calls▁end｜>",
    "</invoke>",
    "</｜DSML｜invoke>",
    "</｜DSML｜function_calls>",
    "</｜DSML｜tool_calls>",
    "</function_calls>",
    "</tool_calls>",
    "</minimax:tool_call>",
    "<｜end▁of▁sentence｜>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|im_end|>",
    "</s>",
];

/// Returns the opening tag at the start of a text.
pub(super) fn opening_at(text: &str) -> Option<&'static Opening> {
    OPENINGS.iter().find(|opening| text.starts_with(opening.tag))
}

/// Returns the closing tag at the start of a text.
pub(super) fn closing_at(text: &str) -> Option<&'static str> {
    CLOSING_TAGS.iter().find(|tag| text.starts_with(**tag)).copied()
}

/// Whether a text may be the start of an opening tag.
pub(super) fn may_open(text: &str) -> bool {
    OPENINGS.iter().any(|opening| opening.tag.starts_with(text))
}

/// Returns the positions at which a tag may begin.
pub(super) fn candidates(text: &str) -> impl Iterator<Item = usize> {
    memchr::memchr2_iter(b'<', b'[', text.as_bytes())
}
