//! Which events are logged: those that a level or a filter selects, and those of sessions whose credentials ask for more.
//!
//! The filter of `tracing-subscriber` that reads fields of spans compares the span of every session with its directives, and
//! needs a regular-expression engine, which is a good part of an executable.

use std::sync::atomic::{AtomicUsize, Ordering};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Id, Record};
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::LookupSpan;

/// The name of the span of a session.
pub(super) const SESSION: &str = "session";

/// The field of that span that raises the level of its events to `info` or `debug`.
pub(super) const LEVEL: &str = "log_level";

/// How many open sessions have a raised level: while there are none, an event that is not selected costs nothing.
static RAISED: AtomicUsize = AtomicUsize::new(0);

/// The filter of the log.
pub(super) struct LogFilter {
    selected: Targets,
    /// Crates whose events a session can ask for.
    own: Vec<String>,
}

/// The level of a session, in its span.
struct Raised(Level);

impl Raised {
    fn new(level: Level) -> Self {
        RAISED.fetch_add(1, Ordering::Relaxed);
        Self(level)
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        RAISED.fetch_sub(1, Ordering::Relaxed);
    }
}

impl LogFilter {
    /// Logs what is selected, and of these crates what a session asks for.
    pub(super) fn new<'a>(selected: Targets, own: impl Iterator<Item = &'a str>) -> Self {
        Self { selected, own: own.map(str::to_owned).collect() }
    }

    fn is_selected(&self, metadata: &Metadata<'_>) -> bool {
        // The span has the session's ID, which is in its events whatever their level.
        (metadata.is_span() && metadata.name() == SESSION)
            || self.selected.would_enable(metadata.target(), metadata.level())
    }

    fn can_be_raised(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::DEBUG && self.own.iter().any(|name| metadata.target().starts_with(name))
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LogFilter {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match (self.is_selected(metadata), self.can_be_raised(metadata)) {
            (true, _) => Interest::always(),
            (false, true) => Interest::sometimes(),
            (false, false) => Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        let is_raised = || {
            let current = context.lookup_current();
            let mut spans = current.iter().flat_map(|current| current.scope());
            spans.any(|span| span.extensions().get().is_some_and(|Raised(level)| metadata.level() <= level))
        };
        self.is_selected(metadata)
            || (RAISED.load(Ordering::Relaxed) > 0 && self.can_be_raised(metadata) && is_raised())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let selected = Filter::<S>::max_level_hint(&self.selected).unwrap_or(LevelFilter::TRACE);
        Some(selected.max(LevelFilter::DEBUG))
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let mut asked = Asked(None);
        values.record(&mut asked);
        if let (Some(level), Some(span)) = (asked.0, context.span(id)) {
            span.extensions_mut().replace(Raised::new(level));
        }
    }
}

/// Reads the level that a span records.
struct Asked(Option<Level>);

impl Visit for Asked {
    fn record_str(&mut self, field: &Field, value: &str) {
        match value {
            "info" if field.name() == LEVEL => self.0 = Some(Level::INFO),
            "debug" if field.name() == LEVEL => self.0 = Some(Level::DEBUG),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}
