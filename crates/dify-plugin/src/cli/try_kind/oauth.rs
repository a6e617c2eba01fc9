//! `try` for OAuth: the authorization URL, the exchange of a code, and new credentials for expired ones. The credentials are
//! written to a file and never shown.

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};
use url::Url;

use super::messages::{redacted, save_private};
use super::parts::Provider;
use super::{Trial, http};
use crate::cli::credentials::read_pairs;
use crate::cli::form_fields::Form;
use crate::cli::terminal::{print_json, print_line, say};
use crate::declare::KindDeclarations;

/// Options of OAuth.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "OAuth")]
pub struct OAuthArgs {
    /// Print the URL at which a user authorizes the plugin
    #[arg(long)]
    authorize: bool,
    /// Exchange the code in this URL, to which the browser was redirected, for credentials; --out keeps them
    #[arg(long, value_name = "URL")]
    callback: Option<String>,
    /// Exchange the credentials (--credentials FILE) for new ones; --out keeps them
    #[arg(long)]
    refresh_credentials: bool,
    /// Field of the OAuth client, such as `client_id` (repeatable)
    #[arg(long = "client", value_name = "NAME=VALUE")]
    client: Vec<String>,
    /// URL to which the browser is redirected [default: the URL of --callback without its query string]
    #[arg(long, value_name = "URL")]
    redirect_uri: Option<String>,
}

/// Where the browser is redirected unless the user names another URL. Nothing listens there: the user copies the URL.
const REDIRECT_URI: &str = "http://localhost/callback";

impl OAuthArgs {
    /// Whether an action of OAuth is meant.
    pub(super) fn is_given(&self) -> bool {
        self.authorize || self.callback.is_some() || self.refresh_credentials
    }
}

/// Runs the action of OAuth that is meant.
pub(super) async fn run(trial: &mut Trial<'_>, declared: &KindDeclarations) -> anyhow::Result<bool> {
    let args = &trial.kind.oauth;
    let provider = Provider::of(declared).context("the plugin has no provider with OAuth")?;
    let schema = provider.oauth.with_context(|| format!("provider `{}` declares no `oauth_schema`", provider.name))?;
    let form = Form { plugin: trial.plugin, fields: schema.client_schema.iter().collect(), option: "--client" };
    let client = form.values(read_pairs(&args.client)?);
    form.report_missing(&client);
    let mut request = json!({
        "type": "oauth",
        "provider": provider.name,
        "redirect_uri": args.redirect_uri.as_deref().unwrap_or(REDIRECT_URI),
        "system_credentials": client,
    });
    if args.authorize {
        request["action"] = "get_authorization_url".into();
        let succeeded =
            trial.call(request, |item| print_line(item["authorization_url"].as_str().unwrap_or_default())).await?;
        if succeeded && !trial.raw {
            say("open this URL, and pass the URL to which the browser is redirected with --callback");
        }
        return Ok(succeeded);
    }
    if let Some(callback) = &args.callback {
        let url = Url::parse(callback).context("--callback is not a valid URL")?;
        if args.redirect_uri.is_none() {
            let mut redirect = url.clone();
            redirect.set_query(None);
            redirect.set_fragment(None);
            request["redirect_uri"] = redirect.as_str().into();
        }
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let host = url.host_str().unwrap_or("localhost");
        let line = format!("GET {}{query}", url.path());
        request["action"] = "get_credentials".into();
        request["raw_http_request"] = http::raw(&line, &[format!("Host: {host}")], b"")?.into();
    } else {
        let credentials = trial.credentials.given()?;
        if credentials.is_empty() {
            bail!("pass the credentials with --credentials FILE");
        }
        request["action"] = "refresh_credentials".into();
        request["credentials"] = credentials.into();
    }
    let (mut made, raw) = (Value::Null, trial.raw);
    let succeeded = trial
        .items(request, |item| {
            made = item["credentials"].clone();
            let mut shown = item.clone();
            // A field that the declaration does not name may be a secret, too.
            shown["credentials"] = redacted(&made, |name| {
                schema.credentials_schema.iter().all(|field| field.name != name || field.is_secret())
            });
            if raw { Ok(()) } else { print_json(&shown) }
        })
        .await?;
    match &trial.kind.out {
        Some(path) if !made.is_null() => save_private(path, &made)?,
        None if succeeded && !trial.raw => say("hint: pass --out FILE to keep the credentials"),
        _ => {}
    }
    Ok(succeeded)
}
