//! The payload of a `backwards_response` envelope: one event of one call.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::protocol::lenient;

/// One event of a call, its data unread.
#[derive(Debug)]
#[non_exhaustive]
pub enum BackwardsEvent<'a> {
    /// One response.
    Response(&'a RawValue),
    /// The call failed; an end follows.
    Error(String),
    /// Nothing more comes.
    End,
    /// An event that this version does not know.
    Other,
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    backwards_request_id: Cow<'a, str>,
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

impl<'a> BackwardsEvent<'a> {
    /// Reads the ID of the call, and its event.
    pub fn parse(data: &'a str) -> Result<(Cow<'a, str>, Self), serde_json::Error> {
        let Wire { backwards_request_id, event, message, data } = serde_json::from_str(data)?;
        let event = match (&*event, data) {
            ("response", Some(data)) => Self::Response(data),
            // The SDK reads a response without data as the end.
            ("response", None) | ("end", _) => Self::End,
            ("error", _) => {
                let text = message.map(RawValue::get).unwrap_or_default();
                Self::Error(lenient::read(text).unwrap_or_else(|_| text.to_owned()))
            }
            _ => Self::Other,
        };
        Ok((backwards_request_id, event))
    }
}
