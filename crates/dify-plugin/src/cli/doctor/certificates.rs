//! Checks the trusted root certificates: the system's store, the files in environment variables, and the form field.

use jiff::{SignedDuration, Timestamp};

use super::finding::Report;
use crate::protocol::Credentials;
use crate::upstream::certificates;

const CHECK: &str = "certificates";

/// Stores with at most this many certificates are site-specific; each of their certificates is checked.
const MAX_SITE_CERTIFICATES: usize = 20;

/// Certificates that expire within this time are reported.
const EXPIRY_WARNING: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Checks the store, `SSL_CERT_FILE`, `REQUESTS_CA_BUNDLE` and the form field `tls_ca`.
pub fn check(report: &mut Report, credentials: &Credentials) -> anyhow::Result<()> {
    let from_process = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let file = from_process("SSL_CERT_FILE");
    let store = certificates::system_store();
    let source = match (&file, from_process("SSL_CERT_DIR")) {
        (None, None) => "system".to_owned(),
        (file, directory) => {
            let places: Vec<String> = [("SSL_CERT_FILE", file.clone()), ("SSL_CERT_DIR", directory)]
                .into_iter()
                .filter_map(|(name, place)| Some(format!("{name} {}", place?)))
                .collect();
            places.join(" and ")
        }
    };
    for problem in &store.problems {
        let hint = "Fix or remove the certificates that cannot be read.";
        report.warning(CHECK, format!("certificate store ({source}): {problem}"), hint)?;
    }
    match (store.certificates, file.is_some()) {
        (0, true) => report.error(
            CHECK,
            format!(
                "certificate store ({source}) is empty; using {} bundled root certificates",
                certificates::bundled_roots()
            ),
            "Point SSL_CERT_FILE to a PEM file that the plugin process can read.",
        )?,
        (0, false) => report.ok(
            CHECK,
            format!("no system certificate store; using {} bundled root certificates", certificates::bundled_roots()),
        )?,
        (count, _) => report.ok(CHECK, format!("{count} trusted root certificates ({source})"))?,
    }
    // A system's bundle always contains some expired root, which is harmless. The few of a site must all be valid.
    if store.certificates <= MAX_SITE_CERTIFICATES
        && let Some(Ok(text)) = file.map(std::fs::read_to_string)
    {
        check_validity(report, "SSL_CERT_FILE", &text)?;
    }
    match certificates::requests_bundle() {
        Some((file, Ok(text))) => {
            let count = certificates::certificates(&text).len();
            report
                .ok(CHECK, format!("{count} certificates in REQUESTS_CA_BUNDLE {} are trusted too", file.display()))?;
        }
        Some((file, Err(error))) => {
            let found = format!("cannot read REQUESTS_CA_BUNDLE {}: {error}", file.display());
            report.warning(
                CHECK,
                found,
                "Set it, or SSL_CERT_FILE, to a PEM file that the plugin process can read.",
            )?;
        }
        None => {}
    }
    match credentials.get("tls_ca") {
        Some(text) => check_validity(report, "credential `tls_ca`", text),
        None => Ok(()),
    }
}

/// Reports the validity period of each certificate in a text.
fn check_validity(report: &mut Report, place: &str, text: &str) -> anyhow::Result<()> {
    let found = certificates::certificates(text);
    if found.is_empty() {
        let hint =
            "Paste the CA certificate as PEM text, including the BEGIN and END lines. Never paste a private key.";
        return report.error(CHECK, format!("{place} contains no certificate"), hint);
    }
    let now = Timestamp::now();
    let day = |time: Timestamp| time.strftime("%Y-%m-%d").to_string();
    for certificate in found {
        match certificate {
            Err(why) => {
                let hint = "Export the certificate again as PEM (Base64) and paste the whole text.";
                report.error(CHECK, format!("cannot parse a certificate in {place}: {why}"), hint)?;
            }
            Ok(facts) if facts.until < now => {
                let found = format!("{place}: {} expired on {}", facts.subject, day(facts.until));
                report.error(CHECK, found, "Replace it with a valid certificate.")?;
            }
            Ok(facts) if facts.from > now => {
                let found = format!("{place}: {} is not valid before {}", facts.subject, day(facts.from));
                report.error(CHECK, found, "Check this machine's clock, or wait until that date.")?;
            }
            Ok(facts) if facts.until.duration_since(now) < EXPIRY_WARNING => {
                let found = format!("{place}: {} expires on {}", facts.subject, day(facts.until));
                report.warning(CHECK, found, "Replace it before that date.")?;
            }
            Ok(facts) => report.ok(CHECK, format!("{place}: {} is valid until {}", facts.subject, day(facts.until)))?,
        }
    }
    Ok(())
}
