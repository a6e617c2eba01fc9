//! What carries calls: implemented over a connection and over HTTP by the runtime, and by tests from closures.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use serde_json::value::RawValue;

use crate::protocol::Payload;
use crate::protocol::backwards::{DifyError, InvokeType};

/// The responses of one call, unread, in order. Dropping them ends the call here: nothing of it is kept.
pub type Responses = BoxStream<'static, Result<Payload, DifyError>>;

/// A call, written as JSON.
#[derive(Debug)]
#[non_exhaustive]
pub struct Invoke {
    /// What is called.
    pub invoke_type: InvokeType,
    /// The request.
    pub request: Box<RawValue>,
    /// Longest wait for the first response, and from then on for the end; that of the runtime where there is none.
    pub timeout: Option<Duration>,
}

impl Invoke {
    /// A call with the timeout of the runtime.
    pub fn new(invoke_type: InvokeType, request: Box<RawValue>) -> Self {
        Self { invoke_type, request, timeout: None }
    }
}

/// Carries the calls of one session. After the session's end every call fails, those that are open among them.
pub trait Backwards: Send + Sync + 'static {
    /// Sends a call. Dropping the future takes the call back.
    fn call(&self, invoke: Invoke) -> BoxFuture<'_, Result<Responses, DifyError>>;
}
