//! `try` for datasources: the pages of a website, the list and the content of documents, the list and the files of a drive.

use std::path::Path;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};

use super::messages::Printer;
use super::{Trial, parts};
use crate::cli::terminal::{print_line, print_part, say};
use crate::declare::KindDeclarations;
use crate::declare::datasource::{DatasourceDeclaration, DatasourceType};
use crate::names::did_you_mean;

/// Options of datasources.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Datasources")]
pub struct DatasourceArgs {
    /// Print the content of this page of the documents
    #[arg(long, value_name = "ID")]
    page: Option<String>,
    /// Workspace of the page [default: as the list of pages says]
    #[arg(long, value_name = "ID", requires = "page")]
    workspace: Option<String>,
    /// Download this file of the drive, to --out or the current directory
    #[arg(long, value_name = "ID")]
    download: Option<String>,
    /// Bucket of the drive
    #[arg(long)]
    bucket: Option<String>,
    /// ID of the drive's directory to list
    #[arg(long, default_value = "", hide_default_value = true, value_name = "ID")]
    prefix: String,
    /// Maximum number of files to list
    #[arg(long, default_value_t = 20, value_name = "NUMBER")]
    max_keys: u32,
    /// Next page of the drive's list, as printed below the previous page
    #[arg(long = "next", value_name = "JSON")]
    next_page: Option<String>,
}

impl DatasourceArgs {
    /// Whether a page or a file is meant.
    pub(super) fn is_given(&self) -> bool {
        self.page.is_some() || self.download.is_some()
    }
}

/// Calls a datasource by the type of its provider.
pub(super) async fn run(
    trial: &mut Trial<'_>,
    declared: &KindDeclarations,
    datasource: &DatasourceDeclaration,
) -> anyhow::Result<bool> {
    let provider = declared.datasource.as_ref().context("the manifest lists no datasources")?;
    let args = &trial.kind.datasource;
    let name = datasource.identity.name.as_str();
    match (provider.provider_type, &args.page, &args.download) {
        (DatasourceType::OnlineDocument, Some(page), _) => content(trial, declared, datasource, page).await,
        (DatasourceType::OnlineDrive, _, Some(id)) => download(trial, declared, name, id).await,
        (_, Some(_), _) => bail!("--page is for online documents"),
        (_, _, Some(_)) => bail!("--download is for online drives"),
        (DatasourceType::WebsiteCrawl, ..) => crawl(trial, declared, datasource).await,
        (DatasourceType::OnlineDocument, ..) => {
            let workspaces = pages(trial, declared, datasource).await?;
            if let Some(workspaces) = workspaces.as_ref().filter(|_| !trial.raw) {
                print_pages(workspaces)?;
            }
            Ok(workspaces.is_some())
        }
        (DatasourceType::OnlineDrive, ..) => browse(trial, declared, name).await,
    }
}

/// Progress goes to standard error, the pages of the finished crawl to standard output.
async fn crawl(
    trial: &mut Trial<'_>,
    declared: &KindDeclarations,
    datasource: &DatasourceDeclaration,
) -> anyhow::Result<bool> {
    let request = with_parameters(trial, declared, "invoke_website_datasource_get_crawl", datasource)?;
    trial
        .call(request, |item| {
            let result = &item["result"];
            let number = |name: &str| result[name].as_u64().unwrap_or_default();
            let status = result["status"].as_str().unwrap_or_default();
            say(&format!("{status}: {} of {} pages", number("completed"), number("total")));
            if status != "completed" {
                return Ok(());
            }
            for page in result["web_info_list"].as_array().into_iter().flatten() {
                let text = |name: &str| page[name].as_str().unwrap_or_default();
                print_line(&format!("{}  {}", text("source_url"), text("title")))?;
                print_part(&format!("{}\n\n", text("content").trim_end()))?;
            }
            Ok(())
        })
        .await
}

/// The workspaces with their pages; `None` if the call failed.
async fn pages(
    trial: &mut Trial<'_>,
    declared: &KindDeclarations,
    datasource: &DatasourceDeclaration,
) -> anyhow::Result<Option<Vec<Value>>> {
    let request = with_parameters(trial, declared, "invoke_online_document_datasource_get_pages", datasource)?;
    let mut workspaces = Vec::new();
    let succeeded = trial
        .items(request, |item| {
            workspaces.extend(item["result"].as_array().cloned().unwrap_or_default());
            Ok(())
        })
        .await?;
    Ok(succeeded.then_some(workspaces))
}

fn print_pages(workspaces: &[Value]) -> anyhow::Result<()> {
    for workspace in workspaces {
        let text = |name: &str| workspace[name].as_str().unwrap_or_default();
        say(&format!("workspace {}  {}", text("workspace_id"), text("workspace_name")));
        for page in workspace["pages"].as_array().into_iter().flatten() {
            let text = |name: &str| page[name].as_str().unwrap_or_default();
            print_line(&format!("{}  {}  {}", text("page_id"), text("type"), text("page_name")))?;
        }
    }
    Ok(())
}

/// Content of a page. Its workspace and type are those of the list, as in Dify.
async fn content(
    trial: &mut Trial<'_>,
    declared: &KindDeclarations,
    datasource: &DatasourceDeclaration,
    id: &str,
) -> anyhow::Result<bool> {
    let page = match &trial.kind.datasource.workspace {
        Some(workspace) => json!({"workspace_id": workspace, "page_id": id, "type": "page"}),
        None => {
            let raw = std::mem::take(&mut trial.raw);
            let listed = pages(trial, declared, datasource).await;
            trial.raw = raw;
            match listed? {
                Some(workspaces) => listed_page(&workspaces, id)?,
                None => return Ok(false),
            }
        }
    };
    let more = json!({"datasource": datasource.identity.name, "page": page});
    let request = trial.request(declared, "invoke_online_document_datasource_get_page_content", more)?;
    trial
        .call(request, |item| {
            let message = &item["message"];
            let value = match &message["variable_value"] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            match message["variable_name"].as_str() {
                // The content is what the page is read for.
                Some("content") => print_part(&format!("{}\n", value.trim_end())),
                Some(name) => {
                    say(&format!("{name}: {value}"));
                    Ok(())
                }
                None => Printer::new(None).print(item),
            }
        })
        .await
}

fn listed_page(workspaces: &[Value], id: &str) -> anyhow::Result<Value> {
    let mut known = Vec::new();
    for workspace in workspaces {
        for page in workspace["pages"].as_array().into_iter().flatten() {
            let page_id = page["page_id"].as_str().unwrap_or_default();
            if page_id == id {
                return Ok(json!({"workspace_id": workspace["workspace_id"], "page_id": id, "type": page["type"]}));
            }
            known.push(page_id);
        }
    }
    bail!("the datasource lists no page `{id}`{}; pass --workspace to request it anyway", did_you_mean(id, known))
}

async fn browse(trial: &mut Trial<'_>, declared: &KindDeclarations, name: &str) -> anyhow::Result<bool> {
    let args = &trial.kind.datasource;
    let next: Option<Value> = match &args.next_page {
        Some(text) => Some(serde_json::from_str(text).context("--next is not valid JSON")?),
        None => None,
    };
    let listing = json!({"bucket": args.bucket, "prefix": args.prefix, "max_keys": args.max_keys,
        "next_page_parameters": next});
    let more = json!({"datasource": name, "request": listing});
    let request = trial.request(declared, "invoke_online_drive_browse_files", more)?;
    trial
        .call(request, |item| {
            for listing in item["result"].as_array().into_iter().flatten() {
                if let Some(bucket) = listing["bucket"].as_str() {
                    say(&format!("bucket {bucket}"));
                }
                for file in listing["files"].as_array().into_iter().flatten() {
                    let text = |name: &str| file[name].as_str().unwrap_or_default();
                    let size = file["size"].as_u64().unwrap_or_default();
                    print_line(&format!("{}  {}  {size} bytes  {}", text("id"), text("type"), text("name")))?;
                }
                if listing["is_truncated"] == true {
                    say(&format!("more: --next '{}'", listing["next_page_parameters"]));
                }
            }
            Ok(())
        })
        .await
}

async fn download(trial: &mut Trial<'_>, declared: &KindDeclarations, name: &str, id: &str) -> anyhow::Result<bool> {
    let file = json!({"bucket": trial.kind.datasource.bucket, "id": id});
    let more = json!({"datasource": name, "request": file});
    let request = trial.request(declared, "invoke_online_drive_download_file", more)?;
    let mut printer = Printer::new(Some(trial.kind.out.as_deref().unwrap_or(Path::new("."))));
    trial.items(request, |item| printer.print(item)).await
}

fn with_parameters(
    trial: &Trial<'_>,
    declared: &KindDeclarations,
    action: &str,
    datasource: &DatasourceDeclaration,
) -> anyhow::Result<Value> {
    let parameters = trial.parameters.read(parts::Part::Datasource(datasource).parameters())?;
    let more = json!({"datasource": datasource.identity.name, "datasource_parameters": parameters});
    trial.request(declared, action, more)
}
