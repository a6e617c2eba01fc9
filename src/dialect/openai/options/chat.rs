//! The keys of `chat:`, and the profile that follows from them and from what a model declares. What it is not: the request
//! itself, which is built from the profile.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};

use super::parameters::{Conversions, ParameterRule};
use crate::dialect::openai::form_values::TextOrFalse;
use crate::dialect::openai::profile::{
    AudioForm, DocumentForm, History, ImageForm, MaxTokensName, Mode, Profile, ReasoningBack, StopForm, StreamForm,
    StructuredForm, SystemForm, ThinkingForm, ToolForm, UserForm, VideoForm,
};
use dify_plugin::declare::{ModelFeature, ModelSchema};

/// Options of chat and completion requests.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChatOptions {
    /// How tools are offered. Default: `by_feature`.
    pub tools: ToolsOption,
    /// Whether `tool_choice` is sent when the app did not choose. Default: `when_asked`.
    pub tool_choice: ToolChoiceOption,
    /// Form of images. Default: `url` for models with the feature `vision`, otherwise `refuse`.
    pub images: Option<ImageForm>,
    /// Form of videos. Default: `url` for models with the feature `video`, otherwise `refuse`.
    pub videos: Option<VideoForm>,
    /// Form of audio. Default: `input_audio` for models with the feature `audio`, otherwise `refuse`.
    pub audios: Option<AudioForm>,
    /// Form of documents. Default: `file` for models with the feature `document`, otherwise `refuse`.
    pub documents: Option<DocumentForm>,
    /// How structured output is requested. Default: `native` if the model has a parameter `json_schema`, `json_object` if its
    /// `response_format` offers only that, otherwise `prompt`.
    pub structured: Option<StructuredForm>,
    /// Where the parameters `enable_thinking`, `think` and `thinking` are sent: any of `top_level` (`enable_thinking`),
    /// `template_kwargs` (`chat_template_kwargs`) and `object` (`thinking: {type}`). A conversion with `values`, `as` or `to`
    /// replaces this for its parameter. Default: nowhere; `thinking` is sent as it is.
    pub thinking: Vec<ThinkingPlace>,
    /// Whether thoughts appear in the response, as a think block. Default: `show`.
    pub thoughts: ThoughtsOption,
    /// When the thoughts of earlier responses are sent back as `reasoning_content`. Default: `never`.
    pub reasoning_back: ReasoningBack,
    /// Text between consecutive user or assistant messages that are merged into one, or `false`. Default: `false`.
    #[serde(deserialize_with = "text_or_false")]
    #[schemars(with = "TextOrFalse")]
    pub merge_roles: Option<String>,
    /// Whether messages without content and calls are left out. Default: `false`.
    pub drop_empty: bool,
    /// What happens to system messages. Default: `keep`.
    pub system: SystemForm,
    /// The ID of the end user: `false`, or where it is sent. Default: `false`.
    #[serde(deserialize_with = "user_or_false")]
    #[schemars(with = "UserOption")]
    pub user: Option<UserForm>,
    /// Stop sequences: `true` sends all, `false` none, a number at most that many. Default: `true`.
    pub stop: StopForm,
    /// Whether a streaming request asks for token usage (`stream_options`). A server that rejects this is not asked again.
    /// Default: `ask`.
    pub usage: UsageOption,
    /// Whether responses are streamed: `true`, `false`, or `{parameter: NAME}` for a boolean parameter that decides. Default:
    /// `true`.
    pub stream: StreamForm,
    /// Wire name of the parameter `max_tokens`. Default: `auto`.
    pub max_tokens: Option<MaxTokensName>,
    /// Conversions of parameters, by name.
    pub parameters: Conversions,
    /// Rules that drop or set parameters depending on others; evaluated in order, before the conversions.
    pub rules: Vec<ParameterRule>,
    /// Members that are added to every request; they override parameters.
    pub body: Map<String, Value>,
    /// Texts that are removed from responses.
    pub strip: Vec<String>,
    /// Maximum number of retries before the first byte of a response. Default: that of the connection.
    pub retries: Option<u32>,
}

/// How tools are offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolsOption {
    /// As `tool_call` for models with one of the features `tool-call`, `multi-tool-call`, `stream-tool-call`.
    #[default]
    ByFeature,
    /// `tools`, `tool_calls`, role `tool`.
    #[serde(alias = "stream_tool_call")]
    ToolCall,
    /// `functions`, `function_call`, role `function`.
    FunctionCall,
    /// Not at all; calls in responses are ignored.
    #[serde(alias = "no_call")]
    None,
}

/// Whether `tool_choice` is sent when the app did not choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolChoiceOption {
    /// Only the app's choice is sent.
    #[default]
    WhenAsked,
    /// `auto` is sent with tools.
    Auto,
}

/// A place of the thinking switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ThinkingPlace {
    /// `enable_thinking: true`
    TopLevel,
    /// `chat_template_kwargs: {enable_thinking: true, thinking: true}`
    TemplateKwargs,
    /// `thinking: {type: enabled}`
    Object,
}

/// Whether thoughts appear in the response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ThoughtsOption {
    /// As a think block.
    #[default]
    Show,
    /// Not at all.
    Hide,
}

/// Whether a streaming request asks for token usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UsageOption {
    /// With `stream_options`.
    #[default]
    Ask,
    /// Without it.
    Silent,
}

impl ChatOptions {
    /// Returns the profile of a model: `mode`, features and parameter rules are those of its schema.
    pub fn profile(&self, model: &ModelSchema) -> Profile {
        let has = |feature| model.features.contains(&feature);
        let completes = model.model_properties.get("mode").and_then(Value::as_str) == Some("completion");
        let calls =
            has(ModelFeature::ToolCall) || has(ModelFeature::MultiToolCall) || has(ModelFeature::StreamToolCall);
        let place = |place| self.thinking.contains(&place);
        Profile {
            mode: if completes { Mode::Completion } else { Mode::Chat },
            image: self.images.unwrap_or(by(has(ModelFeature::Vision), ImageForm::ImageUrl, ImageForm::Unsupported)),
            video: self.videos.unwrap_or(by(has(ModelFeature::Video), VideoForm::VideoUrl, VideoForm::Unsupported)),
            audio: self.audios.unwrap_or(by(has(ModelFeature::Audio), AudioForm::InputAudio, AudioForm::Unsupported)),
            document: self.documents.unwrap_or(by(
                has(ModelFeature::Document),
                DocumentForm::File,
                DocumentForm::Unsupported,
            )),
            tools: match self.tools {
                ToolsOption::ByFeature => by(calls, ToolForm::ToolCall, ToolForm::None),
                ToolsOption::ToolCall => ToolForm::ToolCall,
                ToolsOption::FunctionCall => ToolForm::FunctionCall,
                ToolsOption::None => ToolForm::None,
            },
            always_chooses: self.tool_choice == ToolChoiceOption::Auto,
            structured: self.structured.unwrap_or_else(|| structured_by_rules(model)),
            thinking: ThinkingForm {
                top_level: place(ThinkingPlace::TopLevel),
                template_kwargs: place(ThinkingPlace::TemplateKwargs),
                object: place(ThinkingPlace::Object),
            },
            hides_thoughts: self.thoughts == ThoughtsOption::Hide,
            reasoning_back: self.reasoning_back,
            history: History { merge: self.merge_roles.clone(), drops_empty: self.drop_empty, system: self.system },
            user: self.user.clone(),
            stop: self.stop,
            include_usage: self.usage == UsageOption::Ask,
            stream: self.stream.clone(),
            max_tokens: self.max_tokens.unwrap_or(MaxTokensName::Auto),
            parameters: self.parameters.clone(),
            rules: self.rules.clone(),
            extra_body: self.body.clone(),
            strip: self.strip.iter().filter(|text| !text.is_empty()).cloned().collect(),
            ..Profile::default()
        }
    }
}

fn by<T>(has: bool, form: T, otherwise: T) -> T {
    if has { form } else { otherwise }
}

/// Follows the parameters that the model offers.
fn structured_by_rules(model: &ModelSchema) -> StructuredForm {
    let offers = |format: &str| {
        model.rule("response_format").is_some_and(|rule| rule.options.iter().any(|option| option == format))
    };
    if model.rule("json_schema").is_some() || offers("json_schema") {
        StructuredForm::Native
    } else if offers("json_object") {
        StructuredForm::JsonObject
    } else {
        StructuredForm::Prompt
    }
}

fn text_or_false<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match TextOrFalse::deserialize(deserializer) {
        Ok(TextOrFalse::False) => Ok(None),
        Ok(TextOrFalse::Text(text)) => Ok(Some(text)),
        Err(_) => Err(de::Error::custom("must be the text between merged messages, or `false`")),
    }
}

/// `false`, or where the ID of the end user is sent.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is used")]
enum UserOption {
    Flag(bool),
    Form(UserForm),
}

fn user_or_false<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<UserForm>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null | Value::Bool(false) => Ok(None),
        Value::Bool(true) => Ok(Some(UserForm::default())),
        form => UserForm::deserialize(form).map(Some).map_err(de::Error::custom),
    }
}

impl<'de> Deserialize<'de> for StopForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Null | Value::Bool(true) => Ok(Self::All),
            Value::Bool(false) => Ok(Self::AtMost(0)),
            value => match value.as_u64().and_then(|number| usize::try_from(number).ok()) {
                Some(number) => Ok(Self::AtMost(number)),
                None => Err(de::Error::custom("must be true, false or a number of stop sequences")),
            },
        }
    }
}

impl JsonSchema for StopForm {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "StopForm".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": ["boolean", "integer"], "minimum": 0 })
    }
}

impl<'de> Deserialize<'de> for StreamForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "must be true, false or {parameter: NAME}";
        match Value::deserialize(deserializer)? {
            Value::Null | Value::Bool(true) => Ok(Self::AsAsked),
            Value::Bool(false) => Ok(Self::Never),
            Value::Object(map) => match (map.len(), map.get("parameter")) {
                (1, Some(Value::String(name))) => Ok(Self::Parameter(name.clone())),
                _ => Err(de::Error::custom(EXPECTED)),
            },
            _ => Err(de::Error::custom(EXPECTED)),
        }
    }
}

impl JsonSchema for StreamForm {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "StreamForm".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "anyOf": [{ "type": "boolean" }, {
            "type": "object", "additionalProperties": false, "required": ["parameter"],
            "properties": { "parameter": { "type": "string", "description": "The boolean parameter that decides." } },
        }] })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn options(yaml: Value) -> Result<ChatOptions, String> {
        serde_json::from_value(yaml).map_err(|error| error.to_string())
    }

    #[test]
    fn forms_follow_the_features_unless_they_are_stated() {
        let mut model = ModelSchema::customizable("m", dify_plugin::protocol::ModelType::Llm);
        let plain = ChatOptions::default().profile(&model);
        assert_eq!(
            (plain.image, plain.tools, plain.structured),
            (ImageForm::Unsupported, ToolForm::None, StructuredForm::Prompt)
        );
        assert!(plain.include_usage && plain.user.is_none() && plain.max_tokens == MaxTokensName::Auto);
        model.features = vec![ModelFeature::Vision, ModelFeature::MultiToolCall, ModelFeature::Audio];
        let able = ChatOptions::default().profile(&model);
        assert_eq!(
            (able.image, able.tools, able.audio),
            (ImageForm::ImageUrl, ToolForm::ToolCall, AudioForm::InputAudio)
        );
        let stated = options(json!({"tools": "none", "images": "refuse", "audios": "as_image", "structured": "both"}));
        let stated = stated.unwrap().profile(&model);
        assert_eq!(
            (stated.image, stated.tools, stated.audio),
            (ImageForm::Unsupported, ToolForm::None, AudioForm::ImageUrl)
        );
        assert_eq!(stated.structured, StructuredForm::NativeAndPrompt);
    }

    #[test]
    fn reads_every_key() {
        let all = options(json!({
            "tools": "no_call", "tool_choice": "auto", "images": "url_without_detail", "videos": "as_image", "audios": "url",
            "documents": "text", "structured": "json_object", "thinking": ["top_level", "object"], "thoughts": "hide",
            "reasoning_back": "when_known", "merge_roles": "\n", "drop_empty": true, "system": "drop",
            "user": {"field": "user_id", "longest": 32, "hash": "sha256"}, "stop": 4, "usage": "silent",
            "stream": {"parameter": "enable_stream"}, "max_tokens": "max_completion_tokens",
            "parameters": {"thinking": {"unset": true, "as": "switch"}},
            "rules": [{"when": {"thinking": true}, "drop": ["top_p"]}], "body": {"a": 1}, "strip": ["<|x|>"], "retries": 5,
        }))
        .unwrap();
        assert_eq!((all.stop, all.merge_roles.as_deref()), (StopForm::AtMost(4), Some("\n")));
        assert_eq!(all.stream, StreamForm::Parameter("enable_stream".to_owned()));
        assert_eq!(
            options(json!({"user": false, "merge_roles": false, "stop": false})).unwrap().stop,
            StopForm::AtMost(0)
        );
    }

    #[test]
    fn names_what_is_wrong() {
        for (yaml, expected) in [
            (json!({"tool": "none"}), "unknown field `tool`"),
            (json!({"tools": "always"}), "by_feature"),
            (json!({"merge_roles": true}), "text between merged messages"),
            (json!({"stop": -1}), "number of stop sequences"),
            (json!({"stream": {"by": "x"}}), "{parameter: NAME}"),
            (json!({"user": {"length": 3}}), "unknown field `length`"),
            (json!({"parameters": {"x": {"as": "text"}}}), "switch"),
        ] {
            let error = options(yaml.clone()).unwrap_err();
            assert!(error.contains(expected), "{yaml}: {error}");
        }
    }
}
