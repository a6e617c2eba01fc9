//! Serving over the daemon's debugging port: one connection per provider, registered anew after each loss.
//!
//! The wait before a new connection is never short: the daemon's late clean-up of the old one would remove the new one too.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::connection::Connection;
use super::local::SHUTDOWN_TIMEOUT;
use super::registry::Registry;
use super::serve::{AtEnd, DaemonLine, ServeOptions};
use crate::protocol::registration::{Registration, Rejection};
use crate::transport::tcp;

/// The daemon says nothing to a registration that it takes. This long a silence is that.
const SILENCE: Duration = Duration::from_secs(2);

/// Longest line that is read: no daemon of ours starts this process, so less is believed than of one that does.
const MAX_INPUT_LINE_BYTES: usize = 64 * 1024 * 1024;

/// Where and how to connect.
#[derive(Clone)]
pub struct RemoteOptions {
    /// The daemon's host.
    pub host: String,
    /// Its debugging port.
    pub port: u16,
    /// The debugging key.
    pub key: SecretString,
    /// Wait before a lost connection is made anew; doubles up to [`RemoteOptions::max_wait`].
    pub wait: Duration,
    /// Longest such wait.
    pub max_wait: Duration,
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
            max_wait: Duration::from_secs(60),
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
    Refused(#[from] Rejection),
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

/// How a connection ended.
enum Ended {
    /// By us.
    Stopped,
    /// By the daemon, or by the network between.
    Lost(String),
}

/// Serves one provider until the key is refused or `stop` says so. Dropping the future closes the connection.
pub async fn serve(
    options: RemoteOptions,
    registration: Registration,
    registry: Arc<Registry>,
    state: watch::Sender<State>,
    stop: CancellationToken,
) -> Result<(), RemoteError> {
    let address = format!("{}:{}", options.host, options.port);
    let name = registration.name().to_owned();
    let greeting = registration.lines(options.key.expose_secret());
    let (mut wait, mut attempts, mut connected) = (options.wait, 0, false);
    loop {
        state.send_replace(State::Connecting);
        let started = Instant::now();
        let connecting = tokio::select! {
            connecting = tcp::connect(&options.host, options.port, &greeting) => connecting,
            () = stop.cancelled() => return Ok(()),
        };
        let trouble = match connecting {
            Ok(stream) => {
                connected = true;
                let served = serve_one(stream, &options, &registry, &stop, || {
                    info!(provider = name, address, "registered for debugging");
                    state.send_replace(State::Serving);
                });
                match served.await? {
                    Ended::Stopped => return Ok(()),
                    Ended::Lost(trouble) => trouble,
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
        wait = if started.elapsed() > options.max_wait { options.wait } else { wait };
        warn!(provider = name, wait_s = wait.as_secs_f64(), "{trouble}");
        state.send_replace(State::Waiting(trouble));
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return Ok(()),
        }
        wait = (wait * 2).min(options.max_wait);
    }
}

/// Serves one connection to its end; `registered` is called once the daemon took the registration.
async fn serve_one(
    stream: TcpStream,
    options: &RemoteOptions,
    registry: &Arc<Registry>,
    stop: &CancellationToken,
    registered: impl FnOnce(),
) -> Result<Ended, Rejection> {
    let answer: watch::Sender<Option<Handshake>> = watch::Sender::new(None);
    let mut answered = answer.subscribe();
    // What the daemon says first is its answer; it speaks in envelopes only when it took the registration.
    let listener = move |heard: DaemonLine<'_>| {
        answer.send_if_modified(|answer| {
            answer.is_none() && {
                *answer = Some(match heard {
                    DaemonLine::Envelope => Handshake::Taken,
                    DaemonLine::Stray(line) => Handshake::Refused(String::from_utf8_lossy(line).into_owned()),
                });
                true
            }
        });
    };
    let mut serve = options.serve;
    serve.at_end = AtEnd::Drop;
    serve.max_input_bytes = serve.max_input_bytes.min(MAX_INPUT_LINE_BYTES);
    let opened = Connection::open(move || tcp::open(stream), registry.clone(), serve, Box::new(listener));
    let mut connection = match opened {
        Ok(connection) => connection,
        Err(error) => return Ok(Ended::Lost(format!("the connection cannot be served: {error}"))),
    };
    let taken = async {
        // No answer is the good answer.
        let answer = tokio::time::timeout(SILENCE, answered.wait_for(Option::is_some)).await;
        if let Ok(Ok(answer)) = answer.map(|answer| answer.map(|answer| answer.clone()))
            && answer != Some(Handshake::Taken)
        {
            std::future::pending::<()>().await;
        }
        registered();
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        ended = connection.ended() => ended,
        () = taken => Ok(()),
        () = stop.cancelled() => {
            info!("terminated; open sessions have {} s", SHUTDOWN_TIMEOUT.as_secs());
            let _ = connection.shutdown(tokio::time::Instant::now() + SHUTDOWN_TIMEOUT).await;
            return Ok(Ended::Stopped);
        }
    };
    let answer = answered.borrow().clone();
    if let Some(Handshake::Refused(line)) = answer {
        return match Rejection::of(&line, options.key.expose_secret()) {
            Rejection::InvalidKey => Err(Rejection::InvalidKey),
            refusal => Ok(Ended::Lost(refusal.to_string())),
        };
    }
    Ok(Ended::Lost(match ended {
        Err(error) => format!("the connection was lost: {error}"),
        Ok(()) => "Dify closed the connection".to_owned(),
    }))
}

/// What the daemon says to a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Handshake {
    Taken,
    Refused(String),
}
