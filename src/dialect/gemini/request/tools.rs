//! Google tools as parameters: search, maps, file search, URL context, code execution; and how their sources are shown.
//!
//! Source: Gemini API, "Grounding with Google Search", "Grounding with Google Maps", "File search", "URL context"; for
//! the fields of each service google-genai 3.6.1 of 18 November 2026, `types.py` and `models.py`.

use jiff::ToSpan;
use jiff::civil::Date;
use serde_json::{Map, Value, json};

use super::parameters::Parameters;
use crate::dialect::gemini::grounding::Citations;
use crate::dialect::gemini::models::profile::Surface;
use crate::dialect::gemini::wire::GenerateContentRequest;
use dify_plugin::error::InvokeError;

/// Maximum number of names in a list.
const MAX_NAMES: usize = 2000;

/// Parameters of the tools whose responses cite sources with positions in the text.
const SEARCHES: [&str; 3] = ["grounding", "grounding_search", "google_maps"];

/// Parameter with the stores for file search.
const STORES: &str = "file_search_stores";

/// Adds the tools that the parameters enable.
pub(super) fn fill(
    request: &mut GenerateContentRequest,
    parameters: &Parameters<'_>,
    surface: Surface,
) -> Result<(), InvokeError> {
    let on = |name: &str| parameters.flag(name).unwrap_or(false);
    if on("grounding") || on("grounding_search") {
        request.tools.push(json!({"googleSearch": search(parameters, surface)?}));
    }
    if on("google_maps") {
        request.tools.push(json!({"googleMaps": {}}));
    }
    let stores = names(parameters, STORES)?;
    if !stores.is_empty() {
        only_on_developer(STORES, surface)?;
        let stores = stores.into_iter().map(|name| match name.contains('/') {
            true => name.to_owned(),
            false => format!("fileSearchStores/{name}"),
        });
        request.tools.push(json!({"fileSearch": {"fileSearchStoreNames": stores.collect::<Vec<_>>()}}));
    }
    if on("url_context") {
        request.tools.push(json!({"urlContext": {}}));
    }
    if on("code_execution") {
        request.tools.push(json!({"codeExecution": {}}));
    }
    Ok(())
}

fn search(parameters: &Parameters<'_>, surface: Surface) -> Result<Map<String, Value>, InvokeError> {
    let mut search = Map::new();
    match parameters.text("search_types") {
        Some("image") => drop(search.insert("searchTypes".to_owned(), json!({"imageSearch": {}}))),
        Some("web_and_image") => {
            search.insert("searchTypes".to_owned(), json!({"webSearch": {}, "imageSearch": {}}));
        }
        // Web search is the default of the service.
        _ => {}
    }
    let domains = names(parameters, "exclude_domains")?;
    if !domains.is_empty() {
        only_on_vertex("exclude_domains", surface)?;
        search.insert("excludeDomains".to_owned(), json!(domains));
    }
    if let Some(text) = parameters.text("search_time_range") {
        only_on_developer("search_time_range", surface)?;
        search.insert("timeRangeFilter".to_owned(), time_range(text)?);
    }
    Ok(search)
}

/// Parses two dates. Both days are included, while the service's end is exclusive.
fn time_range(text: &str) -> Result<Value, InvokeError> {
    let wrong = || {
        InvokeError::bad_request(format!(
            "parameter `search_time_range` must be two dates such as 2026-01-01/2026-06-30, found `{text}`"
        ))
    };
    let (first, last) = text.split_once('/').ok_or_else(wrong)?;
    let date = |text: &str| text.trim().parse::<Date>().map_err(|_| wrong());
    let (first, last) = (date(first)?, date(last)?);
    let end = last.checked_add(1.day()).map_err(|_| wrong())?;
    if last < first {
        return Err(wrong());
    }
    Ok(json!({"startTime": format!("{first}T00:00:00Z"), "endTime": format!("{end}T00:00:00Z")}))
}

/// Parses a list of names, separated by commas or newlines, or as JSON.
fn names<'a>(parameters: &'a Parameters<'_>, name: &str) -> Result<Vec<&'a str>, InvokeError> {
    let Some(text) = parameters.text(name) else { return Ok(Vec::new()) };
    let bare = |text: &'a str| text.trim().trim_matches(['"', '\'']);
    let text = text.trim_start_matches('[').trim_end_matches(']');
    let names: Vec<&str> = text.split([',', '\n']).map(bare).filter(|name| !name.is_empty()).collect();
    if names.len() > MAX_NAMES {
        return Err(InvokeError::bad_request(format!(
            "parameter `{name}` has {} entries; at most {MAX_NAMES} are supported",
            names.len()
        )));
    }
    Ok(names)
}

/// Rejects a parameter that is available on Vertex AI only.
pub(super) fn only_on_vertex(name: &str, surface: Surface) -> Result<(), InvokeError> {
    match surface.is_vertex() {
        true => Ok(()),
        false => Err(InvokeError::bad_request(format!("parameter `{name}` is available on Vertex AI only"))
            .with_hint("Leave it empty, or authenticate to Vertex AI.")),
    }
}

fn only_on_developer(name: &str, surface: Surface) -> Result<(), InvokeError> {
    match surface.is_vertex() {
        false => Ok(()),
        true => Err(InvokeError::bad_request(format!("parameter `{name}` is not available on Vertex AI"))
            .with_hint("Leave it empty, or use an API key of the Gemini Developer API.")),
    }
}

/// Returns how sources are shown: as requested, or else as markers in a non-streamed response and as a list after a
/// stream.
pub fn citations(parameters: &Parameters<'_>, stream: bool) -> Citations {
    let searches = searches(parameters);
    match parameters.text("citations") {
        Some("off") => Citations::Off,
        Some("inline") if searches => Citations::Inline,
        None if searches && !stream => Citations::Inline,
        _ => Citations::List,
    }
}

/// Whether the app requests sources: then recited ones are listed too.
pub fn requests_sources(parameters: &Parameters<'_>) -> bool {
    let shown = parameters.text("citations").is_some_and(|how| how != "off");
    shown || searches(parameters) || parameters.flag("url_context") == Some(true)
}

fn searches(parameters: &Parameters<'_>) -> bool {
    SEARCHES.iter().any(|name| parameters.flag(name) == Some(true)) || parameters.text(STORES).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools(parameters: &Value, surface: Surface) -> Result<Value, InvokeError> {
        let mut request = GenerateContentRequest::default();
        fill(&mut request, &Parameters(parameters.as_object().unwrap()), surface)?;
        Ok(json!(request.tools))
    }

    #[test]
    fn each_service_gets_the_tools_that_it_supports() {
        use Surface::{Developer, Vertex, VertexExpress};
        for (parameters, surface, expected) in [
            (json!({}), Developer, json!([])),
            (json!({"grounding": true}), Developer, json!([{"googleSearch": {}}])),
            (json!({"grounding": false, "search_types": "image"}), Developer, json!([])),
            (json!({"grounding": true, "search_types": "web"}), Vertex, json!([{"googleSearch": {}}])),
            (
                json!({"grounding": true, "search_types": "image"}),
                Developer,
                json!([{"googleSearch": {"searchTypes": {"imageSearch": {}}}}]),
            ),
            (
                json!({"grounding": true, "search_types": "web_and_image"}),
                Vertex,
                json!([{"googleSearch": {"searchTypes": {"webSearch": {}, "imageSearch": {}}}}]),
            ),
            (
                json!({"grounding": true, "exclude_domains": "a.example, b.example\nc.example,"}),
                VertexExpress,
                json!([{"googleSearch": {"excludeDomains": ["a.example", "b.example", "c.example"]}}]),
            ),
            (
                json!({"grounding": true, "search_time_range": "2026-01-01/2026-12-31"}),
                Developer,
                json!([{"googleSearch": {"timeRangeFilter": {"startTime": "2026-01-01T00:00:00Z", "endTime": "2027-01-01T00:00:00Z"}}}]),
            ),
            (json!({"google_maps": true}), Vertex, json!([{"googleMaps": {}}])),
            (
                json!({"file_search_stores": "[\"fileSearchStores/a-1\", \"b-2\"]", "url_context": true}),
                Developer,
                json!([{"fileSearch": {"fileSearchStoreNames": ["fileSearchStores/a-1", "fileSearchStores/b-2"]}}, {"urlContext": {}}]),
            ),
            (json!({"file_search_stores": " , ", "code_execution": true}), Vertex, json!([{"codeExecution": {}}])),
        ] {
            assert_eq!(tools(&parameters, surface).unwrap(), expected, "{parameters}");
        }
    }

    #[test]
    fn errors_name_parameters_that_a_service_does_not_support() {
        use Surface::{Developer, Vertex};
        for (parameters, surface, name) in [
            (json!({"grounding": true, "exclude_domains": "a"}), Developer, "`exclude_domains`"),
            (json!({"grounding": true, "search_time_range": "2026-01-01/2026-02-01"}), Vertex, "`search_time_range`"),
            (
                json!({"grounding": true, "search_time_range": "2026-02-01/2026-01-01"}),
                Developer,
                "`search_time_range`",
            ),
            (json!({"grounding": true, "search_time_range": "this year"}), Developer, "`search_time_range`"),
            (
                json!({"grounding": true, "search_time_range": "9999-12-31/9999-12-31"}),
                Developer,
                "`search_time_range`",
            ),
            (json!({"file_search_stores": "a"}), Vertex, "`file_search_stores`"),
        ] {
            let error = tools(&parameters, surface).unwrap_err();
            assert!(error.message.contains(name), "{parameters}: {error}");
        }
    }

    #[test]
    fn sources_are_shown_for_every_search_tool() {
        for (parameters, stream, shown) in [
            (json!({"google_maps": true}), false, Citations::Inline),
            (json!({"google_maps": true}), true, Citations::List),
            (json!({"file_search_stores": "a", "citations": "inline"}), true, Citations::Inline),
            (json!({"citations": "inline"}), true, Citations::List),
            (json!({"grounding": true, "citations": "off"}), false, Citations::Off),
        ] {
            assert_eq!(citations(&Parameters(parameters.as_object().unwrap()), stream), shown, "{parameters}");
        }
    }
}
