//! Combinations of the keys of `chat` that cannot work. What it is not: the meaning of the keys, which the dialect defines.

use super::super::facts::Facts;
use super::Found;
use crate::dialect::openai::options::parameters::{Target, ValueForm};
use crate::dialect::openai::options::{ChatOptions, Conversion};

impl Found<'_> {
    /// Checks every variant of the block; `prefix` is the beginning of the paths.
    pub(super) fn chat(&mut self, prefix: &str, facts: &Facts) {
        let mut wrong: Vec<(String, &'static str)> = Vec::new();
        for options in facts.chat.each() {
            for (path, what) in conversions(&options).chain(rules(&options)) {
                let path = format!("{prefix}chat.{path}");
                if !wrong.iter().any(|(known, _)| *known == path) {
                    wrong.push((path, what));
                }
            }
        }
        for (path, what) in wrong {
            self.error(path, what);
        }
    }
}

fn conversions(options: &ChatOptions) -> impl Iterator<Item = (String, &'static str)> {
    options.parameters.0.iter().filter_map(|(name, conversion)| {
        let (key, what) = wrong(conversion)?;
        Some((format!("parameters.{name}.{key}"), what))
    })
}

/// Returns the key of a conversion that cannot work with the others.
fn wrong(conversion: &Conversion) -> Option<(&'static str, &'static str)> {
    let Conversion { unset, only, values, form, tool, to } = conversion;
    let never = *to == Target::Nowhere;
    let converts = unset.is_some() || only.is_some() || !values.is_empty() || form.is_some() || tool.is_some();
    if never && converts {
        return Some(("to", "is `false`, so that nothing is sent; remove it or the other keys"));
    }
    match (form, tool) {
        (Some(ValueForm::Tool), None) => return Some(("as", "is `tool`, but there is no `tool` to send")),
        (Some(ValueForm::Tool), Some(_)) if *to != Target::Own => {
            return Some(("to", "has no use with `as: tool`, which sends an entry of `tools`"));
        }
        (Some(ValueForm::Tool), _) | (_, None) => {}
        (_, Some(_)) => return Some(("tool", "has no use without `as: tool`")),
    }
    if only.as_ref().is_some_and(Vec::is_empty) {
        return Some(("only", "has no value, so that nothing is sent; write `to: false`"));
    }
    if let (Some(unset), Some(only)) = (unset, only)
        && !only.contains(unset)
    {
        return Some(("unset", "is not among the values of `only`, so that it is never sent"));
    }
    None
}

fn rules(options: &ChatOptions) -> impl Iterator<Item = (String, &'static str)> {
    let idle = options.rules.iter().enumerate().filter(|(_, rule)| rule.drop.is_empty() && rule.set.is_empty());
    idle.map(|(index, _)| (format!("rules.{index}"), "neither drops nor sets a parameter"))
}
