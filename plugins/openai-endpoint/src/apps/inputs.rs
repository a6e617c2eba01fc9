//! Which inputs of an app get the text and the files of a request. An app describes its inputs as a form; requests of OpenAI's API
//! have messages.

use dify_plugin::protocol::backwards::AppInfo;
use serde_json::{Map, Value};

use crate::error::ApiError;

/// The input that gets the text, where an app has it.
const QUERY: &str = "query";

/// The inputs of an app that matter here.
#[derive(Debug, Default, PartialEq)]
pub struct AppForm {
    /// Inputs of text, in the form's order.
    texts: Vec<String>,
    /// Inputs of one file.
    files: Vec<String>,
    /// Inputs of several files.
    file_lists: Vec<String>,
}

impl From<&AppInfo> for AppForm {
    fn from(info: &AppInfo) -> Self {
        let mut form = Self::default();
        for entry in &info.user_input_form {
            let Some((kind, field)) = entry.as_object().and_then(|entry| entry.iter().next()) else { continue };
            let Some(variable) = field.get("variable").and_then(Value::as_str) else { continue };
            let inputs = match kind.as_str() {
                "text-input" | "paragraph" => &mut form.texts,
                "file" => &mut form.files,
                "file-list" => &mut form.file_lists,
                _ => continue,
            };
            inputs.push(variable.to_owned());
        }
        form
    }
}

impl AppForm {
    /// Adds the text of a request for an app that has no conversations, unless the client has filled in that input.
    pub fn add_text(&self, inputs: &mut Map<String, Value>, text: String) -> Result<(), ApiError> {
        let named = self.texts.iter().find(|name| *name == QUERY).or_else(|| self.texts.first());
        match named {
            Some(name) if !inputs.contains_key(name) => _ = inputs.insert(name.clone(), text.into()),
            // The client knows the inputs: the message repeats them, or is a formality.
            _ if !inputs.is_empty() => {}
            _ => {
                let message =
                    "This app has no text input for the message: fill in its inputs with the member `inputs`.";
                return Err(ApiError::invalid(message).with_param("inputs"));
            }
        }
        Ok(())
    }

    /// Adds files: a list takes all of them, an input of one file takes one.
    pub fn add_files(&self, inputs: &mut Map<String, Value>, mut files: Vec<Value>) -> Result<(), ApiError> {
        let free = |name: &&String| !inputs.contains_key(*name);
        if let Some(list) = self.file_lists.iter().find(free).cloned() {
            inputs.insert(list, files.into());
            return Ok(());
        }
        let single: Vec<String> = self.files.iter().filter(free).cloned().collect();
        if files.len() > single.len() {
            let message = format!(
                "The message has {} files, but the app has {} inputs for files. Add a file input to the app in Dify.",
                files.len(),
                single.len()
            );
            return Err(ApiError::invalid(message).with_param("messages"));
        }
        inputs.extend(single.into_iter().zip(files.drain(..)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn form() -> AppForm {
        let info = json!({"user_input_form": [
            {"select": {"variable": "tone", "options": ["a"]}},
            {"paragraph": {"variable": "body"}},
            {"text-input": {"variable": "query"}},
            {"file": {"variable": "image"}},
            {"file": {"variable": "other"}},
            "odd", {}, {"file": {}},
        ]});
        AppForm::from(&serde_json::from_value::<AppInfo>(info).unwrap())
    }

    #[test]
    fn the_text_goes_to_an_input_that_is_free() {
        let body_only = AppForm { texts: vec!["body".into()], ..AppForm::default() };
        for (form, inputs, expected) in [
            (form(), json!({}), Ok(json!({"query": "Hi"}))),
            (form(), json!({"tone": "a"}), Ok(json!({"tone": "a", "query": "Hi"}))),
            (form(), json!({"query": "x"}), Ok(json!({"query": "x"}))),
            (body_only, json!({}), Ok(json!({"body": "Hi"}))),
            (AppForm::default(), json!({"n": 1}), Ok(json!({"n": 1}))),
            (AppForm::default(), json!({}), Err("no text input")),
        ] {
            let mut inputs = inputs.as_object().cloned().unwrap();
            match (form.add_text(&mut inputs, "Hi".into()), expected) {
                (Ok(()), Ok(expected)) => assert_eq!(Value::Object(inputs), expected),
                (Err(error), Err(part)) => assert!(error.message.contains(part)),
                (found, expected) => panic!("{found:?} {expected:?}"),
            }
        }
    }

    #[test]
    fn files_go_to_inputs_of_files() {
        let list = AppForm { file_lists: vec!["docs".into()], files: vec!["image".into()], ..AppForm::default() };
        for (form, count, expected) in [
            (form(), 1, Ok(json!({"image": 0}))),
            (form(), 2, Ok(json!({"image": 0, "other": 1}))),
            (form(), 3, Err("2 inputs for files")),
            (list, 2, Ok(json!({"docs": [0, 1]}))),
            (AppForm::default(), 1, Err("Add a file input")),
        ] {
            let mut inputs = Map::new();
            let files = (0..count).map(|index| json!(index)).collect();
            match (form.add_files(&mut inputs, files), expected) {
                (Ok(()), Ok(expected)) => assert_eq!(Value::Object(inputs), expected),
                (Err(error), Err(part)) => assert!(error.message.contains(part), "{}", error.message),
                (found, expected) => panic!("{found:?} {expected:?}"),
            }
        }
    }
}
