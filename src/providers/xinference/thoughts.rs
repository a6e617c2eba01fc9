//! How a model's thoughts begin in its text: with a tag of its own, or without one because the chat template wrote it. What
//! is known decides whether they are shown as they come or held back until it is clear what they are.
//!
//! | what is known | what is done |
//! |---|---|
//! | an earlier answer to the same switch began without a tag | text is taken for thoughts at once |
//! | an earlier answer began with one; or, with the switch unset, had no thoughts | text is text |
//! | the model always thinks (the server adds the tag, older ones do not) | as thoughts at once |
//! | thinking is switched on, and the family's template writes the tag | as thoughts at once |
//! | thinking is switched on | held back until a closing tag, or the end |
//! | the switch is unset, and the family's template writes the tag by default (unless the server was told otherwise) | held back |
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

/// What a family's template does with the opening tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Template {
    /// Writes it unless thinking is switched off.
    Opens,
    /// Writes it when thinking is switched on.
    OpensWhenOn,
    /// Uses tags of another kind.
    OtherTags,
}

/// Families by the beginning of their name, in lower case.
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

/// What to do with the thoughts of an answer, while they are not switched off; `seen` is how those of an earlier answer to
/// the same switch began.
pub(super) fn policy(description: &ModelInfo, is_switched_on: bool, seen: Option<Beginning>) -> ThinkPolicy {
    match seen {
        Some(Beginning::Unopened) => return ThinkPolicy::Opened,
        Some(Beginning::Tag) => return ThinkPolicy::Show,
        // A model that thinks may answer without a thought once.
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

/// The dialect's mapper; what its answer shows is kept.
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
    fn thoughts_are_held_back_only_while_nothing_is_known() {
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
