//! Our messages → the dialect's, borrowed: a picture of many megabytes is written straight into the body.

use std::borrow::Cow;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::profile::{AudioForm, DocumentForm, ImageForm, Profile, ToolForm, VideoForm};
use crate::dialect::think::strip_thoughts;
use crate::error::InvokeError;
use crate::protocol::{Content, ContentPart, MediaPart, PromptMessage, Role, ToolCall};

/// One message.
#[derive(Debug, Serialize)]
pub struct Message<'a> {
    role: &'static str,
    content: MessageContent<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "<[ToolCall]>::is_empty")]
    tool_calls: &'a [ToolCall],
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<&'a crate::protocol::FunctionCall>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum MessageContent<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<Part<'a>>),
}

#[derive(Debug)]
enum Part<'a> {
    Text(&'a str),
    /// `{"type": kind, kind: {"url", "detail"?}}`
    Link {
        kind: &'static str,
        media: Media<'a>,
        detail: Option<&'a str>,
    },
    InputAudio {
        data: &'a str,
        format: &'a str,
    },
    File {
        name: &'a str,
        media: Media<'a>,
    },
}

/// Where the bytes of a part are.
#[derive(Clone, Copy, Debug)]
enum Media<'a> {
    Url(&'a str),
    Inline { mime_type: &'a str, base64: &'a str },
}

/// The messages of a request; `instruction` goes in front of the system message.
pub fn messages<'a>(
    prompt: &'a [PromptMessage],
    profile: &Profile,
    instruction: Option<&'a str>,
) -> Result<Vec<Message<'a>>, InvokeError> {
    let mut messages: Vec<Message<'a>> =
        prompt.iter().map(|message| convert(message, prompt, profile)).collect::<Result<_, _>>()?;
    if let Some(instruction) = instruction {
        instruct(&mut messages, instruction);
    }
    if profile.system_first {
        merge_system(&mut messages);
    }
    Ok(messages)
}

fn convert<'a>(
    message: &'a PromptMessage,
    prompt: &'a [PromptMessage],
    profile: &Profile,
) -> Result<Message<'a>, InvokeError> {
    let functions = profile.tools == ToolForm::FunctionCall;
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool if functions => "function",
        Role::Tool => "tool",
    };
    let mut content = content(&message.content, profile)?;
    if message.role == Role::Assistant
        && let MessageContent::Text(Cow::Borrowed(text)) = content
    {
        content = MessageContent::Text(Cow::Borrowed(strip_thoughts(text)));
    }
    let calls: &[ToolCall] = if message.role == Role::Assistant { &message.tool_calls } else { &[] };
    let is_tool = message.role == Role::Tool;
    Ok(Message {
        role,
        content,
        name: match is_tool {
            true if functions => message.name.as_deref().or_else(|| called(prompt, message)).or(Some("tool")),
            true => None,
            false => message.name.as_deref(),
        },
        tool_calls: if functions { &[] } else { calls },
        function_call: calls.first().filter(|_| functions).map(|call| &call.function),
        tool_call_id: message.tool_call_id.as_deref().filter(|_| is_tool && !functions),
    })
}

/// The name of the function whose call a tool message answers.
fn called<'a>(prompt: &'a [PromptMessage], message: &PromptMessage) -> Option<&'a str> {
    let id = message.tool_call_id.as_deref()?;
    let calls = prompt.iter().flat_map(|message| &message.tool_calls);
    calls.into_iter().find(|call| call.id == id).map(|call| call.function.name.as_str())
}

fn content<'a>(content: &'a Content, profile: &Profile) -> Result<MessageContent<'a>, InvokeError> {
    let parts = match content {
        Content::Text(text) => return Ok(MessageContent::Text(Cow::Borrowed(text))),
        Content::Parts(parts) => parts,
    };
    if parts.iter().all(|part| matches!(part, ContentPart::Text(_))) {
        let texts: Vec<&str> = parts.iter().filter_map(text_of).collect();
        return Ok(MessageContent::Text(match texts.as_slice() {
            [one] => Cow::Borrowed(*one),
            many => Cow::Owned(many.join("\n")),
        }));
    }
    parts.iter().map(|part| convert_part(part, profile)).collect::<Result<_, _>>().map(MessageContent::Parts)
}

fn text_of(part: &ContentPart) -> Option<&str> {
    match part {
        ContentPart::Text(text) => Some(&text.data),
        _ => None,
    }
}

fn convert_part<'a>(part: &'a ContentPart, profile: &Profile) -> Result<Part<'a>, InvokeError> {
    let refused = || {
        Err(InvokeError::bad_request(format!("this model does not read {} parts", part.type_name()))
            .with_hint("Remove the file, or choose a model with that ability."))
    };
    match part {
        ContentPart::Text(text) => Ok(Part::Text(&text.data)),
        ContentPart::Image(image) => match profile.image {
            ImageForm::ImageUrl => link("image_url", image, profile, Some(image.detail.as_deref().unwrap_or("auto"))),
            ImageForm::ImageUrlWithoutDetail => link("image_url", image, profile, None),
            ImageForm::Refused => refused(),
        },
        ContentPart::Video(video) => match profile.video {
            VideoForm::VideoUrl => link("video_url", video, profile, None),
            VideoForm::ImageUrl => link("image_url", video, profile, None),
            VideoForm::Refused => refused(),
        },
        ContentPart::Audio(audio) => match profile.audio {
            AudioForm::AudioUrl => link("audio_url", audio, profile, None),
            AudioForm::ImageUrl => link("image_url", audio, profile, None),
            AudioForm::InputAudio => input_audio(audio, profile),
            AudioForm::Refused => refused(),
        },
        ContentPart::Document(document) => match profile.document {
            DocumentForm::File => Ok(Part::File {
                name: document.filename.as_deref().unwrap_or("document"),
                media: media(document, profile)?,
            }),
            DocumentForm::Refused => refused(),
        },
    }
}

fn link<'a>(
    kind: &'static str,
    part: &'a MediaPart,
    profile: &Profile,
    detail: Option<&'a str>,
) -> Result<Part<'a>, InvokeError> {
    Ok(Part::Link { kind, media: media(part, profile)?, detail })
}

fn media<'a>(part: &'a MediaPart, profile: &Profile) -> Result<Media<'a>, InvokeError> {
    let inline = part.base64_data.as_deref().map(|base64| Media::Inline { mime_type: &part.mime_type, base64 });
    let url = part.url.as_deref().map(Media::Url);
    let found = if profile.prefer_inline { inline.or(url) } else { url.or(inline) };
    found.ok_or_else(|| InvokeError::bad_request("a media part has neither a URL nor data"))
}

fn input_audio<'a>(part: &'a MediaPart, profile: &Profile) -> Result<Part<'a>, InvokeError> {
    let format = if part.format.is_empty() { "wav" } else { &part.format };
    let data = match media(part, profile)? {
        Media::Inline { base64, .. } => Some(base64),
        Media::Url(url) if url.starts_with("data:") => url.split_once(";base64,").map(|(_, data)| data),
        Media::Url(_) => part.base64_data.as_deref(),
    };
    let data = data.ok_or_else(|| InvokeError::bad_request("this upstream takes audio as data, not as a URL"))?;
    Ok(Part::InputAudio { data, format })
}

/// Puts an instruction in front of the first system message, or makes one.
fn instruct<'a>(messages: &mut Vec<Message<'a>>, instruction: &'a str) {
    let system = messages.iter_mut().find(|message| message.role == "system");
    match system.map(|message| &mut message.content) {
        Some(MessageContent::Text(text)) => *text = Cow::Owned(format!("{instruction}\n\n{text}")),
        Some(MessageContent::Parts(parts)) => parts.insert(0, Part::Text(instruction)),
        None => messages.insert(0, system_message(Cow::Borrowed(instruction))),
    }
}

/// Some chat templates refuse a system message that is not the first: all of them become one.
fn merge_system(messages: &mut Vec<Message<'_>>) {
    let mut texts = Vec::new();
    messages.retain(|message| {
        if message.role != "system" {
            return true;
        }
        match &message.content {
            MessageContent::Text(text) => texts.push(text.to_string()),
            MessageContent::Parts(parts) => texts.extend(parts.iter().filter_map(|part| match part {
                Part::Text(text) => Some((*text).to_owned()),
                _ => None,
            })),
        }
        false
    });
    if !texts.is_empty() {
        messages.insert(0, system_message(Cow::Owned(texts.join("\n\n"))));
    }
}

fn system_message(text: Cow<'_, str>) -> Message<'_> {
    Message {
        role: "system",
        content: MessageContent::Text(text),
        name: None,
        tool_calls: &[],
        function_call: None,
        tool_call_id: None,
    }
}

/// The prompt of completion mode: the texts of all messages, one below the other.
pub fn prompt_text(prompt: &[PromptMessage], instruction: Option<&str>) -> Result<String, InvokeError> {
    let mut texts: Vec<String> = instruction.map(str::to_owned).into_iter().collect();
    for message in prompt {
        if let Content::Parts(parts) = &message.content
            && let Some(part) = parts.iter().find(|part| part.media().is_some())
        {
            return Err(InvokeError::bad_request(format!(
                "a completion model does not read {} parts",
                part.type_name()
            )));
        }
        let text = message.content.text();
        if !text.is_empty() {
            texts.push(if message.role == Role::Assistant { strip_thoughts(&text).to_owned() } else { text });
        }
    }
    Ok(texts.join("\n"))
}

impl Serialize for Media<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Url(url) => serializer.serialize_str(url),
            Self::Inline { mime_type, base64 } => {
                serializer.collect_str(&format_args!("data:{mime_type};base64,{base64}"))
            }
        }
    }
}

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Link<'a> {
            url: Media<'a>,
            #[serde(skip_serializing_if = "Option::is_none")]
            detail: Option<&'a str>,
        }
        #[derive(Serialize)]
        struct InputAudio<'a> {
            data: &'a str,
            format: &'a str,
        }
        #[derive(Serialize)]
        struct File<'a> {
            filename: &'a str,
            file_data: Media<'a>,
        }
        let mut map = serializer.serialize_map(Some(2))?;
        let kind = match self {
            Self::Text(_) => "text",
            Self::Link { kind, .. } => kind,
            Self::InputAudio { .. } => "input_audio",
            Self::File { .. } => "file",
        };
        map.serialize_entry("type", kind)?;
        match self {
            Self::Text(text) => map.serialize_entry(kind, text)?,
            Self::Link { media, detail, .. } => map.serialize_entry(kind, &Link { url: *media, detail: *detail })?,
            Self::InputAudio { data, format } => map.serialize_entry(kind, &InputAudio { data, format })?,
            Self::File { name, media } => map.serialize_entry(kind, &File { filename: name, file_data: *media })?,
        }
        map.end()
    }
}
