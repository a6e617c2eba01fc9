//! Reads the connection fields that all HTTP providers share: timeout, retries, extra headers.

use std::time::Duration;

use serde_json::{Map, Value};

use super::auth::HeaderAuthorization;
use super::{RetryPolicy, Timeouts};
use crate::error::InvokeError;
use crate::protocol::Credentials;

/// Maximum timeout in seconds: one day.
const MAX_TIMEOUT_SECONDS: f64 = 86_400.0;

/// Maximum number of retries that a user may set.
const MAX_RETRIES: f64 = 10.0;

/// Headers that belong to the HTTP connection and cannot be set.
const RESERVED: [&str; 6] = ["host", "content-length", "transfer-encoding", "connection", "content-type", "te"];

/// Reads a field in seconds; `None` if it is blank.
fn seconds(credentials: &Credentials, field: &str) -> Result<Option<Duration>, InvokeError> {
    match credentials.number(field)? {
        Some(seconds) if !(0.001..=MAX_TIMEOUT_SECONDS).contains(&seconds) => Err(InvokeError::credentials(format!(
            "credential `{field}` must be between 0.001 and {MAX_TIMEOUT_SECONDS} seconds, found {seconds}"
        ))),
        number => Ok(number.map(Duration::from_secs_f64)),
    }
}

/// Reads the timeouts. `request_timeout` limits the wait for the first byte and between events; the connect timeout
/// stays
/// short. Fields of earlier forms are still read: `invoke_timeout` is its former name, and the other three set one
/// each.
pub fn timeouts(credentials: &Credentials) -> Result<Timeouts, InvokeError> {
    let mut timeouts = Timeouts::default();
    for field in ["invoke_timeout", "request_timeout"] {
        if let Some(wait) = seconds(credentials, field)? {
            timeouts = Timeouts::default().with_first_byte(wait).with_idle(wait);
            timeouts.connect = timeouts.connect.min(wait);
        }
    }
    let Timeouts { connect, first_byte, idle, .. } = &mut timeouts;
    for (field, wait) in [("connect_timeout", connect), ("first_byte_timeout", first_byte), ("idle_timeout", idle)] {
        if let Some(seconds) = seconds(credentials, field)? {
            *wait = seconds;
        }
    }
    Ok(timeouts)
}

/// Reads `max_retries`; blank is the client's default.
pub fn retries(credentials: &Credentials) -> Result<RetryPolicy, InvokeError> {
    const FIELD: &str = "max_retries";
    let mut policy = RetryPolicy::default();
    if let Some(number) = credentials.number(FIELD)? {
        if !(0.0..=MAX_RETRIES).contains(&number) || number.fract() != 0.0 {
            return Err(InvokeError::credentials(format!(
                "credential `{FIELD}` must be an integer from 0 to {MAX_RETRIES}, found {number}"
            )));
        }
        policy.max_retries = number as u32;
    }
    Ok(policy)
}

/// Adds the headers of the `extra_headers` field, a JSON object of strings. Values never appear in errors.
pub fn extra_headers(
    credentials: &Credentials,
    mut headers: HeaderAuthorization,
) -> Result<HeaderAuthorization, InvokeError> {
    let Some(text) = credentials.get("extra_headers") else { return Ok(headers) };
    let wrong = |reason: String| InvokeError::credentials(format!("credential `extra_headers` {reason}"));
    let map: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
        wrong(format!(
            "is not a JSON object such as {{\"X-Team\": \"a\"}}: {:?} error at column {}",
            error.classify(),
            error.column()
        ))
    })?;
    for (name, value) in map {
        let value = match value {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            Value::Null => continue,
            Value::Array(_) | Value::Object(_) => {
                return Err(wrong(format!("must have a string, number or boolean as the value of `{name}`")));
            }
        };
        let header = http::HeaderName::try_from(name.trim())
            .map_err(|_| wrong(format!("contains `{name}`, which is not a valid header name")))?;
        if RESERVED.contains(&header.as_str()) {
            return Err(wrong(format!("must not set `{header}`, which is reserved for the HTTP connection")));
        }
        if http::HeaderValue::from_str(&value).is_err() {
            return Err(wrong(format!(
                "contains characters in the value of `{header}` that are not allowed in a header"
            )));
        }
        headers = headers.header(header.as_str(), value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> Credentials {
        Credentials::from_pairs([(name, value)])
    }

    #[test]
    fn reads_numbers_and_rejects_invalid_ones() {
        let waits = |fields: &[(&str, &str)]| {
            let timeouts = timeouts(&Credentials::from_pairs(fields.iter().copied())).unwrap();
            [timeouts.connect, timeouts.first_byte, timeouts.idle].map(|wait| wait.as_secs_f64())
        };
        for (fields, expected) in [
            (&[][..], [10.0, 300.0, 120.0]),
            (&[("request_timeout", "")], [10.0, 300.0, 120.0]),
            (&[("request_timeout", "60")], [10.0, 60.0, 60.0]),
            (&[("request_timeout", "2")], [2.0, 2.0, 2.0]),
            (&[("invoke_timeout", "60")], [10.0, 60.0, 60.0]),
            (&[("invoke_timeout", "60"), ("request_timeout", "90")], [10.0, 90.0, 90.0]),
            (&[("connect_timeout", "3"), ("idle_timeout", "9")], [3.0, 300.0, 9.0]),
            (&[("first_byte_timeout", "7.5"), ("request_timeout", "20")], [10.0, 7.5, 20.0]),
        ] {
            assert_eq!(waits(fields), expected, "{fields:?}");
        }
        assert_eq!(retries(&with("max_retries", "0")).unwrap().max_retries, 0);
        for field in ["request_timeout", "invoke_timeout", "connect_timeout", "first_byte_timeout", "idle_timeout"] {
            for wrong in ["0", "-1", "soon", "1e9"] {
                let error = timeouts(&with(field, wrong)).unwrap_err();
                assert!(error.message.contains(&format!("`{field}`")), "{field} {wrong}");
            }
        }
        for wrong in ["-1", "1.5", "many", "11"] {
            assert!(retries(&with("max_retries", wrong)).unwrap_err().message.contains("`max_retries`"), "{wrong}");
        }
    }

    #[test]
    fn rejects_header_injection_without_showing_values() {
        assert!(
            extra_headers(
                &with("extra_headers", r#"{"X-Team":"a","X-Number":1,"X-None":null}"#),
                HeaderAuthorization::new()
            )
            .is_ok()
        );
        assert!(extra_headers(&Credentials::default(), HeaderAuthorization::new()).is_ok());
        for wrong in [
            r#"{"X-Team":"secret\r\nX-Evil: 1"}"#,
            "{\"X-Team\\r\\nX-Evil\":\"secret\"}",
            r#"{"Host":"secret"}"#,
            r#"{"Content-Length":"secret"}"#,
            r#"{"X-Team":{"secret":1}}"#,
            r#"["secret"]"#,
            "secret",
        ] {
            let Err(error) = extra_headers(&with("extra_headers", wrong), HeaderAuthorization::new()) else {
                panic!("{wrong} was accepted")
            };
            assert!(error.message.contains("extra_headers") && !error.message.contains("secret"), "{error}");
        }
    }
}
