//! The host itself: which plugin it serves, what it answers and which faults it has. Its calls are in `calls`.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::process::{Child, Command};

use super::answer::{Answer, CallBack};
use super::backwards::Backwards;
use super::calls::{Kind, queue_of};
use super::own_tools::OwnTools;
use super::session::Reading;
use super::{Failure, OutputFile, Session, envelope};
use crate::daemon::{Link, LinkOptions, MAX_DAEMON_LINE_BYTES, Opener, Queue};
use crate::declare::Severity;
use crate::declare::permission::{Permission, Permissions};
use crate::plugin::Plugin;
use crate::protocol::backwards::InvokeType;
use crate::runtime::{Registry, ServeOptions};

/// How long the daemon waits for a line or a heartbeat before it ends a plugin.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(120);

/// Plays Dify for a plugin. It is set up by methods that return it, and serves the plugin from the first call on.
pub struct Host {
    source: Source,
    pub(super) names: Names,
    backwards: Backwards,
    settings: Settings,
    link: Mutex<Option<Arc<Link>>>,
    next: AtomicU64,
    /// Killed when the host is dropped.
    _child: Option<Child>,
}

/// Where the plugin is.
enum Source {
    InProcess(Arc<Registry>),
    /// Behind these streams, until they are used.
    Streams(Streams),
}

type Streams = Mutex<Option<(Box<dyn AsyncRead + Send + Unpin>, Box<dyn AsyncWrite + Send + Unpin>)>>;

/// Names of the plugin's providers.
#[derive(Default)]
pub(super) struct Names {
    pub(super) tool: Option<String>,
    pub(super) agent: Option<String>,
    pub(super) datasource: Option<String>,
    pub(super) trigger: Option<String>,
}

struct Settings {
    serving: ServeOptions,
    max_line_bytes: usize,
    reader_delay: Option<Duration>,
    races: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            serving: ServeOptions::default(),
            max_line_bytes: MAX_DAEMON_LINE_BYTES,
            reader_delay: None,
            races: false,
        }
    }
}

impl Names {
    fn of(plugin: &Plugin) -> Self {
        Self {
            tool: plugin.tools().map(|provider| provider.name().to_owned()),
            agent: plugin.agents().map(|strategies| strategies.name().to_owned()),
            datasource: plugin.datasources().map(|provider| provider.name().to_owned()),
            trigger: plugin.triggers().map(|provider| provider.name().to_owned()),
        }
    }

    /// The provider of an access type.
    pub(super) fn provider(&self, access_type: &str) -> Option<&str> {
        match access_type {
            "tool" => self.tool.as_deref(),
            "agent_strategy" => self.agent.as_deref(),
            "datasource" => self.datasource.as_deref(),
            "trigger" => self.trigger.as_deref(),
            "oauth" | "dynamic_parameter" => {
                self.tool.as_deref().or(self.datasource.as_deref()).or(self.trigger.as_deref())
            }
            _ => None,
        }
    }
}

/// Sets the closure for one type of call.
macro_rules! closures {
    ($($(#[$doc:meta])+ $name:ident => $invoke_type:ident;)+) => {
        impl Host {
            $(
                $(#[$doc])+
                #[must_use]
                pub fn $name<A: Into<Answer>>(self, answer: impl Fn(&CallBack) -> A + Send + Sync + 'static) -> Self {
                    self.on(InvokeType::$invoke_type, answer)
                }
            )+
        }
    };
}

closures! {
    /// Answers calls of language models.
    on_llm => Llm;
    /// Answers calls of language models whose response follows a schema. A text is read as the JSON object.
    on_structured_output => LlmStructuredOutput;
    /// Answers requests for summaries.
    on_summary => SystemSummary;
    /// Answers calls of embedding models.
    on_embedding => TextEmbedding;
    /// Answers calls of embedding models with texts and images.
    on_multimodal_embedding => MultimodalEmbedding;
    /// Answers calls of rerank models.
    on_rerank => Rerank;
    /// Answers calls of rerank models with texts and images.
    on_multimodal_rerank => MultimodalRerank;
    /// Answers text to speech. A text is taken as the bytes of the audio.
    on_tts => Tts;
    /// Answers speech to text.
    on_speech2text => Speech2text;
    /// Answers moderation.
    on_moderation => Moderation;
    /// Answers calls of tools. Without a closure, the plugin's own tools run, each in a session of its own.
    on_tool => Tool;
    /// Answers calls of apps.
    on_app => App;
    /// Answers what an app expects and offers.
    on_app_info => FetchApp;
    /// Answers the parameter extractor.
    on_parameter_extractor => NodeParameterExtractor;
    /// Answers the question classifier.
    on_question_classifier => NodeQuestionClassifier;
    /// Answers calls of the storage, instead of the storage in memory.
    on_storage => Storage;
    /// Answers requests for the URL of an upload. Without a closure, the host accepts the files.
    on_upload => UploadFile;
}

impl Host {
    /// Serves a plugin by its code alone, with every permission.
    pub fn new(plugin: Plugin) -> Self {
        Self::of(Registry::default().with_plugin(plugin))
    }

    /// Loads and checks the declarations of a directory, and serves the plugin with them: its parameters are cast as they are
    /// declared, and it has the permissions of its manifest. Fails for every error that the command `check` would report: what
    /// Dify would reject, and what differs between the declarations and the code.
    pub fn load(directory: impl AsRef<Path>, plugin: Plugin) -> Result<Self, Failure> {
        let (declarations, problems) = plugin.inspect(directory.as_ref());
        let Some(declarations) = declarations.filter(|_| !problems.has_errors()) else {
            let errors = problems.0.into_iter().filter(|problem| problem.severity == Severity::Error);
            let errors: Vec<String> = errors.map(|problem| problem.to_string()).collect();
            return Err(Failure::dify(errors.join("\n")));
        };
        let permissions = Permissions::of_manifest(&declarations.manifest);
        let registry = Registry::new(declarations.providers, plugin.models().to_vec());
        let registry = registry.map_err(|error| Failure::dify(error.to_string()))?;
        let registry = registry.with_declared_plugin(declarations.kinds, plugin);
        let registry = registry.map_err(|error| Failure::dify(error.to_string()))?;
        let host = Self::of(registry.with_permissions(permissions.clone()));
        host.backwards.state().permissions = Some(permissions);
        Ok(host)
    }

    /// Serves what a registry contains, models among it.
    pub fn of(registry: impl Into<Arc<Registry>>) -> Self {
        let registry = registry.into();
        let names = Names::of(registry.plugin());
        Self::from_source(Source::InProcess(registry), names, None)
    }

    /// Starts an executable as the daemon does, and serves it over its standard input and output. The calls need
    /// [`Invocation::provider`](super::Invocation::provider).
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).env("INSTALL_METHOD", "local");
        let mut child = command.spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the process has no standard input or output"));
        };
        let source = Source::Streams(Mutex::new(Some((Box::new(output), Box::new(input)))));
        Ok(Self::from_source(source, Names::default(), Some(child)))
    }

    /// Serves a plugin behind these streams.
    pub fn over<R, W>(reader: R, writer: W) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let source = Source::Streams(Mutex::new(Some((Box::new(reader), Box::new(writer)))));
        Self::from_source(source, Names::default(), None)
    }

    fn from_source(source: Source, names: Names, child: Option<Child>) -> Self {
        Self {
            source,
            names,
            backwards: Backwards::default(),
            settings: Settings::default(),
            link: Mutex::new(None),
            next: AtomicU64::new(1),
            _child: child,
        }
    }

    /// Answers calls back of any type.
    #[must_use]
    pub fn on<A: Into<Answer>>(
        self,
        invoke_type: InvokeType,
        answer: impl Fn(&CallBack) -> A + Send + Sync + 'static,
    ) -> Self {
        self.backwards.state().handlers.insert(invoke_type, Arc::new(move |call| answer(call).into()));
        self
    }

    /// Dify denies a permission, whatever the manifest requests.
    #[must_use]
    pub fn deny(self, permission: Permission) -> Self {
        self.backwards.state().denied.insert(permission);
        self
    }

    /// Fault: the Dify API reads an item only every so often, while the plugin daemon's queues are as long as they are: 1,024
    /// items of a tool, then nothing is read from the plugin any more; 128 of an agent strategy or an endpoint, then items
    /// are lost, and the call fails.
    #[must_use]
    pub fn slow_reader(mut self, delay: Duration) -> Self {
        self.settings.reader_delay = Some(delay);
        self
    }

    /// Fault: a body whose session ends together with its first part loses the other parts, and the call fails.
    #[must_use]
    pub fn endpoint_race(mut self) -> Self {
        self.settings.races = true;
        self
    }

    /// Fault: the daemon ends the plugin for lines longer than this; 5 MiB by default.
    #[must_use]
    pub fn max_line_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_line_bytes = bytes;
        self
    }

    /// Serves the plugin with these options, where the host serves it.
    #[must_use]
    pub fn serve_options(mut self, options: ServeOptions) -> Self {
        self.settings.serving = options;
        self
    }

    /// Fault: the daemon disconnects. Open sessions fail; the next call connects again.
    pub fn disconnect(&self) {
        self.link().take();
    }

    /// Closes the plugin's input. Open sessions may end.
    pub fn close_input(&self) {
        self.connection().close_input();
    }

    /// Writes a line to the plugin as it is.
    pub fn write(&self, line: impl AsRef<str>) {
        self.connection().write_bytes(format!("{}\n", line.as_ref()));
    }

    /// Puts a value into the plugin's storage.
    pub fn store(&self, key: &str, value: impl Into<Vec<u8>>) {
        self.backwards.state().storage.0.insert(key.to_owned(), value.into());
    }

    /// The value of a key of the plugin's storage.
    pub fn stored(&self, key: &str) -> Option<Bytes> {
        self.backwards.state().storage.0.get(key).cloned().map(Bytes::from)
    }

    /// Every file that the plugin uploaded.
    pub fn uploads(&self) -> Vec<OutputFile> {
        self.backwards.state().uploads.clone()
    }

    /// Every call back so far that had the permission, in order.
    pub fn calls(&self) -> Vec<CallBack> {
        self.backwards.state().calls.clone()
    }

    /// Number of heartbeats since the connection was opened.
    pub fn heartbeats(&self) -> usize {
        self.connection().observed().heartbeats()
    }

    /// What the plugin wrote and the daemon dropped: lines that are no envelopes, and messages of no open session, each with
    /// the reason.
    pub fn dropped_lines(&self) -> Vec<String> {
        self.connection().observed().dropped_lines()
    }

    /// Whether the plugin closed its output, or the daemon ended it.
    pub fn is_closed(&self) -> bool {
        self.connection().observed().is_closed()
    }

    pub(super) fn start(&self, kind: Kind, data: Map<String, Value>, origin: Map<String, Value>) -> Session {
        let id = format!("session-{}", self.next.fetch_add(1, Ordering::Relaxed));
        if data.get("type").and_then(Value::as_str) == Some("model") {
            self.backwards.state().models.insert(id.clone());
        }
        let queue = match self.settings.reader_delay {
            Some(_) => queue_of(data.get("action").and_then(Value::as_str).unwrap_or_default()),
            None => Queue::Unlimited,
        };
        let envelope = envelope(&id, &origin, data.into());
        let events = self.connection().open(&id, &envelope, queue);
        let reader_delay = self.settings.reader_delay.unwrap_or_default();
        Session::new(id, events, Reading { kind, queue, reader_delay, races: self.settings.races })
    }

    fn link(&self) -> MutexGuard<'_, Option<Arc<Link>>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection, opened when it is used first.
    fn connection(&self) -> Arc<Link> {
        self.link().get_or_insert_with(|| Arc::new(self.connect())).clone()
    }

    fn connect(&self) -> Link {
        let backwards = self.backwards.clone();
        let options = LinkOptions {
            max_line_bytes: self.settings.max_line_bytes,
            idle_timeout: Some(HEARTBEAT_TIMEOUT),
            process_ended: None,
            answering: Box::new(move |session_id, invoke, replies| backwards.take(session_id, invoke, replies)),
            watching: None,
            logging: None,
        };
        let link = match &self.source {
            Source::InProcess(registry) => Link::in_process(registry.clone(), self.settings.serving, options),
            Source::Streams(streams) => {
                match streams.lock().unwrap_or_else(PoisonError::into_inner).take() {
                    Some((reader, writer)) => Link::over(reader, writer, options),
                    // A process cannot be connected again: it reads the end of its input.
                    None => Link::over(tokio::io::empty(), tokio::io::sink(), options),
                }
            }
        };
        let own_tools = self.names.tool.clone().map(|provider| OwnTools { provider, opener: Opener::clone(&link) });
        self.backwards.state().own_tools = own_tools;
        link
    }
}
