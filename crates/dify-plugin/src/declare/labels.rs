//! Errors contain the variable of a form field; users see its label. This module puts the label before the variable, in
//! one place for all providers. It does not translate, and it changes only names in backticks.

use std::collections::HashSet;

use super::provider::ProviderDeclaration;
use crate::error::InvokeError;

/// Word before the name of something that is not a form field.
const PARAMETER: &str = "parameter ";

impl ProviderDeclaration {
    /// Returns the same error with the label before the first mention of each credential field.
    #[must_use]
    pub fn label_fields(&self, mut error: InvokeError) -> InvokeError {
        let mut named = HashSet::new();
        for text in std::iter::once(&mut error.message).chain(error.hint.as_mut()) {
            if text.contains('`') {
                *text = self.labelled(text, &mut named);
            }
        }
        error
    }

    fn labelled(&self, text: &str, named: &mut HashSet<String>) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('`') {
            let Some((word, after)) = behind.split_once('`') else { break };
            out.push_str(before);
            let label = self.label_of(word).filter(|_| !before.ends_with(PARAMETER));
            if let Some(label) = label
                && named.insert(word.to_owned())
            {
                out.push_str(&format!("“{label}” "));
            }
            out.push_str(&format!("`{word}`"));
            rest = after;
        }
        out.push_str(rest);
        out
    }

    /// Returns the label of a variable, as users see it.
    fn label_of(&self, variable: &str) -> Option<&str> {
        let shown = self.field_of(variable);
        let label = self.credential_fields().find(|field| field.variable == shown)?.label.en_us.as_str();
        (!label.eq_ignore_ascii_case(variable)).then_some(label)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn puts_labels_before_their_variables_once() {
        let declaration: ProviderDeclaration = serde_json::from_value(json!({
            "provider": "p", "label": {"en_US": "P"}, "supported_model_types": ["llm"],
            "configurate_methods": ["customizable-model"],
            "provider_credential_schema": {"credential_form_schemas": [
                {"variable": "api_key", "label": {"en_US": "API key"}, "type": "secret-input"},
                {"variable": "mode", "label": {"en_US": "Mode"}, "type": "text-input"},
            ]},
            "model_credential_schema": {"model": {"label": {"en_US": "Model"}}, "credential_form_schemas": [
                {"variable": "jwt_jwks", "label": {"en_US": "Private key (JWK)"}, "type": "secret-input"},
            ]},
        }))
        .unwrap();
        let cases = [
            ("credential `jwt_jwks` is wrong", "credential “Private key (JWK)” `jwt_jwks` is wrong"),
            ("`api_key` or `jwt_jwks`", "“API key” `api_key` or “Private key (JWK)” `jwt_jwks`"),
            ("`api_key`, `api_key`", "“API key” `api_key`, `api_key`"),
            ("`mode`: a label that is the variable", "`mode`: a label that is the variable"),
            ("parameter `api_key` is no field", "parameter `api_key` is no field"),
            ("`other` ``api_key`` `", "`other` ``api_key`` `"),
            ("no name, no ` pair", "no name, no ` pair"),
        ];
        for (text, expected) in cases {
            assert_eq!(declaration.label_fields(InvokeError::bad_request(text)).message, expected);
        }
        let error = InvokeError::bad_request("`api_key`").with_hint("Look at `api_key` and `jwt_jwks`.");
        let error = declaration.label_fields(error);
        assert_eq!(error.hint.as_deref(), Some("Look at `api_key` and “Private key (JWK)” `jwt_jwks`."));
    }
}
