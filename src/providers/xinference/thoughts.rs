//! Detects how thoughts begin in a model's text: with a tag of the model, or without one because the chat template
//! wrote it.
//! This decides whether they are shown immediately or buffered until it is clear what they are.
//!
//! | known | result |
//! |---|---|
//! | an earlier response with the same switch began without a tag | text is treated as thoughts immediately |
//! | an earlier response began with one; or, with the switch unset, had no thoughts | text is text |
//! | the model always thinks (the server adds the tag, older versions do not) | thoughts immediately |
//! | thinking is switched on, and the family's template writes the tag | thoughts immediately |
//! | thinking is switched on | buffered until a closing tag or the end |
//! | the switch is unset, and the family's template writes the tag by default (unless set otherwise on the server) | buffered |
//!
//! Source: chat templates of `xorbitsai/inference: xinference/model/llm/llm_family.json`, and `reasoning_parser.py` there.

use std::sync::Arc;

use super::model_cache::Catalog;
use super::model_info::ModelInfo;
use crate::dialect::openai::ChatMapper;
use crate::dialect::think::{Beginning, ThinkPolicy};
use crate::dialect::{Flow, StreamMapper};
use dify_plugin::codec::events::Event;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::LlmDelta;

/// How a family's template handles the opening tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Template {
    /// Writes it unless thinking is switched off.
    Opens,
    /// Writes it if thinking is switched on.
    OpensWhenOn,
    /// Uses other tags.
    OtherTags,
}

/// Model families by lowercase name prefix.
const TEMPLATES: &[(&str, Template)] = &[
    ("qwen3.5", Template::Opens),
    ("qwen3.6", Template::Opens),
    ("qwen3.8", Template::Opens),
    ("glm-4.7", Template::Opens),
    ("glm-5", Template::Opens),
    ("minimax-m2", Template::Opens),
    ("minicpm5", Template::Opens),
    ("nex-n2", Template::Opens),
    ("ornith", Template::Opens),
    ("deepseek-v3.1", Template::OpensWhenOn),
    ("deepseek-v3.2", Template::OpensWhenOn),
    ("gpt-oss", Template::OtherTags),
    ("gemma-4", Template::OtherTags),
    ("minimax-m3", Template::OtherTags),
];

fn template(description: &ModelInfo) -> Option<Template> {
    let family = description.family().to_ascii_lowercase();
    TEMPLATES.iter().find(|(name, _)| family.starts_with(name)).map(|(_, template)| *template)
}

/// Returns the policy for the thoughts of a response, unless thinking is switched off; `seen` is how those of an
/// earlier
/// response with the same switch began.
pub(super) fn policy(description: &ModelInfo, is_switched_on: bool, seen: Option<Beginning>) -> ThinkPolicy {
    match seen {
        Some(Beginning::Unopened) => return ThinkPolicy::Opened,
        Some(Beginning::Tag) => return ThinkPolicy::Show,
        // A model that thinks may still respond without thoughts.
        Some(Beginning::NoThoughts) if !is_switched_on && !description.always_thinks() => return ThinkPolicy::Show,
        Some(Beginning::NoThoughts) | None => {}
    }
    match (template(description), is_switched_on) {
        (Some(Template::OtherTags), _) => ThinkPolicy::Show,
        _ if description.always_thinks() => ThinkPolicy::Opened,
        (Some(_), true) => ThinkPolicy::Opened,
        (None, true) => ThinkPolicy::ShowUnopened,
        (Some(Template::Opens), false) if description.is_hybrid() => ThinkPolicy::ShowUnopened,
        _ => ThinkPolicy::Show,
    }
}

/// Wraps the dialect's mapper and stores how thoughts began.
pub(super) struct Watched {
    pub(super) inner: ChatMapper,
    pub(super) catalog: Arc<Catalog>,
    pub(super) key: u64,
    pub(super) is_switched_on: bool,
}

impl StreamMapper for Watched {
    type Item = LlmDelta;

    fn event(&mut self, event: &Event, out: &mut Vec<LlmDelta>) -> Result<Flow, InvokeError> {
        self.inner.event(event, out)
    }

    fn finish(&mut self, out: &mut Vec<LlmDelta>) -> Result<(), InvokeError> {
        let ended = self.inner.finish(out);
        if let Some(beginning) = self.inner.beginning() {
            self.catalog.saw(self.key, self.is_switched_on, beginning);
        }
        ended
    }

    fn is_over(&self) -> bool {
        self.inner.is_over()
    }

    fn held(&self) -> usize {
        self.inner.held()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_thoughts_only_while_nothing_is_known() {
        use Beginning::{NoThoughts, Tag, Unopened};
        use ThinkPolicy::{Opened, Show, ShowUnopened};
        let (always, hybrid, neither) =
            (&["chat", "reasoning"][..], &["chat", "reasoning", "hybrid"][..], &["chat"][..]);
        for (family, abilities, is_on, seen, expected) in [
            ("QwQ-32B", always, false, None, Opened),
            ("QwQ-32B", always, false, Some(Tag), Show),
            ("QwQ-32B", always, false, Some(NoThoughts), Opened),
            ("gpt-oss", always, false, None, Show),
            ("unknown", always, true, None, Opened),
            ("qwen3.5", hybrid, true, None, Opened),
            ("qwen3.5", hybrid, false, None, ShowUnopened),
            ("qwen3.5", hybrid, false, Some(Unopened), Opened),
            ("qwen3.5", hybrid, false, Some(NoThoughts), Show),
            ("qwen3.5", hybrid, true, Some(NoThoughts), Opened),
            ("GLM-4.7-Flash", hybrid, true, None, Opened),
            ("Deepseek-V3.1", hybrid, true, None, Opened),
            ("Deepseek-V3.1", hybrid, false, None, Show),
            ("qwen3", hybrid, true, None, ShowUnopened),
            ("qwen3", hybrid, true, Some(Tag), Show),
            ("qwen3", hybrid, true, Some(Unopened), Opened),
            ("qwen3", hybrid, false, None, Show),
            ("MiniMax-M3", hybrid, true, None, Show),
            ("qwen3.5", neither, false, None, Show),
            ("llama-3", neither, false, None, Show),
        ] {
            let description =
                serde_json::json!({"model_type": "LLM", "model_family": family, "model_ability": abilities});
            let description: ModelInfo = serde_json::from_value(description).unwrap();
            assert_eq!(policy(&description, is_on, seen), expected, "{family} {abilities:?} {is_on} {seen:?}");
        }
    }
}
