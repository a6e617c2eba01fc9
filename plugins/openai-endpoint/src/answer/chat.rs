//! Chat completions: `chat.completion` and `chat.completion.chunk`.

use serde::Serialize;
use serde_json::{Value, json};

use super::{CallPiece, DONE, End, Finish, Head, Piece, Usage, event};

/// Writes the chunks of a stream.
pub struct Chunks {
    head: Head,
    include_usage: bool,
    has_begun: bool,
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    system_fingerprint: Option<&'a str>,
    choices: &'a [Choice<'a>],
    /// Absent unless the client requests it; null before the last chunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Usage>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    citations: Option<&'a [Value]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u64,
    delta: Delta<'a>,
    logprobs: Option<()>,
    finish_reason: Option<Finish>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[Call<'a>; 1]>,
}

#[derive(Serialize)]
struct Call<'a> {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

impl Chunks {
    pub fn new(head: Head, include_usage: bool) -> Self {
        Self { head, include_usage, has_begun: false }
    }

    pub fn piece(&mut self, piece: &Piece, out: &mut Vec<u8>) {
        self.begin(out);
        let delta = match piece {
            Piece::Text(text) => Delta { content: Some(text), ..Delta::default() },
            Piece::Reasoning(text) => Delta { reasoning_content: Some(text), ..Delta::default() },
            Piece::Call(CallPiece { index, id, name, arguments }) => {
                let function = Function { name: name.as_deref(), arguments };
                let call = Call { index: *index, id: id.as_deref(), kind: id.as_ref().map(|_| "function"), function };
                Delta { tool_calls: Some([call]), ..Delta::default() }
            }
        };
        self.write(delta, None, &End::default(), out);
    }

    pub fn end(&mut self, end: &End, out: &mut Vec<u8>) {
        self.begin(out);
        self.write(Delta::default(), Some(end.finish_reason), end, out);
        if self.include_usage {
            let chunk = Chunk { usage: Some(Some(end.usage)), ..self.chunk(end, &[]) };
            event(out, &chunk);
        }
        out.extend_from_slice(DONE);
    }

    /// The role comes first, as clients expect.
    fn begin(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.has_begun, true) {
            let delta = Delta { role: Some("assistant"), content: Some(""), ..Delta::default() };
            self.write(delta, None, &End::default(), out);
        }
    }

    fn write(&self, delta: Delta<'_>, finish_reason: Option<Finish>, end: &End, out: &mut Vec<u8>) {
        let choices = [Choice { index: 0, delta, logprobs: None, finish_reason }];
        event(out, &self.chunk(end, &choices));
    }

    fn chunk<'a>(&'a self, end: &'a End, choices: &'a [Choice<'a>]) -> Chunk<'a> {
        Chunk {
            id: &self.head.id,
            object: "chat.completion.chunk",
            created: self.head.created,
            model: &self.head.model,
            system_fingerprint: end.fingerprint.as_deref(),
            choices,
            usage: self.include_usage.then_some(None),
            citations: Some(&*end.citations).filter(|citations| !citations.is_empty()),
            conversation_id: end.conversation.as_deref(),
        }
    }
}

/// Collects the pieces of a whole response.
#[derive(Default)]
pub struct Whole {
    text: String,
    reasoning: String,
    calls: Vec<CallPiece>,
}

impl Whole {
    pub fn piece(&mut self, piece: Piece) {
        match piece {
            Piece::Text(text) => self.text.push_str(&text),
            Piece::Reasoning(text) => self.reasoning.push_str(&text),
            Piece::Call(call) => match self.calls.get_mut(call.index) {
                Some(known) => {
                    known.name = known.name.take().or(call.name);
                    known.arguments.push_str(&call.arguments);
                }
                None => self.calls.push(call),
            },
        }
    }

    pub fn finish(self, head: Head, end: End) -> Value {
        let Self { text, reasoning, calls } = self;
        // As OpenAI's API: no text beside calls is null.
        let content = Some(text).filter(|text| !text.is_empty() || calls.is_empty());
        let mut message = json!({"role": "assistant", "content": content, "refusal": null});
        if !reasoning.is_empty() {
            message["reasoning_content"] = reasoning.into();
        }
        if !calls.is_empty() {
            let call = |CallPiece { id, name, arguments, .. }: CallPiece| {
                json!({"id": id.unwrap_or_default(), "type": "function",
                    "function": {"name": name.unwrap_or_default(), "arguments": arguments}})
            };
            message["tool_calls"] = calls.into_iter().map(call).collect();
        }
        let End { finish_reason, usage, fingerprint, citations, conversation } = end;
        let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason});
        let mut body = json!({"id": head.id, "object": "chat.completion", "created": head.created, "model": head.model,
            "system_fingerprint": fingerprint, "choices": [choice], "usage": usage});
        if !citations.is_empty() {
            body["citations"] = citations.into();
        }
        if let Some(conversation) = conversation {
            body["conversation_id"] = conversation.into();
        }
        body
    }
}
