//! The object-safe twins of the traits that authors implement: futures in boxes, parameters not read yet. For the runtime
//! alone.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};

use super::parameters::schema;
use super::{
    AgentMessages, AgentStrategy, Body, Call, Crawl, DatasourceProvider, Datasources, Dispatch, Download, Endpoint,
    Event, EventOutcome, Events, Incoming, Messages, OnlineDocument, OnlineDrive, PageContent, PluginError,
    RefreshRequest, Tool, ToolProvider, Tools, TriggerProvider, WebsiteCrawl, read_parameters,
};
use crate::declare::datasource::DatasourceType;
use crate::declare::shape::Shape;
use crate::protocol::agent::AgentUsage;
use crate::protocol::datasource::{Browse, DriveFileRef, DriveListing, PageRef, Workspace};
use crate::protocol::oauth::OAuthCredentials;
use crate::protocol::options::Choice;
use crate::protocol::trigger::Subscription;

type Values = Map<String, Value>;
pub(super) type Outcome<'a, T> = BoxFuture<'a, Result<T, PluginError>>;

/// See [`Tool`].
pub(crate) trait ErasedTool: Send + Sync {
    fn name(&self) -> &'static str;
    fn shape(&self) -> Shape;
    fn invoke<'a>(&'a self, call: Call, parameters: Values, out: &'a mut Messages) -> Outcome<'a, ()>;
    fn options<'a>(&'a self, call: Call, parameter: &'a str) -> Outcome<'a, Vec<Choice>>;
    fn runtime_parameters(&self, call: Call) -> Outcome<'_, Vec<Value>>;
}

impl<T: Tool> ErasedTool for T {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn shape(&self) -> Shape {
        Shape::of_schema(&schema::<T::Parameters>())
    }

    fn invoke<'a>(&'a self, call: Call, parameters: Values, out: &'a mut Messages) -> Outcome<'a, ()> {
        Box::pin(async move { Tool::invoke(self, call, read_parameters(parameters)?, out).await })
    }

    fn options<'a>(&'a self, call: Call, parameter: &'a str) -> Outcome<'a, Vec<Choice>> {
        Box::pin(Tool::options(self, call, parameter))
    }

    fn runtime_parameters(&self, call: Call) -> Outcome<'_, Vec<Value>> {
        Box::pin(Tool::runtime_parameters(self, call))
    }
}

/// See [`ToolProvider`].
pub(crate) trait ErasedToolProvider: Send + Sync {
    fn name(&self) -> &'static str;
    fn tools(&self) -> &Tools;
    fn validate(&self, call: Call) -> Outcome<'_, ()>;
}

/// A provider with the tools that it named.
pub(super) struct OfTools<P> {
    provider: P,
    tools: Tools,
}

impl<P: ToolProvider> OfTools<P> {
    pub(super) fn new(provider: P) -> Self {
        let tools = provider.tools();
        Self { provider, tools }
    }
}

impl<P: ToolProvider> ErasedToolProvider for OfTools<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn tools(&self) -> &Tools {
        &self.tools
    }

    fn validate(&self, call: Call) -> Outcome<'_, ()> {
        Box::pin(self.provider.validate(call))
    }
}

/// See [`Endpoint`].
pub(crate) trait ErasedEndpoint: Send + Sync {
    fn handle(&self, call: Call, request: http::Request<Bytes>) -> Outcome<'_, http::Response<Body>>;
    fn error_response(&self, error: PluginError) -> http::Response<Body>;
}

impl<E: Endpoint> ErasedEndpoint for E {
    fn handle(&self, call: Call, request: http::Request<Bytes>) -> Outcome<'_, http::Response<Body>> {
        Box::pin(Endpoint::handle(self, call, request))
    }

    fn error_response(&self, error: PluginError) -> http::Response<Body> {
        Endpoint::error_response(self, error)
    }
}

/// See [`AgentStrategy`].
pub(crate) trait ErasedStrategy: Send + Sync {
    fn name(&self) -> &'static str;
    fn shape(&self) -> Shape;
    fn run<'a>(&'a self, call: Call, parameters: Values, out: &'a mut AgentMessages) -> Outcome<'a, AgentUsage>;
}

impl<S: AgentStrategy> ErasedStrategy for S {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn shape(&self) -> Shape {
        Shape::of_schema(&schema::<S::Parameters>())
    }

    fn run<'a>(&'a self, call: Call, parameters: Values, out: &'a mut AgentMessages) -> Outcome<'a, AgentUsage> {
        Box::pin(async move { AgentStrategy::run(self, call, read_parameters(parameters)?, out).await })
    }
}

/// See [`OAuth`](super::OAuth).
pub(crate) trait ErasedOAuth: Send + Sync {
    fn authorization_url(&self, call: Call, redirect_uri: String) -> Outcome<'_, String>;
    fn credentials(
        &self,
        call: Call,
        redirect_uri: String,
        request: http::Request<Bytes>,
    ) -> Outcome<'_, OAuthCredentials>;
    fn refresh(&self, call: Call, request: RefreshRequest) -> Outcome<'_, OAuthCredentials>;
}

/// See [`DatasourceProvider`].
pub(crate) trait ErasedDatasourceProvider: Send + Sync {
    fn name(&self) -> &'static str;
    fn datasources(&self) -> &Datasources;
    fn validate(&self, call: Call) -> Outcome<'_, ()>;
}

/// A provider with the datasources that it named.
pub(super) struct OfDatasources<P> {
    provider: P,
    datasources: Datasources,
}

impl<P: DatasourceProvider> OfDatasources<P> {
    pub(super) fn new(provider: P) -> Self {
        let datasources = provider.datasources();
        Self { provider, datasources }
    }
}

impl<P: DatasourceProvider> ErasedDatasourceProvider for OfDatasources<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn datasources(&self) -> &Datasources {
        &self.datasources
    }

    fn validate(&self, call: Call) -> Outcome<'_, ()> {
        Box::pin(self.provider.validate(call))
    }
}

/// A datasource, by the type of its provider.
#[derive(Clone)]
pub(crate) enum Contents {
    Website(Arc<dyn ErasedCrawl>),
    Document(Arc<dyn ErasedDocument>),
    Drive(Arc<dyn ErasedDrive>),
}

impl Contents {
    pub(crate) fn shape(&self) -> Option<Shape> {
        match self {
            Self::Website(website) => Some(website.shape()),
            Self::Document(document) => Some(document.shape()),
            Self::Drive(_) => None,
        }
    }

    pub(crate) fn datasource_type(&self) -> DatasourceType {
        match self {
            Self::Website(_) => DatasourceType::WebsiteCrawl,
            Self::Document(_) => DatasourceType::OnlineDocument,
            Self::Drive(_) => DatasourceType::OnlineDrive,
        }
    }
}

/// See [`WebsiteCrawl`].
pub(crate) trait ErasedCrawl: Send + Sync {
    fn shape(&self) -> Shape;
    fn crawl<'a>(&'a self, call: Call, parameters: Values, out: &'a mut Crawl) -> Outcome<'a, ()>;
}

pub(super) struct OfCrawl<D>(pub(super) D);

impl<D: WebsiteCrawl> ErasedCrawl for OfCrawl<D> {
    fn shape(&self) -> Shape {
        Shape::of_schema(&schema::<D::Parameters>())
    }

    fn crawl<'a>(&'a self, call: Call, parameters: Values, out: &'a mut Crawl) -> Outcome<'a, ()> {
        Box::pin(async move { self.0.crawl(call, read_parameters(parameters)?, out).await })
    }
}

/// See [`OnlineDocument`].
pub(crate) trait ErasedDocument: Send + Sync {
    fn shape(&self) -> Shape;
    fn pages(&self, call: Call, parameters: Values) -> Outcome<'_, Vec<Workspace>>;
    fn content(&self, call: Call, page: PageRef) -> Outcome<'_, PageContent>;
}

pub(super) struct OfDocument<D>(pub(super) D);

impl<D: OnlineDocument> ErasedDocument for OfDocument<D> {
    fn shape(&self) -> Shape {
        Shape::of_schema(&schema::<D::Parameters>())
    }

    fn pages(&self, call: Call, parameters: Values) -> Outcome<'_, Vec<Workspace>> {
        Box::pin(async move { self.0.pages(call, read_parameters(parameters)?).await })
    }

    fn content(&self, call: Call, page: PageRef) -> Outcome<'_, PageContent> {
        Box::pin(self.0.content(call, page))
    }
}

/// See [`OnlineDrive`].
pub(crate) trait ErasedDrive: Send + Sync {
    fn browse(&self, call: Call, request: Browse) -> Outcome<'_, Vec<DriveListing>>;
    fn download(&self, call: Call, file: DriveFileRef) -> Outcome<'_, Download>;
}

pub(super) struct OfDrive<D>(pub(super) D);

impl<D: OnlineDrive> ErasedDrive for OfDrive<D> {
    fn browse(&self, call: Call, request: Browse) -> Outcome<'_, Vec<DriveListing>> {
        Box::pin(self.0.browse(call, request))
    }

    fn download(&self, call: Call, file: DriveFileRef) -> Outcome<'_, Download> {
        Box::pin(self.0.download(call, file))
    }
}

/// See [`TriggerProvider`].
pub(crate) trait ErasedTriggerProvider: Send + Sync {
    fn name(&self) -> &'static str;
    fn events(&self) -> &Events;
    fn dispatch(&self, call: Call, subscription: Subscription, request: http::Request<Bytes>) -> Outcome<'_, Dispatch>;
    fn validate(&self, call: Call) -> Outcome<'_, ()>;
    fn subscribe(&self, call: Call, endpoint: String, parameters: Values) -> Outcome<'_, Subscription>;
    fn unsubscribe(&self, call: Call, subscription: Subscription) -> Outcome<'_, ()>;
    fn refresh(&self, call: Call, subscription: Subscription) -> Outcome<'_, Subscription>;
    fn options<'a>(&'a self, call: Call, parameter: &'a str) -> Outcome<'a, Vec<Choice>>;
}

/// A provider with the events that it named.
pub(super) struct OfTriggers<P> {
    provider: P,
    events: Events,
}

impl<P: TriggerProvider> OfTriggers<P> {
    pub(super) fn new(provider: P) -> Self {
        let events = provider.events();
        Self { provider, events }
    }
}

impl<P: TriggerProvider> ErasedTriggerProvider for OfTriggers<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn events(&self) -> &Events {
        &self.events
    }

    fn dispatch(&self, call: Call, subscription: Subscription, request: http::Request<Bytes>) -> Outcome<'_, Dispatch> {
        Box::pin(self.provider.dispatch(call, subscription, request))
    }

    fn validate(&self, call: Call) -> Outcome<'_, ()> {
        Box::pin(self.provider.validate(call))
    }

    fn subscribe(&self, call: Call, endpoint: String, parameters: Values) -> Outcome<'_, Subscription> {
        Box::pin(self.provider.subscribe(call, endpoint, parameters))
    }

    fn unsubscribe(&self, call: Call, subscription: Subscription) -> Outcome<'_, ()> {
        Box::pin(self.provider.unsubscribe(call, subscription))
    }

    fn refresh(&self, call: Call, subscription: Subscription) -> Outcome<'_, Subscription> {
        Box::pin(self.provider.refresh(call, subscription))
    }

    fn options<'a>(&'a self, call: Call, parameter: &'a str) -> Outcome<'a, Vec<Choice>> {
        Box::pin(self.provider.options(call, parameter))
    }
}

/// See [`Event`].
pub(crate) trait ErasedEvent: Send + Sync {
    fn name(&self) -> &'static str;
    fn shape(&self) -> Shape;
    fn on_event(&self, call: Call, incoming: Incoming<Values>) -> Outcome<'_, EventOutcome>;
    fn options<'a>(&'a self, call: Call, parameter: &'a str) -> Outcome<'a, Vec<Choice>>;
}

impl<E: Event> ErasedEvent for E {
    fn name(&self) -> &'static str {
        E::NAME
    }

    fn shape(&self) -> Shape {
        Shape::of_schema(&schema::<E::Parameters>())
    }

    fn on_event(&self, call: Call, incoming: Incoming<Values>) -> Outcome<'_, EventOutcome> {
        Box::pin(async move {
            let Incoming { parameters, subscription, request, payload } = incoming;
            let parameters = read_parameters(parameters)?;
            Event::on_event(self, call, Incoming { parameters, subscription, request, payload }).await
        })
    }

    fn options<'a>(&'a self, call: Call, parameter: &'a str) -> Outcome<'a, Vec<Choice>> {
        Box::pin(Event::options(self, call, parameter))
    }
}
