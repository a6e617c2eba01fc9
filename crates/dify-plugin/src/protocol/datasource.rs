//! What the daemon asks of a datasource, and what each of its three types returns.
//!
//! Source: `dify-plugin-daemon: pkg/entities/requests/datasource.go`, `pkg/entities/datasource_entities/`,
//! `dify-plugin-sdks: src/dify_plugin/entities/datasource.py`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::access::Access;
use super::envelope::ErrorNames;
use super::flat::with_access;
use super::invocation::actions;
use super::lenient::{lenient, null_default};

with_access! {
    /// `validate_datasource_credentials`.
    pub struct ValidateDatasourceCredentialsRequest {}
}

with_access! {
    /// `invoke_website_datasource_get_crawl` and `invoke_online_document_datasource_get_pages`.
    pub struct DatasourceParametersRequest {
        /// Name of the datasource's declaration.
        pub datasource: String,
        /// Values by parameter name.
        #[serde(default, deserialize_with = "null_default")]
        pub datasource_parameters: Map<String, Value>,
    }
}

with_access! {
    /// `invoke_online_document_datasource_get_page_content`.
    pub struct PageContentRequest {
        /// Name of the datasource's declaration.
        pub datasource: String,
        /// Which page.
        pub page: PageRef,
    }
}

/// One page of an online document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PageRef {
    /// Its workspace.
    #[serde(deserialize_with = "lenient")]
    pub workspace_id: String,
    /// Its ID.
    #[serde(deserialize_with = "lenient")]
    pub page_id: String,
    /// Its type, as it was listed.
    #[serde(rename = "type", deserialize_with = "lenient")]
    pub page_type: String,
}

with_access! {
    /// `invoke_online_drive_browse_files`.
    pub struct BrowseFilesRequest {
        /// Name of the datasource's declaration.
        pub datasource: String,
        /// What to list.
        pub request: Browse,
    }
}

/// A listing of an online drive.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Browse {
    /// The bucket, where the drive has buckets; with neither bucket nor prefix the buckets are listed.
    #[serde(deserialize_with = "lenient")]
    pub bucket: Option<String>,
    /// ID of the parent; empty for the root.
    #[serde(deserialize_with = "lenient")]
    pub prefix: String,
    /// Entries of one page.
    #[serde(deserialize_with = "lenient")]
    pub max_keys: u32,
    /// What the last page returned in `next_page_parameters`.
    #[serde(deserialize_with = "lenient")]
    pub next_page_parameters: Option<Map<String, Value>>,
}

impl Default for Browse {
    fn default() -> Self {
        Self { bucket: None, prefix: String::new(), max_keys: 20, next_page_parameters: None }
    }
}

with_access! {
    /// `invoke_online_drive_download_file`.
    pub struct DownloadFileRequest {
        /// Name of the datasource's declaration.
        pub datasource: String,
        /// Which file.
        pub request: DriveFileRef,
    }
}

/// One file of an online drive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct DriveFileRef {
    /// The bucket, where the drive has buckets.
    #[serde(default, deserialize_with = "lenient")]
    pub bucket: Option<String>,
    /// Its ID.
    pub id: String,
}

/// Every action of a datasource provider.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum DatasourceRequest {
    /// `validate_datasource_credentials`
    ValidateCredentials(ValidateDatasourceCredentialsRequest),
    /// `invoke_website_datasource_get_crawl`
    Crawl(DatasourceParametersRequest),
    /// `invoke_online_document_datasource_get_pages`
    Pages(DatasourceParametersRequest),
    /// `invoke_online_document_datasource_get_page_content`
    PageContent(PageContentRequest),
    /// `invoke_online_drive_browse_files`
    BrowseFiles(BrowseFilesRequest),
    /// `invoke_online_drive_download_file`
    DownloadFile(DownloadFileRequest),
}

actions! { DatasourceRequest:
    "validate_datasource_credentials" => ValidateCredentials,
    "invoke_website_datasource_get_crawl" => Crawl,
    "invoke_online_document_datasource_get_pages" => Pages,
    "invoke_online_document_datasource_get_page_content" => PageContent,
    "invoke_online_drive_browse_files" => BrowseFiles,
    "invoke_online_drive_download_file" => DownloadFile,
}

impl DatasourceRequest {
    /// Provider, credentials and user.
    pub fn access(&self) -> &Access {
        match self {
            Self::ValidateCredentials(request) => &request.access,
            Self::Crawl(request) | Self::Pages(request) => &request.access,
            Self::PageContent(request) => &request.access,
            Self::BrowseFiles(request) => &request.access,
            Self::DownloadFile(request) => &request.access,
        }
    }

    /// The names of this action's errors.
    pub fn error_names(&self) -> ErrorNames {
        const CREDENTIALS: &str = "DatasourceCredentialValidationError";
        match self {
            Self::ValidateCredentials(_) => ErrorNames::always(CREDENTIALS),
            _ => ErrorNames::with_credentials(CREDENTIALS),
        }
    }
}

/// What most listings return: everything below `result`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listed<T> {
    /// The list.
    pub result: T,
}

/// The state of a website's crawl.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CrawlState {
    /// `processing` or `completed`.
    pub status: &'static str,
    /// The pages; all of them in the last item.
    pub web_info_list: Vec<CrawledPage>,
    /// Pages that are known.
    pub total: u64,
    /// Pages that are done.
    pub completed: u64,
}

/// One crawled page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CrawledPage {
    /// Its URL.
    pub source_url: String,
    /// Its text, usually Markdown.
    pub content: String,
    /// Its title.
    pub title: String,
    /// Its description.
    pub description: String,
}

impl CrawledPage {
    /// A page with this URL and text.
    pub fn new(source_url: impl Into<String>, content: impl Into<String>) -> Self {
        Self { source_url: source_url.into(), content: content.into(), ..Self::default() }
    }

    /// Sets the title.
    #[must_use]
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Sets the description.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }
}

/// The pages of one workspace of online documents.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Workspace {
    /// Its ID.
    pub workspace_id: String,
    /// Its name.
    pub workspace_name: String,
    /// URL of its icon; may be empty.
    pub workspace_icon: String,
    /// Number of pages.
    pub total: u64,
    /// The pages.
    pub pages: Vec<DocumentPage>,
}

impl Workspace {
    /// A workspace with all of its pages.
    pub fn new(id: impl Into<String>, name: impl Into<String>, pages: Vec<DocumentPage>) -> Self {
        let (workspace_id, workspace_name, total) = (id.into(), name.into(), pages.len() as u64);
        Self { workspace_id, workspace_name, workspace_icon: String::new(), total, pages }
    }

    /// Sets the URL of the icon.
    #[must_use]
    pub fn with_icon(mut self, url: impl Into<String>) -> Self {
        self.workspace_icon = url.into();
        self
    }
}

/// One page of online documents.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DocumentPage {
    /// Its ID.
    pub page_id: String,
    /// Its name.
    pub page_name: String,
    /// `{"type": "emoji", "emoji": …}` or `{"type": "url", "url": …}`.
    pub page_icon: Option<Map<String, Value>>,
    /// Its type, such as `page` or `database`.
    #[serde(rename = "type")]
    pub page_type: String,
    /// When it was edited last.
    pub last_edited_time: String,
    /// The page above it.
    pub parent_id: Option<String>,
}

impl DocumentPage {
    /// A page of type `page`.
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self { page_id: id.into(), page_name: name.into(), page_type: "page".to_owned(), ..Self::default() }
    }

    /// Sets the type, such as `database`.
    #[must_use]
    pub fn with_type(mut self, page_type: impl Into<String>) -> Self {
        self.page_type = page_type.into();
        self
    }

    /// Sets the icon; see [`Self::page_icon`].
    #[must_use]
    pub fn with_icon(mut self, icon: Map<String, Value>) -> Self {
        self.page_icon = Some(icon);
        self
    }

    /// Sets when it was edited last.
    #[must_use]
    pub fn with_last_edited_time(mut self, time: impl Into<String>) -> Self {
        self.last_edited_time = time.into();
        self
    }

    /// Sets the page above it.
    #[must_use]
    pub fn with_parent(mut self, id: impl Into<String>) -> Self {
        self.parent_id = Some(id.into());
        self
    }
}

/// The files of one bucket, or of a drive without buckets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DriveListing {
    /// The bucket.
    pub bucket: Option<String>,
    /// What is directly below the prefix.
    pub files: Vec<DriveFile>,
    /// Whether there is a next page.
    pub is_truncated: bool,
    /// What the request for the next page gets.
    pub next_page_parameters: Option<Map<String, Value>>,
}

impl DriveListing {
    /// A listing that is complete.
    pub fn new(files: Vec<DriveFile>) -> Self {
        Self { files, ..Self::default() }
    }

    /// Sets the bucket.
    #[must_use]
    pub fn with_bucket(mut self, bucket: impl Into<String>) -> Self {
        self.bucket = Some(bucket.into());
        self
    }

    /// There is a next page, whose request gets these parameters.
    #[must_use]
    pub fn with_next_page(mut self, parameters: Map<String, Value>) -> Self {
        (self.is_truncated, self.next_page_parameters) = (true, Some(parameters));
        self
    }
}

/// One entry of a drive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DriveFile {
    /// Its ID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Whether entries are below it.
    #[serde(rename = "type")]
    pub kind: DriveFileKind,
}

impl DriveFile {
    /// A file that can be downloaded.
    pub fn file(id: impl Into<String>, name: impl Into<String>, size: u64) -> Self {
        Self { id: id.into(), name: name.into(), size, kind: DriveFileKind::File }
    }

    /// A directory.
    pub fn directory(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self { id: id.into(), name: name.into(), size: 0, kind: DriveFileKind::Directory }
    }
}

/// See [`DriveFile::kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum DriveFileKind {
    /// Entries are below it.
    #[serde(rename = "folder")]
    Directory,
    /// It can be downloaded.
    File,
}
