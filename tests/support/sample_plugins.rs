//! Plugins of every kind but models, with code that shows what each hook gets.

use bytes::Bytes;
use dify_plugin::plugin::{
    AgentMessages, AgentStrategies, AgentStrategy, AgentUsage, BlobMeta, Body, Browse, Call, Choice, Crawl,
    CrawledPage, DatasourceProvider, Datasources, Dispatch, DocumentPage, Download, DriveFile, DriveFileRef,
    DriveListing, Endpoint, Event, EventOutcome, Events, Incoming, Messages, OAuth, OAuthCredentials, OnlineDocument,
    OnlineDrive, PageContent, PageRef, Plugin, PluginError, RefreshRequest, Subscription, Tool, ToolProvider, Tools,
    TriggerProvider, WebsiteCrawl, Workspace,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A tool and endpoints.
pub fn weather() -> Plugin {
    Plugin::new().tool_provider(Weather).endpoint(Hook).oauth(Authorization)
}

/// Agent strategies.
pub fn agent() -> Plugin {
    Plugin::new().agent_strategies(AgentStrategies::new("thinker").strategy(Thinker))
}

/// Datasources of every type.
pub fn sources() -> Plugin {
    Plugin::new().datasource_provider(Sources).oauth(Authorization)
}

/// Triggers.
pub fn triggers() -> Plugin {
    Plugin::new().trigger_provider(Forge).oauth(Authorization)
}

struct Weather;

impl ToolProvider for Weather {
    const NAME: &'static str = "weather";

    fn tools(&self) -> Tools {
        Tools::new().tool(Forecast).tool(Odd)
    }

    async fn validate(&self, call: Call) -> Result<(), PluginError> {
        match call.credentials.get("api_key") {
            Some("good-key") => Ok(()),
            Some(key) => Err(PluginError::authorization(format!("the service rejects {key}"))),
            None => Err(PluginError::credentials("credential `api_key` is required but missing")),
        }
    }
}

struct Forecast;

#[derive(Deserialize, JsonSchema)]
struct Ask {
    place: String,
    days: Option<u8>,
}

impl Tool for Forecast {
    const NAME: &'static str = "forecast";
    type Parameters = Ask;

    async fn invoke(&self, call: Call, ask: Ask, out: &mut Messages) -> Result<(), PluginError> {
        let user = call.user_id.as_deref().unwrap_or("none");
        out.text(format!("Sunny in {} for {} ({user})", ask.place, ask.days.unwrap_or(1))).await?;
        out.json(json!({"place": ask.place, "key": call.credentials.get("api_key").map(str::len)})).await?;
        out.variable("temperature", 21).await
    }

    async fn options(&self, _call: Call, parameter: &str) -> Result<Vec<Choice>, PluginError> {
        Ok(vec![Choice::new("riga", "Riga").with_icon("https://x/i.png"), Choice::new(parameter, "")])
    }

    async fn runtime_parameters(&self, _call: Call) -> Result<Vec<Value>, PluginError> {
        Ok(vec![json!({"name": "place", "type": "string"})])
    }
}

/// Does what the parameter says.
struct Odd;

#[derive(Deserialize, JsonSchema)]
struct Deed {
    deed: String,
}

impl Tool for Odd {
    const NAME: &'static str = "odd";
    type Parameters = Deed;

    async fn invoke(&self, call: Call, deed: Deed, out: &mut Messages) -> Result<(), PluginError> {
        match deed.deed.as_str() {
            "panic" => panic!("as asked"),
            "error" => {
                out.text("before").await?;
                let key = call.credentials.get("api_key").unwrap_or_default().to_owned();
                Err(PluginError::not_found(format!("no place for {key}")).with_hint("Try another."))
            }
            "blob" => out.blob(vec![b'x'; 20_000], BlobMeta::new("text/plain").with_filename("x.txt")).await,
            "long" => out.json(json!({"x": "y".repeat(6 * 1024 * 1024)})).await,
            "reserved" => out.variable("files", 1).await,
            _ => Err(PluginError::bad_request("unknown deed")),
        }
    }
}

struct Hook;

impl Endpoint for Hook {
    async fn handle(&self, call: Call, request: http::Request<Bytes>) -> Result<http::Response<Body>, PluginError> {
        match request.uri().path() {
            "/echo" => {
                let text = format!(
                    "{} {} {} {}",
                    request.method(),
                    request.uri(),
                    call.settings.get("token").unwrap_or("none"),
                    String::from_utf8_lossy(request.body())
                );
                let mut response = http::Response::new(Body::from(text));
                response.headers_mut().append("x-a", http::HeaderValue::from_static("1"));
                response.headers_mut().append("x-a", http::HeaderValue::from_static("2"));
                Ok(response)
            }
            "/stream" => Ok(http::Response::new(Body::stream(async_stream::stream! {
                for number in 0..5 {
                    yield Ok(format!("data: {number}\n\n"));
                    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
                }
            }))),
            "/denied" => Err(PluginError::authorization("wrong token")),
            "/broken" => Err(PluginError::internal("the password is hunter2")),
            _ => Err(PluginError::not_found("no such path")),
        }
    }
}

struct Thinker;

#[derive(Deserialize, JsonSchema)]
struct Query {
    query: String,
}

impl AgentStrategy for Thinker {
    const NAME: &'static str = "think";
    type Parameters = Query;

    async fn run(&self, call: Call, query: Query, out: &mut AgentMessages) -> Result<AgentUsage, PluginError> {
        let round = out.log("ROUND 1").start().await?;
        out.text(format!("{} by {}", query.query, call.tool_credential("weather").unwrap_or("none"))).await?;
        // A `json` message after the usage would reset it.
        out.json(json!({"data": 1})).await?;
        round.finish(json!({})).await?;
        Ok(AgentUsage::new(7).with_price("0.01", "USD"))
    }
}

struct Sources;

impl DatasourceProvider for Sources {
    const NAME: &'static str = "sources";

    fn datasources(&self) -> Datasources {
        Datasources::new().website_crawl(Site).online_document(Notes).online_drive(Drive)
    }

    async fn validate(&self, _call: Call) -> Result<(), PluginError> {
        Err(PluginError::upstream("the service is down"))
    }
}

struct Site;

impl WebsiteCrawl for Site {
    const NAME: &'static str = "site";
    type Parameters = Map<String, Value>;

    async fn crawl(&self, _call: Call, parameters: Self::Parameters, out: &mut Crawl) -> Result<(), PluginError> {
        out.report(0, 2).await?;
        for number in 0..2 {
            let url = format!("{}/{number}", parameters["url"].as_str().unwrap_or_default());
            out.page(CrawledPage::new(url, "# Page"));
            out.report(number + 1, 2).await?;
        }
        Ok(())
    }
}

struct Notes;

impl OnlineDocument for Notes {
    const NAME: &'static str = "notes";
    type Parameters = Map<String, Value>;

    async fn pages(&self, _call: Call, _parameters: Self::Parameters) -> Result<Vec<Workspace>, PluginError> {
        Ok(vec![Workspace::new("w", "", vec![DocumentPage::new("p", "Page").with_type("")])])
    }

    async fn content(&self, _call: Call, page: PageRef) -> Result<PageContent, PluginError> {
        Ok(PageContent::new(format!("text of {}", page.page_id)).with("title", "Page").with("json", 1))
    }
}

struct Drive;

impl OnlineDrive for Drive {
    const NAME: &'static str = "drive";

    async fn browse(&self, _call: Call, request: Browse) -> Result<Vec<DriveListing>, PluginError> {
        let mut listing = DriveListing::new(vec![DriveFile::file("1", "a.txt", 0)]);
        listing.bucket = request.bucket;
        Ok(vec![listing])
    }

    async fn download(&self, _call: Call, file: DriveFileRef) -> Result<Download, PluginError> {
        let bytes: usize = file.id.parse().unwrap_or_default();
        let parts = (0..bytes.div_ceil(1000)).map(move |part| Ok(vec![b'x'; 1000.min(bytes - part * 1000)]));
        Ok(Download::new("a.txt", Body::stream(futures_util::stream::iter(parts))).with_mime_type("text/plain"))
    }
}

struct Forge;

impl TriggerProvider for Forge {
    const NAME: &'static str = "forge";

    fn events(&self) -> Events {
        Events::new().event(Push)
    }

    async fn dispatch(
        &self,
        _call: Call,
        subscription: Subscription,
        request: http::Request<Bytes>,
    ) -> Result<Dispatch, PluginError> {
        if subscription.property("secret") != Some("s3cret-value") {
            return Err(PluginError::authorization("wrong signature"));
        }
        let payload = Map::from_iter([("length".to_owned(), json!(request.body().len()))]);
        Ok(Dispatch::new(http::Response::new("ok")).event("push").event("unknown").payload(payload).user("octocat"))
    }

    async fn subscribe(
        &self,
        _call: Call,
        endpoint: String,
        parameters: Map<String, Value>,
    ) -> Result<Subscription, PluginError> {
        let mut subscription = Subscription::new(endpoint, Map::from_iter([("id".to_owned(), json!("7"))]));
        subscription.parameters = Some(parameters);
        Ok(subscription)
    }

    async fn unsubscribe(&self, _call: Call, subscription: Subscription) -> Result<(), PluginError> {
        match subscription.property("id") {
            Some(_) => Ok(()),
            None => Err(PluginError::not_found("no such hook")),
        }
    }

    async fn options(&self, _call: Call, parameter: &str) -> Result<Vec<Choice>, PluginError> {
        Ok(vec![Choice::new("subscription", parameter)])
    }
}

struct Push;

#[derive(Deserialize, JsonSchema)]
struct Filter {
    branch: Option<String>,
}

impl Event for Push {
    const NAME: &'static str = "push";
    type Parameters = Filter;

    async fn on_event(&self, _call: Call, incoming: Incoming<Filter>) -> Result<EventOutcome, PluginError> {
        match incoming.parameters.branch.as_deref() {
            Some("main") | None => EventOutcome::start(json!({"length": incoming.payload.get("length")})),
            Some(_) => Ok(EventOutcome::Ignore),
        }
    }
}

struct Authorization;

impl OAuth for Authorization {
    async fn authorization_url(&self, call: Call, redirect_uri: String) -> Result<String, PluginError> {
        Ok(format!("https://x/authorize?client={}&to={redirect_uri}", call.credentials.require("client_id")?))
    }

    async fn credentials(
        &self,
        _call: Call,
        _redirect_uri: String,
        request: http::Request<Bytes>,
    ) -> Result<OAuthCredentials, PluginError> {
        let code = request.uri().query().unwrap_or_default().to_owned();
        if code.is_empty() {
            return Err(PluginError::bad_request("the callback has no code"));
        }
        let credentials = Map::from_iter([("access_token".to_owned(), code.into())]);
        Ok(OAuthCredentials::new(credentials))
    }

    async fn refresh(&self, _call: Call, request: RefreshRequest) -> Result<OAuthCredentials, PluginError> {
        let token = request.credentials.require("access_token")?;
        let credentials = Map::from_iter([("access_token".to_owned(), format!("{token}-renewed").into())]);
        Ok(OAuthCredentials::new(credentials).with_expiry(1_900_000_000))
    }
}
