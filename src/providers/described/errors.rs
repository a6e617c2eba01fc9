//! Kinds of errors that facts name by status, code or word. What it is not: the dialect's own table, which applies first.

use super::facts::ErrorClass;
use crate::providers::compatible::model::Hooks;
use dify_plugin::error::InvokeError;

/// The table of a provider.
#[derive(Clone, Debug, Default)]
pub struct ErrorTable {
    statuses: Vec<(u16, ErrorClass)>,
    words: Vec<(String, ErrorClass)>,
}

impl ErrorTable {
    /// Creates a table from statuses and words.
    pub fn new(entries: &[(String, ErrorClass)]) -> Self {
        let mut table = Self::default();
        for (key, class) in entries {
            match key.trim().parse() {
                Ok(status) => table.statuses.push((status, *class)),
                Err(_) => table.words.push((key.trim().to_lowercase(), *class)),
            }
        }
        table
    }

    /// Returns the class of an error. A word is more specific than a status.
    fn class(&self, error: &InvokeError) -> Option<ErrorClass> {
        let code = error.code.as_deref().map(str::to_lowercase).unwrap_or_default();
        let message = error.message.to_lowercase();
        let by_word = self.words.iter().find(|(word, _)| *word == code || message.contains(word.as_str()));
        let by_status =
            || self.statuses.iter().find(|(status, _)| Some(*status) == error.status).map(|(_, class)| class);
        by_word.map(|(_, class)| class).or_else(by_status).copied()
    }
}

impl Hooks for ErrorTable {
    fn failed(&self, error: InvokeError) -> InvokeError {
        // What never reached the server is not classified.
        if error.status.is_none() && error.code.is_none() {
            return error;
        }
        match self.class(&error) {
            Some(class) => error.with_kind(class.kind()),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use dify_plugin::error::ErrorKind;

    use super::*;

    #[test]
    fn classifies_by_word_before_status() {
        let entries = [
            ("402".to_owned(), ErrorClass::RateLimit),
            ("Insufficient_Quota".to_owned(), ErrorClass::Authorization),
            ("busy now".to_owned(), ErrorClass::ServerUnavailable),
        ];
        let table = ErrorTable::new(&entries);
        for (status, code, message, expected) in [
            (Some(402), None, "pay", ErrorKind::RateLimit),
            (Some(402), Some("insufficient_quota"), "pay", ErrorKind::Authorization),
            (Some(400), None, "HTTP 400: I am Busy now", ErrorKind::ServerUnavailable),
            (Some(400), None, "other", ErrorKind::BadRequest),
            (None, None, "busy now", ErrorKind::BadRequest),
            (None, Some("x"), "busy now", ErrorKind::ServerUnavailable),
        ] {
            let mut error = InvokeError::bad_request(message);
            (error.status, error.code) = (status, code.map(str::to_owned));
            assert_eq!(table.failed(error).kind, expected, "{status:?} {code:?} {message}");
        }
    }
}
