//! Serving over the daemon's debugging port: one connection per provider, registered anew after each loss.
//!
//! The wait before a new connection is never short: the daemon's late clean-up of the old one would remove the new one too.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;
use tracing::{info, warn};

use super::registry::Registry;
use super::serve::{ServeOptions, serve_with};
use crate::protocol::registration::{Refusal, Registration};
use crate::transport::tcp;

/// Where and how to connect.
#[derive(Clone)]
pub struct RemoteOptions {
    /// The daemon's host.
    pub host: String,
    /// Its debugging port.
    pub port: u16,
    /// The debugging key.
    pub key: SecretString,
    /// Wait before a lost connection is made anew; doubles up to [`RemoteOptions::longest_wait`].
    pub wait: Duration,
    /// Longest such wait.
    pub longest_wait: Duration,
    /// Attempts at the first connection.
    pub first_attempts: u32,
    /// How sessions are served.
    pub serve: ServeOptions,
}

impl RemoteOptions {
    /// The waits that the daemon needs.
    pub fn new(host: String, port: u16, key: SecretString, serve: ServeOptions) -> Self {
        Self {
            host,
            port,
            key,
            wait: Duration::from_secs(5),
            longest_wait: Duration::from_secs(60),
            first_attempts: 3,
            serve,
        }
    }
}

/// Why remote debugging ended.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The daemon refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No connection at all.
    #[error("cannot connect to Dify at {address}: {reason}")]
    Unreachable {
        /// `host:port`
        address: String,
        /// Why.
        reason: io::Error,
    },
}

/// What a connection is doing, for a person who watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Trying to connect.
    Connecting,
    /// Registered and serving.
    Serving,
    /// Lost or refused; waiting to try again.
    Waiting(String),
}

/// Serves one provider until the key is refused or `stop` says so.
pub async fn serve(
    options: RemoteOptions,
    registration: Registration,
    registry: Arc<Registry>,
    state: watch::Sender<State>,
) -> Result<(), RemoteError> {
    let address = format!("{}:{}", options.host, options.port);
    let name = registration.provider["provider"].as_str().unwrap_or_default().to_owned();
    let greeting = registration.lines(options.key.expose_secret());
    let (mut wait, mut attempts, mut connected) = (options.wait, 0, false);
    loop {
        state.send_replace(State::Connecting);
        let started = Instant::now();
        let trouble = match tcp::connect(&options.host, options.port, &greeting).await {
            Ok((reader, writer)) => {
                connected = true;
                info!(provider = name, address, "registered for debugging");
                state.send_replace(State::Serving);
                let said: Arc<Mutex<Option<String>>> = Arc::default();
                let heard = said.clone();
                let stray = move |line: &[u8]| {
                    let text = String::from_utf8_lossy(line).into_owned();
                    heard.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(text);
                };
                let ended = serve_with(reader, writer, registry.clone(), options.serve, Arc::new(stray)).await;
                let said = said.lock().unwrap_or_else(PoisonError::into_inner).take();
                match (said.map(|line| Refusal::of(&line, options.key.expose_secret())), ended) {
                    (Some(Refusal::InvalidKey), _) => return Err(Refusal::InvalidKey.into()),
                    (Some(refusal), _) => refusal.to_string(),
                    (None, Err(error)) => format!("the connection was lost: {error}"),
                    (None, Ok(())) => "Dify closed the connection".to_owned(),
                }
            }
            Err(reason) => {
                attempts += 1;
                if !connected && attempts >= options.first_attempts {
                    return Err(RemoteError::Unreachable { address, reason });
                }
                format!("cannot connect to {address}: {reason}")
            }
        };
        // A connection that held for a while was no failure of ours.
        wait = if started.elapsed() > options.longest_wait { options.wait } else { wait };
        warn!(provider = name, wait_s = wait.as_secs_f64(), "{trouble}");
        state.send_replace(State::Waiting(trouble));
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(options.longest_wait);
    }
}
