//! The head of a request: which access type and action it is, and so how the rest is to be read. The fields of an action
//! are in the module of its access type.
//!
//! Source: `dify-plugin-daemon: internal/core/io_tunnel/access_types/access.go`.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::agent::AgentRequest;
use super::credentials::Credentials;
use super::datasource::DatasourceRequest;
use super::endpoint::EndpointRequest;
use super::envelope::ErrorNames;
use super::lenient::{Borrowed, reason, replace_halves};
use super::oauth::OAuthRequest;
use super::options::OptionsRequest;
use super::request::{Request, RequestError};
use super::tool::ToolRequest;
use super::trigger::TriggerRequest;

/// All access types with their actions, as they are on the wire.
const ACTIONS: [(&str, &[&str]); 8] = [
    ("model", Request::ACTIONS),
    ("tool", ToolRequest::ACTIONS),
    ("endpoint", EndpointRequest::ACTIONS),
    ("agent_strategy", AgentRequest::ACTIONS),
    ("datasource", DatasourceRequest::ACTIONS),
    ("trigger", TriggerRequest::ACTIONS),
    ("oauth", OAuthRequest::ACTIONS),
    ("dynamic_parameter", OptionsRequest::ACTIONS),
];

/// A request of any access type.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Invocation {
    /// `model`
    Model(Request),
    /// `tool`
    Tool(ToolRequest),
    /// `endpoint`
    Endpoint(EndpointRequest),
    /// `agent_strategy`
    Agent(AgentRequest),
    /// `datasource`
    Datasource(DatasourceRequest),
    /// `trigger`
    Trigger(TriggerRequest),
    /// `oauth`
    OAuth(OAuthRequest),
    /// `dynamic_parameter`
    Options(OptionsRequest),
}

impl Invocation {
    /// Reads the `data` of a `request` envelope: `type`, `action`, then the action's fields.
    pub fn parse(data: &str) -> Result<Self, RequestError> {
        match Self::parse_strictly(data) {
            // A string that was truncated within an emoji fails no call.
            Err(error @ (RequestError::Malformed(_) | RequestError::Field { .. })) => match replace_halves(data) {
                Some(whole) => Self::parse_strictly(&whole),
                None => Err(error),
            },
            outcome => outcome,
        }
    }

    fn parse_strictly(data: &str) -> Result<Self, RequestError> {
        let head = Head::of(data).map_err(|error| RequestError::Malformed(reason(&error)))?;
        let (access_type, action) = (head.access_type.unwrap_or_default(), head.action.unwrap_or_default());
        match &*access_type {
            "model" => Request::decode(&action, data).map(Self::Model),
            "tool" => ToolRequest::decode(&action, data).map(Self::Tool),
            "endpoint" => EndpointRequest::decode(&action, data).map(Self::Endpoint),
            "agent_strategy" => AgentRequest::decode(&action, data).map(Self::Agent),
            "datasource" => DatasourceRequest::decode(&action, data).map(Self::Datasource),
            "trigger" => TriggerRequest::decode(&action, data).map(Self::Trigger),
            "oauth" => OAuthRequest::decode(&action, data).map(Self::OAuth),
            "dynamic_parameter" => OptionsRequest::decode(&action, data).map(Self::Options),
            _ => {
                let known = ACTIONS.map(|(access_type, _)| access_type).join(", ");
                Err(RequestError::UnknownType { found: access_type.into_owned(), known })
            }
        }
    }

    /// Returns every access type with each of its actions.
    pub fn actions() -> impl Iterator<Item = (&'static str, &'static str)> {
        ACTIONS.into_iter().flat_map(|(access, actions)| actions.iter().map(move |action| (access, *action)))
    }

    /// The access type on the wire.
    pub fn access_type(&self) -> &'static str {
        match self {
            Self::Model(_) => "model",
            Self::Tool(_) => "tool",
            Self::Endpoint(_) => "endpoint",
            Self::Agent(_) => "agent_strategy",
            Self::Datasource(_) => "datasource",
            Self::Trigger(_) => "trigger",
            Self::OAuth(_) => "oauth",
            Self::Options(_) => "dynamic_parameter",
        }
    }

    /// The action on the wire.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Model(request) => request.action(),
            Self::Tool(request) => request.action(),
            Self::Endpoint(request) => request.action(),
            Self::Agent(request) => request.action(),
            Self::Datasource(request) => request.action(),
            Self::Trigger(request) => request.action(),
            Self::OAuth(request) => request.action(),
            Self::Options(request) => request.action(),
        }
    }

    /// Short name of the provider; endpoints have none.
    pub fn provider(&self) -> &str {
        match self {
            Self::Model(request) => request.provider(),
            Self::Tool(request) => &request.access().provider,
            Self::Endpoint(_) => "",
            Self::Agent(request) => &request.invocation().provider,
            Self::Datasource(request) => &request.access().provider,
            Self::Trigger(request) => &request.access().provider,
            Self::OAuth(request) => &request.access().provider,
            Self::Options(request) => &request.fetch().access.provider,
        }
    }

    /// What the provider's form contains: credentials, or the settings of an endpoint.
    pub fn credentials(&self) -> Option<&Credentials> {
        match self {
            Self::Model(request) => request.credentials(),
            Self::Tool(request) => Some(&request.access().credentials),
            Self::Endpoint(request) => Some(&request.invocation().settings),
            Self::Agent(_) => None,
            Self::Datasource(request) => Some(&request.access().credentials),
            Self::Trigger(request) => Some(&request.access().credentials),
            Self::OAuth(request) => Some(&request.access().system_credentials),
            Self::Options(request) => Some(&request.fetch().access.credentials),
        }
    }

    /// The names of this action's errors; models have a style of their own.
    pub fn error_names(&self) -> Option<ErrorNames> {
        match self {
            Self::Model(_) => None,
            Self::Tool(request) => Some(request.error_names()),
            Self::Endpoint(_) | Self::Agent(_) | Self::Options(_) => Some(ErrorNames::default()),
            Self::Datasource(request) => Some(request.error_names()),
            Self::Trigger(request) => Some(request.error_names()),
            Self::OAuth(request) => Some(request.error_names()),
        }
    }
}

/// Decodes one action's fields, or names the actions that there are.
macro_rules! actions {
    ($type:ident: $($name:literal => $variant:ident),+ $(,)?) => {
        impl $type {
            /// The names of all actions.
            pub const ACTIONS: &'static [&'static str] = &[$($name),+];

            /// The action of this request.
            pub fn action(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name),+ }
            }

            /// Decodes one action's fields.
            pub(super) fn decode(
                action: &str,
                data: &str,
            ) -> Result<Self, $crate::protocol::request::RequestError> {
                match action {
                    $($name => $crate::protocol::invocation::decode_fields(action, data).map(Self::$variant),)+
                    other => Err($crate::protocol::request::RequestError::UnknownAction {
                        action: other.to_owned(),
                        known: Self::ACTIONS.join(", "),
                    }),
                }
            }
        }
    };
}

pub(super) use actions;

/// Decodes the fields of an action.
pub(super) fn decode_fields<'de, T: Deserialize<'de>>(action: &str, data: &'de str) -> Result<T, RequestError> {
    // The path is looked for only once there is an error.
    serde_json::from_str(data).or_else(|_| {
        let mut deserializer = serde_json::Deserializer::from_str(data);
        serde_path_to_error::deserialize(&mut deserializer).map_err(|error| RequestError::Field {
            action: action.to_owned(),
            path: error.path().to_string(),
            reason: reason(error.inner()),
        })
    })
}

/// The members that decide how the rest is read.
#[derive(Default)]
struct Head<'a> {
    access_type: Option<Cow<'a, str>>,
    action: Option<Cow<'a, str>>,
}

impl<'a> Head<'a> {
    /// Reads an object up to the point where both are known: the daemon writes them first, and the rest may be long.
    fn of(data: &'a str) -> Result<Self, serde_json::Error> {
        let mut head = Self::default();
        match serde_json::Deserializer::from_str(data).deserialize_map(&mut head) {
            Err(error) if head.access_type.is_none() || head.action.is_none() => Err(error),
            _ => Ok(head),
        }
    }
}

impl<'de> Visitor<'de> for &mut Head<'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while self.access_type.is_none() || self.action.is_none() {
            let Some(Borrowed(name)) = fields.next_key()? else { break };
            match &*name {
                "type" => self.access_type = Some(fields.next_value::<Option<Borrowed<'de>>>()?.unwrap_or_default().0),
                "action" => self.action = Some(fields.next_value::<Option<Borrowed<'de>>>()?.unwrap_or_default().0),
                _ => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_how_to_read_a_request_is_read_without_the_rest() {
        let owned = |name: Option<Cow<'_, str>>| name.map(Cow::into_owned);
        let head = |data: &str| Head::of(data).map(|head| (owned(head.access_type), owned(head.action))).ok();
        let both = Some((Some("model".to_owned()), Some("invoke_llm".to_owned())));
        for data in [
            r#"{"user_id":"u","type":"model","action":"invoke_llm","texts":[} what is this"#,
            r#"{"action":"invoke_llm","x":{"type":"other","action":5},"type":"model","#,
            r#"{"action":"invoke_llm","type":"model"}"#,
        ] {
            assert_eq!(head(data), both, "{data}");
        }
        assert_eq!(head(r#"{"type":null}"#), Some((Some(String::new()), None)));
        for data in [r#"{"type":"model","texts":["#, r#"{"type":5,"action":"invoke_llm"}"#, "[]", "null", ""] {
            assert_eq!(head(data), None, "{data}");
        }
    }
}
