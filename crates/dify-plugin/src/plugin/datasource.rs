//! Datasources of the three types that Dify knows: crawled websites, online documents, online drives.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::erased::{Contents, OfCrawl, OfDocument, OfDrive};
use super::outgoing::Outbox;
use super::{Body, Call, PluginError};
use crate::protocol::datasource::{
    Browse, CrawlState, CrawledPage, DriveFileRef, DriveListing, Listed, PageRef, Workspace,
};
use crate::protocol::tool_message::RESERVED_VARIABLES;

/// The provider of datasources: its credentials, and which datasources there are.
pub trait DatasourceProvider: Send + Sync + 'static {
    /// `identity.name` of its declaration.
    const NAME: &'static str;

    /// The datasources, all of the declared `provider_type`.
    fn datasources(&self) -> Datasources;

    /// Checks credentials when they are saved.
    fn validate(&self, call: Call) -> impl Future<Output = Result<(), PluginError>> + Send;
}

/// A list of datasources.
#[derive(Clone, Default)]
pub struct Datasources(Vec<(&'static str, Contents)>);

impl Datasources {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a crawler of websites.
    #[must_use]
    pub fn website_crawl<D: WebsiteCrawl>(mut self, datasource: D) -> Self {
        self.0.push((D::NAME, Contents::Website(Arc::new(OfCrawl(datasource)))));
        self
    }

    /// Adds online documents.
    #[must_use]
    pub fn online_document<D: OnlineDocument>(mut self, datasource: D) -> Self {
        self.0.push((D::NAME, Contents::Document(Arc::new(OfDocument(datasource)))));
        self
    }

    /// Adds an online drive.
    #[must_use]
    pub fn online_drive<D: OnlineDrive>(mut self, datasource: D) -> Self {
        self.0.push((D::NAME, Contents::Drive(Arc::new(OfDrive(datasource)))));
        self
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Contents> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, contents)| contents)
    }

    pub(crate) fn all(&self) -> &[(&'static str, Contents)] {
        &self.0
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|(name, _)| *name).collect()
    }
}

/// A crawler of websites.
///
/// ```
/// use dify_plugin::prelude::*;
/// use schemars::JsonSchema;
/// use serde::Deserialize;
///
/// /// Serves `datasources/site.yaml`.
/// struct Site;
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Parameters {
///     url: String,
/// }
///
/// impl WebsiteCrawl for Site {
///     const NAME: &'static str = "site";
///     type Parameters = Parameters;
///
///     async fn crawl(&self, _: Call, parameters: Parameters, out: &mut Crawl) -> Result<(), PluginError> {
///         let mut page = CrawledPage::default();
///         page.source_url = parameters.url;
///         page.content = "# Welcome".to_owned();
///         out.page(page);
///         out.report(1, 1).await
///     }
/// }
/// ```
pub trait WebsiteCrawl: Send + Sync + 'static {
    /// `identity.name` of its declaration.
    const NAME: &'static str;

    /// Its parameters, by name.
    type Parameters: DeserializeOwned + JsonSchema + Send + 'static;

    /// Crawls, and hands over the pages.
    fn crawl(
        &self,
        call: Call,
        parameters: Self::Parameters,
        out: &mut Crawl,
    ) -> impl Future<Output = Result<(), PluginError>> + Send;
}

/// Takes the pages of a crawl. Dify reads them from the last item, which is written when the crawl returns.
pub struct Crawl {
    outbox: Outbox,
    pages: Vec<CrawledPage>,
    total: u64,
}

impl Crawl {
    pub(crate) fn new(outbox: Outbox) -> Self {
        Self { outbox, pages: Vec::new(), total: 0 }
    }

    /// Adds a page.
    pub fn page(&mut self, page: CrawledPage) {
        self.pages.push(page);
    }

    /// Shows how many pages are done, of how many that are known.
    pub async fn report(&mut self, completed: u64, total: u64) -> Result<(), PluginError> {
        self.total = total;
        let state = CrawlState { status: "processing", web_info_list: Vec::new(), total, completed };
        self.outbox.item(&Listed { result: state }).await
    }

    /// The last item, with every page.
    pub(crate) async fn finish(self) -> Result<(), PluginError> {
        let completed = self.pages.len() as u64;
        let total = self.total.max(completed);
        let state = CrawlState { status: "completed", web_info_list: self.pages, total, completed };
        self.outbox.item(&Listed { result: state }).await
    }
}

/// Documents of another service.
///
/// ```
/// use dify_plugin::prelude::*;
/// use schemars::JsonSchema;
/// use serde::Deserialize;
///
/// /// Serves `datasources/notes.yaml`.
/// struct Notes;
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Parameters {}
///
/// impl OnlineDocument for Notes {
///     const NAME: &'static str = "notes";
///     type Parameters = Parameters;
///
///     async fn pages(&self, _: Call, _: Parameters) -> Result<Vec<Workspace>, PluginError> {
///         let mut page = DocumentPage::default();
///         page.page_id = "1".to_owned();
///         page.page_name = "First note".to_owned();
///         let mut workspace = Workspace::default();
///         workspace.pages = vec![page];
///         Ok(vec![workspace])
///     }
///
///     async fn content(&self, _: Call, page: PageRef) -> Result<PageContent, PluginError> {
///         match page.page_id.as_str() {
///             "1" => Ok(PageContent::new("The text of the note").with("title", "First note")),
///             _ => Err(PluginError::not_found("no such note")),
///         }
///     }
/// }
/// ```
pub trait OnlineDocument: Send + Sync + 'static {
    /// `identity.name` of its declaration.
    const NAME: &'static str;

    /// Its parameters, by name; most have none, which is [`Map`].
    type Parameters: DeserializeOwned + JsonSchema + Send + 'static;

    /// Lists the pages of every workspace.
    fn pages(
        &self,
        call: Call,
        parameters: Self::Parameters,
    ) -> impl Future<Output = Result<Vec<Workspace>, PluginError>> + Send;

    /// Reads a page.
    fn content(&self, call: Call, page: PageRef) -> impl Future<Output = Result<PageContent, PluginError>> + Send;
}

/// The content of a page, and what else the datasource's node offers to later ones.
#[derive(Clone, Debug, Default)]
pub struct PageContent {
    variables: Map<String, Value>,
}

impl PageContent {
    /// A page with this text, usually Markdown.
    pub fn new(content: impl Into<String>) -> Self {
        let mut variables = Map::new();
        variables.insert("content".to_owned(), Value::String(content.into()));
        Self { variables }
    }

    /// Adds an output that `output_schema` declares, such as `title`.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        if let Ok(value) = serde_json::to_value(value)
            && !RESERVED_VARIABLES.contains(&name)
        {
            self.variables.insert(name.to_owned(), value);
        }
        self
    }

    /// The outputs, those of the page's reference included.
    pub(crate) fn into_variables(mut self, page: &PageRef) -> Map<String, Value> {
        for (name, value) in [("workspace_id", &page.workspace_id), ("page_id", &page.page_id)] {
            self.variables.entry(name).or_insert_with(|| value.clone().into());
        }
        self.variables
    }
}

/// Files of another service.
///
/// ```
/// use dify_plugin::prelude::*;
///
/// /// Serves `datasources/drive.yaml`.
/// struct Drive;
///
/// impl OnlineDrive for Drive {
///     const NAME: &'static str = "drive";
///
///     async fn browse(&self, _: Call, request: Browse) -> Result<Vec<DriveListing>, PluginError> {
///         let mut listing = DriveListing::default();
///         listing.bucket = request.bucket;
///         listing.files = vec![DriveFile::file("1", "a.txt", 5)];
///         Ok(vec![listing])
///     }
///
///     async fn download(&self, _: Call, _: DriveFileRef) -> Result<Download, PluginError> {
///         Ok(Download::new("a.txt", "Hello").with_mime_type("text/plain"))
///     }
/// }
/// ```
pub trait OnlineDrive: Send + Sync + 'static {
    /// `identity.name` of its declaration.
    const NAME: &'static str;

    /// Lists a directory, or the buckets of a drive that has some.
    fn browse(
        &self,
        call: Call,
        request: Browse,
    ) -> impl Future<Output = Result<Vec<DriveListing>, PluginError>> + Send;

    /// Reads a file.
    fn download(&self, call: Call, file: DriveFileRef) -> impl Future<Output = Result<Download, PluginError>> + Send;
}

/// A file that is read while it is sent. Dify takes it on one line, so that its size is limited.
#[derive(Debug)]
pub struct Download {
    pub(crate) file_name: String,
    pub(crate) mime_type: Option<String>,
    pub(crate) body: Body,
}

impl Download {
    /// A file of this name.
    pub fn new(file_name: impl Into<String>, body: impl Into<Body>) -> Self {
        Self { file_name: file_name.into(), mime_type: None, body: body.into() }
    }

    /// Names its media type; Dify guesses it from the name otherwise.
    #[must_use]
    pub fn with_mime_type(mut self, mime_type: impl Into<String>) -> Self {
        self.mime_type = Some(mime_type.into());
        self
    }
}
