//! The tool `understand_media`: describes videos, audio, documents and images, transcribes them, or answers a question
//! about them.

mod transcript;

use std::sync::Arc;

use dify_plugin::prelude::*;
use dify_plugin::serde_json::{Map, Value, json};
use dify_plugin_gemini::wire::{GenerateContentRequest, Part};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use self::transcript::{Transcript, Wanted};
use crate::files::{self, Downloaded, Readable};
use crate::models::{self, Use};
use crate::output::{common, given, note_of_incomplete, require_text, send};
use crate::service::{Account, Reply, Service, question};

/// What is answered if a task needs no question.
const DESCRIBE: &str = "Describe this media: what it shows, what is spoken or written in it, and what matters.";

/// Serves `tools/understand_media.yaml`.
pub struct UnderstandMedia(pub Arc<Service>);

#[derive(Deserialize, JsonSchema)]
pub struct Parameters {
    /// What to do
    #[serde(default)]
    task: Task,
    /// Question, or what the description is to contain
    question: Option<String>,
    /// Videos, audio, documents or images
    #[serde(default)]
    files: Vec<File>,
    /// URL of a YouTube video or of a public file
    url: Option<String>,
    /// Transcript with the time of each passage
    #[serde(default)]
    timestamps: bool,
    /// Transcript with the speaker of each passage
    #[serde(default)]
    speakers: bool,
    /// First second of a video to look at
    #[schemars(range(min = 0))]
    start: Option<f64>,
    /// Last second of a video to look at
    #[schemars(range(min = 0))]
    end: Option<f64>,
    /// Model that answers
    model: Option<DynamicSelect>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, serde::Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Describe
    #[default]
    Describe,
    /// Transcribe
    Transcribe,
    /// Answer the question
    Answer,
}

impl Tool for UnderstandMedia {
    const NAME: &'static str = "understand_media";
    type Parameters = Parameters;

    async fn invoke(&self, call: Call, parameters: Parameters, out: &mut Messages) -> Result<(), PluginError> {
        let asked = given(parameters.question.as_deref());
        let url = given(parameters.url.as_deref());
        if parameters.files.is_empty() && url.is_none() {
            return Err(PluginError::bad_request("there is no media: parameters `files` and `url` are empty"));
        }
        if parameters.task == Task::Answer && asked.is_none() {
            return Err(PluginError::bad_request("parameter `question` is empty, and the task is to answer it"));
        }
        let clip = clip(parameters.start, parameters.end)?;
        let model = Use::Answers.model(parameters.model);
        let account = self.0.account(&call)?;
        let wanted = Wanted { timestamps: parameters.timestamps, speakers: parameters.speakers };
        let mut request = question(Vec::new());
        let prompt = match parameters.task {
            Task::Describe => asked.unwrap_or(DESCRIBE).to_owned(),
            Task::Answer => asked.unwrap_or_default().to_owned(),
            Task::Transcribe => wanted.prompt(asked, &mut request),
        };
        let linked = url.map(|url| link(&account, url)).transpose()?;
        let readable = Readable { only_images: false, office_files: model.starts_with("gemini-4") };
        let downloaded = files::download(&call, "files", &parameters.files, readable).await?;
        let media = Media { account: &account, model: &model, downloaded, linked, clip, prompt };
        let Reply { answer, grounding } = media.ask(request).await?;
        let reply = Reply { answer: require_text(answer)?, grounding };
        let text = reply.answer.text();
        let transcript = match parameters.task {
            Task::Transcribe => wanted.read(&text),
            Task::Describe | Task::Answer => Transcript { text, segments: Vec::new() },
        };
        let mut everything = common(&model, &reply.answer);
        everything.insert("answer".to_owned(), json!(transcript.text));
        everything.insert("segments".to_owned(), transcript.segments.into());
        everything.insert("files".to_owned(), media.described());
        let text = transcript.text + &note_of_incomplete(&reply.answer).unwrap_or_default();
        send(out, &text, everything, &["answer", "segments"]).await
    }

    async fn options(&self, call: Call, parameter: &str) -> Result<Vec<Choice>, PluginError> {
        models::choices(&self.0.account(&call)?, parameter, Use::Answers).await
    }
}

/// The media of a call, and what is asked about them.
struct Media<'a> {
    account: &'a Account<'a>,
    model: &'a str,
    downloaded: Vec<Downloaded>,
    linked: Option<Part>,
    clip: Option<Value>,
    prompt: String,
}

impl Media<'_> {
    /// Sends the request. If the service no longer has a file that was uploaded by an earlier call, it is uploaded again.
    async fn ask(&self, request: GenerateContentRequest) -> Result<Reply, PluginError> {
        let mut uploaded = Vec::new();
        let first = self.with_parts(request.clone(), &mut uploaded).await?;
        match self.account.ask(self.model, first).await {
            Err(error) if files::forget_missing(self.account, &uploaded, &error) => {
                let again = self.with_parts(request, &mut Vec::new()).await?;
                self.account.ask(self.model, again).await
            }
            reply => reply,
        }
    }

    /// Media first, then the prompt, as Google recommends.
    async fn with_parts(
        &self,
        mut request: GenerateContentRequest,
        uploaded: &mut Vec<String>,
    ) -> Result<GenerateContentRequest, PluginError> {
        let mut parts: Vec<Part> = self.linked.clone().into_iter().collect();
        parts.extend(files::parts(self.account, &self.downloaded, uploaded).await?);
        for part in parts.iter_mut().filter(|part| is_video(part)) {
            part.video_metadata.clone_from(&self.clip);
        }
        parts.push(Part::text(&self.prompt));
        request.contents[0].parts = parts;
        Ok(request)
    }

    fn described(&self) -> Value {
        let linked = self.linked.iter().filter_map(|part| part.file_data.as_ref());
        let linked = linked.map(|file| json!({"uri": file.file_uri}));
        let files = self.downloaded.iter().map(|file| json!({"name": file.name, "mime_type": file.mime_type}));
        linked.chain(files).collect()
    }
}

fn is_video(part: &Part) -> bool {
    match (&part.inline_data, &part.file_data) {
        (Some(blob), _) => blob.mime_type.starts_with("video/"),
        (None, Some(file)) => {
            file.mime_type.as_ref().is_some_and(|mime_type| mime_type.starts_with("video/"))
                || is_youtube(&file.file_uri)
        }
        (None, None) => false,
    }
}

/// Returns the part for a URL: a YouTube video, or a file that Google reads.
fn link(account: &Account<'_>, url: &str) -> Result<Part, PluginError> {
    if is_youtube(url) {
        // Vertex AI requires a type for every file; the page of a video has none.
        let mime_type = account.connection.surface.is_vertex().then(|| "video/mp4".to_owned());
        return Ok(files::at(mime_type, url));
    }
    Ok(files::at(Some(files::mime_type_of_url("url", url, false)?), url))
}

fn is_youtube(url: &str) -> bool {
    const HOSTS: [&str; 4] = ["youtube.com", "www.youtube.com", "m.youtube.com", "youtu.be"];
    Url::parse(url).is_ok_and(|url| url.host_str().is_some_and(|host| HOSTS.contains(&host)))
}

/// Returns the clip of the videos as `videoMetadata`.
fn clip(start: Option<f64>, end: Option<f64>) -> Result<Option<Value>, PluginError> {
    let mut clip = Map::new();
    for (name, key, seconds) in [("start", "startOffset", start), ("end", "endOffset", end)] {
        let Some(seconds) = seconds else { continue };
        if !(0.0..=86_400.0).contains(&seconds) {
            return Err(PluginError::bad_request(format!("parameter `{name}` must be from 0 to 86400 seconds")));
        }
        clip.insert(key.to_owned(), format!("{seconds}s").into());
    }
    match (start, end) {
        (Some(start), Some(end)) if end <= start => {
            Err(PluginError::bad_request("parameter `end` must be greater than `start`"))
        }
        _ => Ok((!clip.is_empty()).then_some(clip.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_has_a_beginning_and_an_end() {
        assert_eq!(clip(None, None).unwrap(), None);
        assert_eq!(clip(Some(1.5), Some(20.0)).unwrap(), Some(json!({"startOffset": "1.5s", "endOffset": "20s"})));
        for (start, end, name) in
            [(Some(-1.0), None, "`start`"), (None, Some(f64::NAN), "`end`"), (Some(5.0), Some(5.0), "`end`")]
        {
            assert!(clip(start, end).unwrap_err().message.contains(name), "{start:?} {end:?}");
        }
    }

    #[test]
    fn recognizes_youtube_videos() {
        for (url, expected) in [
            ("https://www.youtube.com/watch?v=x", true),
            ("https://youtu.be/x", true),
            ("https://youtube.com.example/x", false),
            ("https://a.example/?u=https://youtu.be/x", false),
        ] {
            assert_eq!(is_youtube(url), expected, "{url}");
        }
    }
}
