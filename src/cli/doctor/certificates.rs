//! Certificates that servers are checked against: the system's, a file's, the form field's.

use jiff::{SignedDuration, Timestamp};

use super::finding::Report;
use crate::protocol::Credentials;
use crate::upstream::certificates;

const CHECK: &str = "certificates";

/// A store that holds no more is a site's own.
const MAX_SITE_CERTIFICATES: usize = 20;

/// A certificate that ends sooner is told of.
const EXPIRY_WARNING: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Looks at the store, at `SSL_CERT_FILE` and `REQUESTS_CA_BUNDLE`, and at the form field `tls_ca`.
pub fn check(report: &mut Report, credentials: &Credentials) -> anyhow::Result<()> {
    let from_process = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let file = from_process("SSL_CERT_FILE");
    let store = certificates::system_store();
    let whose = match (&file, from_process("SSL_CERT_DIR")) {
        (None, None) => "of this system".to_owned(),
        (file, directory) => {
            let places: Vec<String> = [("SSL_CERT_FILE", file.clone()), ("SSL_CERT_DIR", directory)]
                .into_iter()
                .filter_map(|(name, place)| Some(format!("{name} {}", place?)))
                .collect();
            format!("of {}", places.join(" and "))
        }
    };
    for problem in &store.problems {
        report.warning(CHECK, format!("the store {whose}: {problem}"), "Mend or remove what cannot be read.")?;
    }
    match (store.certificates, file.is_some()) {
        (0, true) => report.error(
            CHECK,
            format!("the store {whose} holds no certificate; {} bundled roots are used", certificates::bundled_roots()),
            "Point SSL_CERT_FILE to a PEM file that the plugin's process may read.",
        )?,
        (0, false) => report
            .ok(CHECK, format!("this system has no store; {} bundled roots are used", certificates::bundled_roots()))?,
        (count, _) => report.ok(CHECK, format!("{count} certificates {whose}"))?,
    }
    // A whole system's bundle always holds some old root, which breaks nothing; a site's own few must all be good.
    if store.certificates <= MAX_SITE_CERTIFICATES
        && let Some(Ok(text)) = file.map(std::fs::read_to_string)
    {
        dates(report, "SSL_CERT_FILE", &text)?;
    }
    match certificates::requests_bundle() {
        Some((file, Ok(text))) => {
            let count = certificates::certificates(&text).len();
            report
                .ok(CHECK, format!("{count} certificates of REQUESTS_CA_BUNDLE {} are trusted too", file.display()))?;
        }
        Some((file, Err(error))) => {
            let found = format!("REQUESTS_CA_BUNDLE {} cannot be read: {error}", file.display());
            report.warning(
                CHECK,
                found,
                "Set it, or SSL_CERT_FILE, to a PEM file that the plugin's process may read.",
            )?;
        }
        None => {}
    }
    match credentials.get("tls_ca") {
        Some(text) => dates(report, "credential `tls_ca`", text),
        None => Ok(()),
    }
}

/// Says of each certificate of a text until when it is good.
fn dates(report: &mut Report, place: &str, text: &str) -> anyhow::Result<()> {
    let found = certificates::certificates(text);
    if found.is_empty() {
        let hint = "Paste the CA's certificate as PEM text, with its BEGIN and END lines; never a private key.";
        return report.error(CHECK, format!("{place} holds no certificate"), hint);
    }
    let now = Timestamp::now();
    let day = |time: Timestamp| time.strftime("%Y-%m-%d").to_string();
    for certificate in found {
        match certificate {
            Err(why) => {
                let hint = "Export it anew as PEM (base64) and paste the whole text.";
                report.error(CHECK, format!("a certificate of {place} cannot be read: {why}"), hint)?;
            }
            Ok(facts) if facts.until < now => {
                let found = format!("{place}: {} has expired on {}", facts.subject, day(facts.until));
                report.error(CHECK, found, "Replace it by the current one.")?;
            }
            Ok(facts) if facts.from > now => {
                let found = format!("{place}: {} is good only from {} on", facts.subject, day(facts.from));
                report.error(CHECK, found, "Check the clock of this machine, or wait.")?;
            }
            Ok(facts) if facts.until.duration_since(now) < EXPIRY_WARNING => {
                let found = format!("{place}: {} ends on {}", facts.subject, day(facts.until));
                report.warning(CHECK, found, "Replace it before that day.")?;
            }
            Ok(facts) => report.ok(CHECK, format!("{place}: {} until {}", facts.subject, day(facts.until)))?,
        }
    }
    Ok(())
}
