//! Learns from rejections which form of requests a server accepts, and remembers it for some time.
//!
//! A lesson applies to the rejected request. If its retry succeeds, it is remembered for some minutes, for the same
//! credentials, URL and model; what may depend on the members of the request, only for requests with the same members.
//! A
//! retry that is rejected, too, teaches nothing. Words are matched whole: "upstream" does not mean "stream".

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Action, Endpoint};
use crate::dialect::openai::Profile;
use crate::dialect::openai::profile::{MaxTokensName, ReasoningBack, SignatureForm};
use dify_plugin::error::{ErrorKind, InvokeError};
use dify_plugin::protocol::{LlmRequest, ToolChoiceMode};

/// How long a lesson is remembered.
const REJECTION_TTL: Duration = Duration::from_secs(10 * 60);

/// Maximum number of lessons.
const MAX_ENTRIES: usize = 1024;

/// Lowest output limit that every server accepts.
const SAFE_LIMIT: u64 = 16;

/// Highest output limit with which a validation request is retried.
const MAX_PROBED_TOKENS: u64 = 65_536;

/// What a server rejects or requires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lessons {
    /// `stream_options` is rejected.
    without_usage: bool,
    /// The output limit is named `max_completion_tokens`.
    completion_tokens: bool,
    /// Only streaming requests are accepted.
    streams_only: bool,
    /// Such a request must not be streamed.
    whole_only: bool,
    /// Thoughts of responses with tool calls must be sent back.
    thoughts: bool,
    /// A call without a signature gets the documented placeholder.
    signatures: bool,
    /// Every call of this request gets the placeholder.
    no_signatures: bool,
    /// The ID of the end user is rejected.
    without_user: bool,
    /// `tool_choice` is rejected, although it only asks for the default.
    without_choice: bool,
}

impl Lessons {
    /// Maximum number of lessons for one request.
    pub(super) const MAX_PER_REQUEST: usize = 9;

    fn and(self, other: Self) -> Self {
        Self {
            without_usage: self.without_usage || other.without_usage,
            completion_tokens: self.completion_tokens || other.completion_tokens,
            streams_only: self.streams_only || other.streams_only,
            whole_only: self.whole_only || other.whole_only,
            thoughts: self.thoughts || other.thoughts,
            signatures: self.signatures || other.signatures,
            no_signatures: self.no_signatures || other.no_signatures,
            without_user: self.without_user || other.without_user,
            without_choice: self.without_choice || other.without_choice,
        }
    }

    /// Changes a request accordingly; `asked` is whether the daemon requested a stream.
    pub(super) fn apply(self, profile: &mut Profile, request: &mut LlmRequest, asked: bool) {
        profile.include_usage &= !self.without_usage;
        if self.thoughts {
            profile.reasoning_back = profile.reasoning_back.max(ReasoningBack::WithCalls);
        }
        profile.signatures = match (self.signatures, self.no_signatures) {
            (_, true) => SignatureForm::Replaced,
            (true, false) => SignatureForm::Completed,
            (false, false) => profile.signatures,
        };
        if self.completion_tokens {
            profile.max_tokens = MaxTokensName::MaxCompletionTokens;
        }
        if self.without_user {
            profile.user = None;
        }
        if self.without_choice {
            profile.always_chooses = false;
            request.tool_choice.take_if(|choice| choice.mode == ToolChoiceMode::Auto);
            if request.model_parameters.get("tool_choice") == Some(&"auto".into()) {
                request.model_parameters.remove("tool_choice");
            }
        }
        request.stream = (asked || self.streams_only) && !self.whole_only;
    }

    /// Returns the lessons including that of a rejection, or `None` if it teaches nothing new.
    pub(super) fn learn(self, error: &InvokeError, profile: &Profile, request: &LlmRequest) -> Option<Self> {
        if !matches!(error.status, Some(400 | 422 | 501)) || error.kind == ErrorKind::Authorization {
            return None;
        }
        let reported = RejectionText::of(error);
        let mentions_streams =
            reported.has(&["stream", "streams", "streamed", "streaming"]) || reported.text.contains("流式");
        let learned = if request.stream && profile.include_usage && reported.has(&["stream_options", "include_usage"]) {
            Self { without_usage: true, ..self }
        } else if request.model_parameters.contains_key("max_tokens") && reported.has(&["max_completion_tokens"]) {
            Self { completion_tokens: true, ..self }
        } else if reported.has(&["reasoning_content"]) && calls_in(request) {
            Self { thoughts: true, ..self }
        } else if reported.has(&["thought_signature", "thoughtsignature", "thought_signatures"]) && is_signed(request) {
            // First replace missing signatures, then rejected ones.
            let no_signatures = self.signatures || !calls_in(request);
            Self { signatures: true, no_signatures, ..self }
        } else if names_user(request, profile).is_some_and(|field| reported.rejects_member(field)) {
            Self { without_user: true, ..self }
        } else if chooses_freely(request, profile) && reported.rejects_member("tool_choice") {
            Self { without_choice: true, ..self }
        } else if self.streams_only || self.whole_only {
            // The server accepts neither streaming nor non-streaming requests.
            self
        } else if !request.stream && mentions_streams {
            Self { streams_only: true, ..self }
        } else if request.stream && mentions_streams && reported.is_unsupported() {
            Self { whole_only: true, ..self }
        } else {
            self
        };
        (learned != self).then_some(learned)
    }
}

fn calls_in(request: &LlmRequest) -> bool {
    request.prompt_messages.iter().any(|message| !message.tool_calls.is_empty())
}

/// Whether a request may contain signatures.
fn is_signed(request: &LlmRequest) -> bool {
    calls_in(request) || request.prompt_messages.iter().any(|message| message.opaque_body.is_some())
}

/// Returns the member in which a request names the end user.
fn names_user<'p>(request: &LlmRequest, profile: &'p Profile) -> Option<&'p str> {
    let form = profile.user.as_ref().filter(|_| !request.target.user_id.is_empty())?;
    Some(&form.field)
}

/// Whether a request contains a `tool_choice` that only asks for the default.
fn chooses_freely(request: &LlmRequest, profile: &Profile) -> bool {
    match &request.tool_choice {
        Some(choice) => choice.mode == ToolChoiceMode::Auto,
        None => {
            (profile.always_chooses && !request.tools.is_empty())
                || request.model_parameters.get("tool_choice") == Some(&"auto".into())
        }
    }
}

/// The text of a rejection in lower case.
struct RejectionText {
    text: String,
}

impl RejectionText {
    fn of(error: &InvokeError) -> Self {
        Self { text: error.message.to_ascii_lowercase() }
    }

    /// Whether it contains one of these as a whole word.
    fn has(&self, words: &[&str]) -> bool {
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        self.text.split(|letter| !is_part(letter)).any(|word| words.contains(&word))
    }

    /// Whether it says that the server does not take a member of the request, or its value. Texts about a role or a message mean
    /// something else by `user`.
    fn rejects_member(&self, member: &str) -> bool {
        const UNKNOWN: [&str; 10] = [
            "unrecognized",
            "unknown",
            "unexpected",
            "extra input",
            "extra field",
            "extra_forbidden",
            "not permitted",
            "additional properties",
            "too long",
            "maximum length",
        ];
        let is_other = member != "tool_choice" && self.has(&["role", "roles", "message", "messages", "conversation"]);
        let is_rejected = self.is_unsupported() || UNKNOWN.iter().any(|word| self.text.contains(word));
        !is_other && is_rejected && self.has(&[member])
    }

    fn is_unsupported(&self) -> bool {
        ["not support", "n't support", "unsupported", "not implemented", "not allowed", "not available", "不支持"]
            .iter()
            .any(|no| self.text.contains(no))
    }
}

/// Returns the output limit for a retry if the server reports that this one is too low.
pub(super) fn min_limit(error: &InvokeError, asked: u64) -> Option<u64> {
    if !matches!(error.status, Some(400 | 422)) {
        return None;
    }
    let reported = RejectionText::of(error);
    let of_limit = reported.has(&["max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens"]);
    let too_low =
        ["minimum", "at least", ">", "greater", "below", "higher", "larger", "less than", "too small", "between"];
    if !of_limit || !too_low.iter().any(|words| reported.text.contains(words)) {
        return None;
    }
    // The status before the text is not a limit.
    let words = reported.text.split_once(": ").map_or(reported.text.as_str(), |(_, words)| words);
    let numbers = words.split(|letter: char| !letter.is_ascii_digit()).filter_map(|digits| digits.parse().ok());
    let least = numbers.filter(|number| (asked + 1..=MAX_PROBED_TOKENS).contains(number)).min();
    let limit = least.unwrap_or(SAFE_LIMIT).max(SAFE_LIMIT);
    (limit > asked).then_some(limit)
}

static KEPT: Mutex<Option<HashMap<u64, (Lessons, Instant)>>> = Mutex::new(None);

/// Keys of the lessons for a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Model, URL and credentials.
    model: u64,
    /// As `model`, for requests with these members.
    shape: u64,
}

impl Place {
    pub(super) fn of(endpoint: &Endpoint, action: Action, model: &str, request: &LlmRequest) -> Self {
        let mut hasher = DefaultHasher::new();
        (endpoint.credentials, endpoint.url(action).as_str(), model).hash(&mut hasher);
        let model = hasher.finish();
        let mut names: Vec<&str> = request.model_parameters.keys().map(String::as_str).collect();
        names.sort_unstable();
        (names, request.tools.is_empty(), request.json_schema.is_some()).hash(&mut hasher);
        Self { model, shape: hasher.finish() }
    }

    pub(super) fn recall(self) -> Lessons {
        let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |key| match kept.as_ref().and_then(|kept| kept.get(&key)) {
            Some((lessons, until)) if *until > Instant::now() => *lessons,
            _ => Lessons::default(),
        };
        of(self.model).and(of(self.shape))
    }

    pub(super) fn keep(self, lessons: Lessons) {
        let until = Instant::now() + REJECTION_TTL;
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.get_or_insert_default();
        if kept.len() + 1 >= MAX_ENTRIES {
            kept.clear();
        }
        kept.insert(self.model, (Lessons { whole_only: false, no_signatures: false, ..lessons }, until));
        if lessons.whole_only {
            kept.insert(self.shape, (Lessons { whole_only: true, ..Lessons::default() }, until));
        }
    }
}

#[cfg(test)]
mod tests;
