//! A datasource of each of Dify's three types.

use dify_plugin::plugin::{
    Body, Browse, Call, Crawl, CrawledPage, DatasourceProvider, Datasources, DocumentPage, Download, DriveFile,
    DriveFileRef, DriveListing, OnlineDocument, OnlineDrive, PageContent, PageRef, Plugin, PluginError, WebsiteCrawl,
    Workspace,
};
use serde_json::{Map, Value, json};

use super::oauth::Authorization;
use super::{calls, script, tools};
use dify_plugin::declare::permission::Permission;

pub fn crawl() -> Plugin {
    Plugin::new().datasource_provider(CrawlProvider).needs(Permission::Llm)
}

pub fn documents() -> Plugin {
    Plugin::new().datasource_provider(DocumentProvider).oauth(Authorization)
}

pub fn drive() -> Plugin {
    Plugin::new().datasource_provider(DriveProvider)
}

struct CrawlProvider;

impl DatasourceProvider for CrawlProvider {
    const NAME: &'static str = "conformance_crawl";

    fn datasources(&self) -> Datasources {
        Datasources::new().website_crawl(Site)
    }

    async fn validate(&self, call: Call) -> Result<(), PluginError> {
        tools::validate(&call)
    }
}

struct Site;

impl WebsiteCrawl for Site {
    const NAME: &'static str = "site";
    type Parameters = Map<String, Value>;

    async fn crawl(&self, call: Call, parameters: Map<String, Value>, out: &mut Crawl) -> Result<(), PluginError> {
        let url = parameters.get("url").and_then(Value::as_str).unwrap_or_default();
        if url.is_empty() {
            return Err(script::failure("bad_request", "parameter `url` is empty"));
        }
        // What is called back is the content of the pages.
        let called = match url.strip_prefix("call:") {
            Some(name) => Some(calls::make(name, &call.dify).await?.to_string()),
            None => None,
        };
        out.report(0, 2).await?;
        for number in 0..2 {
            let mut page = CrawledPage::default();
            page.source_url = format!("{url}/{number}");
            page.content = called.clone().unwrap_or_else(|| format!("# Page {number}"));
            page.title = format!("Page {number}");
            page.description = "A page".to_owned();
            out.page(page);
        }
        Ok(())
    }
}

struct DocumentProvider;

impl DatasourceProvider for DocumentProvider {
    const NAME: &'static str = "conformance_documents";

    fn datasources(&self) -> Datasources {
        Datasources::new().online_document(Notes)
    }

    async fn validate(&self, call: Call) -> Result<(), PluginError> {
        tools::validate(&call)
    }
}

struct Notes;

impl OnlineDocument for Notes {
    const NAME: &'static str = "notes";
    type Parameters = Map<String, Value>;

    async fn pages(&self, _: Call, _parameters: Map<String, Value>) -> Result<Vec<Workspace>, PluginError> {
        let mut first = DocumentPage::default();
        first.page_id = "1".to_owned();
        first.page_name = "First".to_owned();
        first.page_type = "page".to_owned();
        first.last_edited_time = "2026-01-31T00:00:00Z".to_owned();
        let mut second = first.clone();
        second.page_id = "2".to_owned();
        second.page_name = "Second".to_owned();
        second.parent_id = Some("1".to_owned());
        second.page_icon = json!({"type": "emoji", "emoji": "📄"}).as_object().cloned();
        let mut workspace = Workspace::default();
        workspace.workspace_id = "w".to_owned();
        workspace.workspace_name = "Work".to_owned();
        workspace.workspace_icon = "https://example.com/w.png".to_owned();
        workspace.total = 2;
        workspace.pages = vec![first, second];
        Ok(vec![workspace])
    }

    async fn content(&self, _: Call, page: PageRef) -> Result<PageContent, PluginError> {
        match page.page_id.as_str() {
            "missing" => Err(script::failure("not_found", "no such page")),
            id => Ok(PageContent::new(format!("# Page {id}")).with("title", "First")),
        }
    }
}

struct DriveProvider;

impl DatasourceProvider for DriveProvider {
    const NAME: &'static str = "conformance_drive";

    fn datasources(&self) -> Datasources {
        Datasources::new().online_drive(Drive)
    }

    async fn validate(&self, call: Call) -> Result<(), PluginError> {
        tools::validate(&call)
    }
}

struct Drive;

impl OnlineDrive for Drive {
    const NAME: &'static str = "drive";

    async fn browse(&self, _: Call, request: Browse) -> Result<Vec<DriveListing>, PluginError> {
        let mut listing = DriveListing::default();
        if request.bucket.is_none() && request.prefix.is_empty() {
            listing.bucket = Some("photos".to_owned());
            return Ok(vec![listing]);
        }
        listing.bucket = request.bucket;
        listing.files = vec![DriveFile::directory("a", "a"), DriveFile::file("a.txt", "a.txt", 5)];
        listing.is_truncated = request.next_page_parameters.is_none();
        if listing.is_truncated {
            listing.next_page_parameters = json!({"after": "a.txt"}).as_object().cloned();
        }
        Ok(vec![listing])
    }

    async fn download(&self, _: Call, file: DriveFileRef) -> Result<Download, PluginError> {
        let length = file.id.parse().map_err(|_| script::failure("not_found", "no such file"))?;
        Ok(Download::new("a.bin", Body::from(script::pattern(length))).with_mime_type("application/octet-stream"))
    }
}
