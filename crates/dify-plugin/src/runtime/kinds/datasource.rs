//! Datasources: the crawl with its last item, documents as variables, the file of a drive on one line.

use std::io::Write;

use base64::engine::general_purpose::STANDARD;
use base64::write::EncoderStringWriter;
use futures_util::StreamExt;
use serde_json::{Map, Value};

use super::drain::{Drain, Pace};
use super::{Session, not_served, unknown};
use crate::plugin::outgoing::RAISE_THE_LIMIT;
use crate::plugin::{Contents, Crawl, Download, Messages, PluginError, short_name};
use crate::protocol::datasource::{DatasourceRequest, Listed, Workspace};
use crate::protocol::tool::ValidationResult;
use crate::protocol::tool_message::{Blob, Content, Message};
use crate::runtime::dispatch::Stop;

pub(super) async fn run(session: &mut Session<'_>, request: DatasourceRequest) -> Result<(), Stop> {
    let provider = session.plugin.datasources().cloned().ok_or_else(|| not_served("datasources"))?;
    let name = short_name(&request.access().provider);
    if name != provider.name() {
        return Err(unknown("datasource provider", name, &[provider.name()]).into());
    }
    let datasource = |name: &str| {
        let datasources = provider.datasources();
        datasources.get(name).cloned().ok_or_else(|| unknown("datasource", name, &datasources.names()))
    };
    let declared = session.declared.datasource.as_ref();
    let parameters = |name: &str| Some(&*declared?.datasource(name)?.parameters);
    match request {
        DatasourceRequest::ValidateCredentials(request) => {
            let call = session.call_with(request.access);
            provider.validate(call).await.map_err(PluginError::into_credentials_failure)?;
            session.push(&ValidationResult::VALID)
        }
        DatasourceRequest::Crawl(mut request) => {
            let Contents::Website(website) = datasource(&request.datasource)? else {
                return Err(other_type(&request.datasource, "crawls no websites"));
            };
            session.cast(parameters(&request.datasource), &mut request.datasource_parameters);
            let call = session.call_with(request.access);
            let (outbox, inbox) = session.queue();
            let mut crawl = Crawl::new(outbox);
            let work = async move {
                website.crawl(call, request.datasource_parameters, &mut crawl).await?;
                crawl.finish().await
            };
            Drain::new(session, inbox, Pace::DATASOURCE).run(work).await
        }
        DatasourceRequest::Pages(mut request) => {
            let Contents::Document(document) = datasource(&request.datasource)? else {
                return Err(other_type(&request.datasource, "has no online documents"));
            };
            session.cast(parameters(&request.datasource), &mut request.datasource_parameters);
            let call = session.call_with(request.access);
            let workspaces = document.pages(call, request.datasource_parameters).await?;
            pages(session, workspaces)
        }
        DatasourceRequest::PageContent(request) => {
            let Contents::Document(document) = datasource(&request.datasource)? else {
                return Err(other_type(&request.datasource, "has no online documents"));
            };
            let call = session.call_with(request.access);
            let content = document.content(call, request.page.clone()).await?;
            let (outbox, inbox) = session.queue();
            let work = async move {
                let mut messages = Messages::new(outbox);
                for (name, value) in content.into_variables(&request.page) {
                    messages.variable(&name, value).await?;
                }
                Ok(())
            };
            Drain::new(session, inbox, Pace::DATASOURCE).run(work).await
        }
        DatasourceRequest::BrowseFiles(request) => {
            let Contents::Drive(drive) = datasource(&request.datasource)? else {
                return Err(other_type(&request.datasource, "is no online drive"));
            };
            let result = drive.browse(session.call_with(request.access), request.request).await?;
            session.push(&Listed { result })
        }
        DatasourceRequest::DownloadFile(request) => {
            let Contents::Drive(drive) = datasource(&request.datasource)? else {
                return Err(other_type(&request.datasource, "is no online drive"));
            };
            let download = drive.download(session.call_with(request.access), request.request).await?;
            file(session, download).await
        }
    }
}

fn other_type(name: &str, what: &str) -> Stop {
    PluginError::bad_request(format!("datasource `{name}` {what}")).into()
}

/// All workspaces in one item or, when no line can carry them together, one by one.
fn pages(session: &mut Session<'_>, workspaces: Vec<Workspace>) -> Result<(), Stop> {
    let whole = Listed { result: &workspaces };
    if workspaces.len() <= 1 || session.responder.length_of(&whole) <= session.responder.max_line_bytes() {
        return session.push(&whole);
    }
    workspaces.iter().try_for_each(|workspace| session.push(&Listed { result: [workspace] }))
}

/// A whole file on one line: Dify joins no chunks of a datasource.
async fn file(session: &mut Session<'_>, download: Download) -> Result<(), Stop> {
    let Download { file_name, mime_type, body } = download;
    let mut meta = Map::new();
    meta.insert("file_name".to_owned(), Value::String(file_name.clone()));
    if let Some(mime_type) = mime_type {
        meta.insert("mime_type".to_owned(), Value::String(mime_type));
    }
    let message = |blob| Message { content: Content::Blob(Blob { blob }), meta: Some(meta) };
    let around = session.responder.length_of(&message.clone()(String::new()));
    let limit = session.responder.max_line_bytes().saturating_sub(around) / 4 * 3;
    let mut writer = EncoderStringWriter::new(&STANDARD);
    let (mut stream, mut length) = (body.into_stream(), 0);
    while let Some(part) = stream.next().await {
        let part = part?;
        length += part.len();
        if length > limit {
            let message = format!(
                "file `{file_name}` is too large: Dify takes the files of a datasource on one line of the plugin protocol, \
                 and the limit is {limit} bytes"
            );
            return Err(PluginError::bad_request(message).with_hint(RAISE_THE_LIMIT).into());
        }
        writer.write_all(&part).map_err(|error| PluginError::internal(format!("cannot encode a file: {error}")))?;
    }
    let message = message(writer.into_inner());
    session.responder.push(&message).map_err(PluginError::from)?;
    session.log.count_chunk();
    Ok(())
}
