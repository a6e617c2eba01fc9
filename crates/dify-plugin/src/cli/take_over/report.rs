//! What of a published plugin is served natively, and what is not: for people and scripts.

use std::collections::BTreeMap;

use super::rewrite::is_left_out;
use super::{Taken, TakenProvider};
use crate::declare::provider::ConfigurateMethod;
use crate::protocol::ModelType;

/// The report about one provider.
pub(in crate::cli) struct Report<'a>(&'a TakenProvider);

impl Taken {
    /// The lines of the report.
    pub fn report(&self) -> Vec<String> {
        let manifest = &self.declarations.manifest;
        let mut lines = Vec::new();
        for provider in &self.providers {
            let report = Report::of(provider);
            let name = &provider.loaded.declaration.provider;
            lines.push(format!("{name}: {} {}", self.published, manifest.text("version")));
            lines.push(format!("  facts: {}", provider.source));
            lines.extend(report.served_lines().into_iter().map(|line| format!("  served natively: {line}")));
            lines.extend(report.left_out_lines().into_iter().map(|line| format!("  not served: {line}")));
        }
        if self.warnings > 0 {
            lines.push(format!("{} warnings about the declarations, which `check DIR` lists", self.warnings));
        }
        let left: usize = self.providers.iter().map(|provider| Report::of(provider).left_out_models()).sum();
        let is_whole = self.providers.iter().all(|provider| provider.left_out.is_empty());
        lines.push(match (is_whole, left) {
            (true, _) => "the whole plugin is served natively".to_owned(),
            (false, 0) => "all of the plugin but what is named above is served natively".to_owned(),
            (false, left) => {
                format!("all of the plugin but what is named above ({left} declared models) is served natively")
            }
        });
        lines
    }

    /// Whether something of each provider is served.
    pub fn serves_every_provider(&self) -> bool {
        self.providers.iter().all(|provider| !Report::of(provider).served_types().is_empty())
    }
}

impl<'a> Report<'a> {
    /// The report about a provider.
    pub fn of(provider: &'a TakenProvider) -> Self {
        Self(provider)
    }

    fn served_types(&self) -> Vec<ModelType> {
        let declaration = &self.0.loaded.declaration;
        let supported = |kind: &ModelType| declaration.supported_model_types.contains(kind);
        let has_customizable = declaration.configurate_methods.contains(&ConfigurateMethod::CustomizableModel);
        let is_served = |kind: &ModelType| {
            !is_left_out(&self.0.left_out, *kind, None) && (has_customizable || self.models(*kind).0 > 0)
        };
        ModelType::ALL.into_iter().filter(supported).filter(is_served).collect()
    }

    /// How many models of a type are served, and how many are declared.
    fn models(&self, kind: ModelType) -> (usize, usize) {
        let of_type = || self.0.loaded.models.iter().filter(move |model| model.model_type == kind);
        let served = of_type().filter(|model| !is_left_out(&self.0.left_out, kind, Some(&model.model))).count();
        (served, of_type().count())
    }

    fn left_out_models(&self) -> usize {
        ModelType::ALL.into_iter().map(|kind| self.models(kind)).map(|(served, all)| all - served).sum()
    }

    /// One line for each model type.
    fn served_lines(&self) -> Vec<String> {
        let methods = &self.0.loaded.declaration.configurate_methods;
        let line = |kind: ModelType| {
            let mut parts = Vec::new();
            let (served, all) = self.models(kind);
            if all > 0 && served == all {
                parts.push(format!("{all} declared models"));
            } else if all > 0 {
                parts.push(format!("{served} of {all} declared models"));
            }
            if methods.contains(&ConfigurateMethod::CustomizableModel) {
                parts.push("customizable models".to_owned());
            }
            format!("{}: {}", kind.as_str(), parts.join(", "))
        };
        self.served_types().into_iter().map(line).collect()
    }

    /// One line for each type and reason.
    pub fn left_out_lines(&self) -> Vec<String> {
        let mut types = Vec::new();
        let mut models: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for left in &self.0.left_out {
            match &left.model {
                None => types.push(format!("{}: {}", left.model_type.as_str(), left.reason)),
                Some(model) => models.entry((left.model_type.as_str(), &left.reason)).or_default().push(model),
            }
        }
        let lines = models.into_iter().map(|((kind, reason), names)| format!("{kind} {}: {reason}", names.join(", ")));
        types.into_iter().chain(lines).collect()
    }
}
