//! Attempts for the unit tests of what signs them.

use std::sync::LazyLock;

use bytes::Bytes;
use dify_plugin::upstream::NetworkSettings;
use dify_plugin::upstream::auth::Attempt;
use http::{HeaderMap, Method};
use url::Url;

/// A `POST` by the default network.
pub(super) fn post<'a>(url: &'a mut Url, headers: &'a mut HeaderMap, body: &'a Bytes) -> Attempt<'a> {
    static NETWORK: LazyLock<NetworkSettings> = LazyLock::new(NetworkSettings::default);
    Attempt::new(&Method::POST, url, headers, body, &NETWORK)
}
