//! Host, version and path for each type of credentials, and upload URLs.

use serde_json::json;

use super::*;

/// Returns the URL of a request with these credentials.
fn address(more: &[(&str, &str)], model: &str) -> Result<String, InvokeError> {
    let user = r#"{"type":"authorized_user","client_id":"c","client_secret":"s","refresh_token":"r"}"#;
    let mut fields = serde_json::Map::new();
    for (name, value) in
        [("auth_method", "application_default"), ("google_service_account_json", user), ("google_api_key", "k")]
    {
        fields.insert(name.to_owned(), value.into());
    }
    fields.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())));
    let credentials: Credentials = serde_json::from_value(fields.into()).unwrap();
    let connection = Connection::new(&credentials, &Upstream::new(), &TokenSources::default())?;
    connection.model_url(model, "generateContent").map(String::from)
}

type Case<'a> = (Vec<(&'a str, &'a str)>, &'a str, String);

#[test]
fn builds_the_url_of_each_service_and_location() {
    const KEY: (&str, &str) = ("auth_method", "api_key");
    const EXPRESS: (&str, &str) = ("auth_method", "vertex_express");
    const PROJECT: (&str, &str) = ("google_project_id", "p-1");
    let place = |name| ("google_location", name);
    let base = |url| ("google_base_url", url);
    let developer = "https://generativelanguage.googleapis.com/v1beta/models/m:generateContent";
    let vertex = |host: &str, location: &str, rest: &str| {
        format!("https://{host}/v1/projects/p-1/locations/{location}/publishers/google/models/{rest}:generateContent")
    };
    let cases: Vec<Case<'_>> = vec![
        (vec![KEY], "m", developer.to_owned()),
        (vec![KEY], "models/m", developer.to_owned()),
        (vec![KEY, PROJECT], "google/m", developer.to_owned()),
        (vec![KEY], "tunedModels/t-1", developer.replace("models/m", "tunedModels/t-1")),
        (vec![], "m", developer.to_owned()),
        (vec![PROJECT], "m", vertex("aiplatform.googleapis.com", "global", "m")),
        (vec![PROJECT, place("us-central1")], "m@001", vertex("us-central1-aiplatform.googleapis.com", "us-central1", "m@001")),
        (vec![PROJECT, place("us")], "m", vertex("aiplatform.us.rep.googleapis.com", "us", "m")),
        (vec![PROJECT, place("eu")], "publishers/google/models/m", vertex("aiplatform.eu.rep.googleapis.com", "eu", "m")),
        (
            vec![PROJECT, place("us-east1")],
            "projects/2/locations/us-east1/endpoints/3",
            "https://us-east1-aiplatform.googleapis.com/v1/projects/2/locations/us-east1/endpoints/3:generateContent".to_owned(),
        ),
        // Any spelling of a location, and locations within names.
        (vec![PROJECT, place("Global")], "m", vertex("aiplatform.googleapis.com", "global", "m")),
        (vec![PROJECT, place("EU")], "m", vertex("aiplatform.eu.rep.googleapis.com", "eu", "m")),
        (vec![PROJECT, place("US-Central1")], "m", vertex("us-central1-aiplatform.googleapis.com", "us-central1", "m")),
        (
            vec![PROJECT],
            "projects/2/locations/us-east1/endpoints/3",
            "https://us-east1-aiplatform.googleapis.com/v1/projects/2/locations/us-east1/endpoints/3:generateContent".to_owned(),
        ),
        (
            vec![PROJECT, place("us")],
            "projects/2/locations/global/publishers/google/models/m",
            "https://aiplatform.googleapis.com/v1/projects/2/locations/global/publishers/google/models/m:generateContent".to_owned(),
        ),
        (
            vec![PROJECT, base("https://gate.example")],
            "projects/2/locations/us-east1/endpoints/3",
            "https://gate.example/v1/projects/2/locations/us-east1/endpoints/3:generateContent".to_owned(),
        ),
        (
            vec![PROJECT, place("us-east1")],
            "endpoints/707",
            "https://us-east1-aiplatform.googleapis.com/v1/projects/p-1/locations/us-east1/endpoints/707:generateContent".to_owned(),
        ),
        (
            vec![PROJECT, place("us-east1")],
            "7070905402157694976",
            "https://us-east1-aiplatform.googleapis.com/v1/projects/p-1/locations/us-east1/endpoints/7070905402157694976:generateContent".to_owned(),
        ),
        // Base URLs with the path with which they were copied.
        (vec![KEY, base("https://generativelanguage.googleapis.com/v1beta/openai/")], "m", developer.to_owned()),
        (vec![KEY, base("https://generativelanguage.googleapis.com/v1beta/openai/chat/completions")], "m", developer.to_owned()),
        (vec![KEY, base("https://generativelanguage.googleapis.com/v1beta/models")], "m", developer.to_owned()),
        (vec![KEY, base("https://generativelanguage.googleapis.com/v1beta/models/x:generateContent")], "m", developer.to_owned()),
        (vec![KEY, base("https://gate.example/models/v1/openai")], "m", "https://gate.example/models/v1/models/m:generateContent".to_owned()),
        (vec![KEY, base("https://gate.example/openai/")], "m", "https://gate.example/openai/v1beta/models/m:generateContent".to_owned()),
        (vec![EXPRESS], "m", "https://aiplatform.googleapis.com/v1/publishers/google/models/m:generateContent".to_owned()),
        (vec![KEY, base("https://gate.example/gemini/")], "m", "https://gate.example/gemini/v1beta/models/m:generateContent".to_owned()),
        (vec![KEY, base("https://gate.example/v1beta/")], "m", "https://gate.example/v1beta/models/m:generateContent".to_owned()),
    ];
    for (fields, model, expected) in cases {
        assert_eq!(address(&fields, model).unwrap(), expected, "{fields:?} {model}");
    }
    for model in ["", "a/../b", "m?x=1", "m#x", "a b"] {
        assert!(address(&[KEY], model).is_err(), "{model}");
    }
}
#[test]
fn uploads_use_the_host_in_the_credentials() {
    for (base, opened, session) in [
        ("https://gate.example", "/upload/v1beta/files", "/upload/v1beta/files"),
        ("https://gate.example/gemini/", "/gemini/upload/v1beta/files", "/gemini/upload/v1beta/files"),
        ("https://gate.example/gemini/v1", "/gemini/upload/v1/files", "/gemini/upload/v1beta/files"),
    ] {
        let fields = json!({"google_api_key": "k", "google_base_url": base});
        let credentials: Credentials = serde_json::from_value(fields).unwrap();
        let connection = Connection::new(&credentials, &Upstream::new(), &TokenSources::default()).unwrap();
        assert_eq!(connection.upload_url().as_str(), format!("https://gate.example{opened}"));
        let foreign = Url::parse("https://evil.example/upload/v1beta/files?upload_id=x").unwrap();
        let own = connection.on_own_host(&foreign);
        assert_eq!(own.as_str(), format!("https://gate.example{session}?upload_id=x"));
    }
}

#[test]
fn timeouts_of_the_form_are_not_extended() {
    let long = Duration::from_secs(600);
    for (timeout, first_byte, idle) in [(None, 600, 600), (Some("40"), 40, 40), (Some("900"), 900, 900)] {
        let mut fields = json!({"google_api_key": "k"});
        if let Some(timeout) = timeout {
            fields["request_timeout"] = json!(timeout);
        }
        let credentials: Credentials = serde_json::from_value(fields).unwrap();
        let mut connection = Connection::new(&credentials, &Upstream::new(), &TokenSources::default()).unwrap();
        connection.extend_timeouts(long);
        let seconds = |wait: Duration| wait.as_secs();
        let timeouts = connection.timeouts;
        assert_eq!((seconds(timeouts.first_byte), seconds(timeouts.idle)), (first_byte, idle), "{timeout:?}");
        assert!(timeouts.connect < long);
    }
}
