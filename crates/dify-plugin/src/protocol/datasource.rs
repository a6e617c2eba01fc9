//! What the daemon asks of a datasource, and what each of its three types returns.
//!
//! Source: `dify-plugin-daemon: pkg/entities/requests/datasource.go`, `pkg/entities/datasource_entities/`,
//! `dify-plugin-sdks: src/dify_plugin/entities/datasource.py`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::access::Access;
use super::envelope::ErrorNames;
use super::invocation::actions;
use super::lenient::{lenient, null_default};

/// `validate_datasource_credentials`.
#[derive(Clone, Debug, Deserialize)]
pub struct ValidateDatasourceCredentialsRequest {
    /// Provider, credentials and user.
    #[serde(flatten)]
    pub access: Access,
}

/// `invoke_website_datasource_get_crawl` and `invoke_online_document_datasource_get_pages`.
#[derive(Clone, Debug, Deserialize)]
pub struct DatasourceParametersRequest {
    /// Provider, credentials and user.
    #[serde(flatten)]
    pub access: Access,
    /// Name of the datasource's declaration.
    pub datasource: String,
    /// Values by parameter name.
    #[serde(default, deserialize_with = "null_default")]
    pub datasource_parameters: Map<String, Value>,
}

/// `invoke_online_document_datasource_get_page_content`.
#[derive(Clone, Debug, Deserialize)]
pub struct PageContentRequest {
    /// Provider, credentials and user.
    #[serde(flatten)]
    pub access: Access,
    /// Name of the datasource's declaration.
    pub datasource: String,
    /// Which page.
    pub page: PageRef,
}

/// One page of an online document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
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

/// `invoke_online_drive_browse_files`.
#[derive(Clone, Debug, Deserialize)]
pub struct BrowseFilesRequest {
    /// Provider, credentials and user.
    #[serde(flatten)]
    pub access: Access,
    /// Name of the datasource's declaration.
    pub datasource: String,
    /// What to list.
    pub request: Browse,
}

/// A listing of an online drive.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
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

/// `invoke_online_drive_download_file`.
#[derive(Clone, Debug, Deserialize)]
pub struct DownloadFileRequest {
    /// Provider, credentials and user.
    #[serde(flatten)]
    pub access: Access,
    /// Name of the datasource's declaration.
    pub datasource: String,
    /// Which file.
    pub request: DriveFileRef,
}

/// One file of an online drive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct DriveFileRef {
    /// The bucket, where the drive has buckets.
    #[serde(default, deserialize_with = "lenient")]
    pub bucket: Option<String>,
    /// Its ID.
    pub id: String,
}

/// Every action of a datasource provider.
#[derive(Clone, Debug)]
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

/// The pages of one workspace of online documents.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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

/// One page of online documents.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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

/// The files of one bucket, or of a drive without buckets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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

/// One entry of a drive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// See [`DriveFile::kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DriveFileKind {
    /// Entries are below it.
    #[serde(rename = "folder")]
    Directory,
    /// It can be downloaded.
    File,
}
