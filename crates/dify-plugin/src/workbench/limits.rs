//! What a client of the workbench may cost. Clients are not trusted: any process of the machine can connect.

use crate::transport::http_server::HttpLimits;

/// The limits of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Of connections and requests.
    pub http: HttpLimits,
    /// Maximum number of notices that a page may be behind. It then misses them, and has to read everything again.
    pub notices: usize,
    /// Maximum size in bytes of a call's events that the page has not read yet. The call is then cancelled.
    pub unread_bytes: usize,
    /// Maximum number of calls back of one session that the page has not read yet. Further ones fail.
    pub unread_calls: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let http = HttpLimits { connections: 256, ..HttpLimits::default() };
        Self { http, notices: 256, unread_bytes: 128 * 1024 * 1024, unread_calls: 256 }
    }
}
