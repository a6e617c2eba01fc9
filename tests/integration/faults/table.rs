//! The tables of the README: what was lost, how it was reported, the time and the memory.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use super::plugin::{Outcome, Plugin};

/// Maximum number of characters of a report.
const MAX_REPORT_CHARACTERS: usize = 400;

/// A table in the README, between a marker with its name and the next marker or heading.
pub struct Table {
    name: &'static str,
    rows: String,
}

impl Table {
    pub fn new(name: &'static str) -> Self {
        Self { name, rows: String::new() }
    }

    /// How the session ended that met a fault; the process that it met it in is still running.
    pub fn outcome(&mut self, fault: &str, outcome: &Outcome, plugin: &Plugin) {
        self.ended(fault, outcome, plugin.peak());
    }

    /// The same of a process that may be gone.
    pub fn ended(&mut self, fault: &str, outcome: &Outcome, peak: u64) {
        let (lost, report) = match &outcome.error {
            None => ("nothing".to_owned(), "–".to_owned()),
            Some(error) => {
                let lost = match outcome.text.len() {
                    0 => "its session".to_owned(),
                    1 => "its session, after a byte of text".to_owned(),
                    length => format!("its session, after {length} bytes of text"),
                };
                (lost, format!("{}: {}", error["error_type"].as_str().unwrap(), outcome.message()))
            }
        };
        self.row(fault, &lost, &report, outcome.took, peak);
    }

    /// What was lost, how it was reported, after how long, megabytes at most where a process lived to be measured.
    pub fn row(&mut self, fault: &str, lost: &str, report: &str, took: Duration, peak: impl Into<Option<u64>>) {
        let mut report = report.replace('\n', " ").replace('|', "\\|");
        if report.chars().count() > MAX_REPORT_CHARACTERS {
            report = report.chars().take(MAX_REPORT_CHARACTERS).chain("…".chars()).collect();
        }
        let peak = peak.into().map_or_else(|| "–".to_owned(), |peak| format!("{peak} MB"));
        writeln!(self.rows, "| {fault} | {lost} | {report} | {} ms | {peak} |", took.as_millis()).unwrap();
    }

    /// Written when the run is asked for it; ports, which differ from run to run, are left out.
    pub fn write(self) {
        static README: Mutex<()> = Mutex::new(());
        if std::env::var_os("FAULTS_TABLE").is_none() {
            return;
        }
        let _alone = README.lock();
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/integration/faults/README.md");
        let text = std::fs::read_to_string(file).unwrap();
        let mark = format!("<!-- {} -->\n", self.name);
        let start = text.find(&mark).unwrap_or_else(|| panic!("the README has no {mark}")) + mark.len();
        let end = text[start..].find("\n#").into_iter().chain(text[start..].find("<!--")).min();
        let end = end.map_or(text.len(), |end| start + end);
        let head =
            "\n| fault | what was lost | how it was reported | after | memory at most |\n|---|---|---|---|---|\n";
        let (before, after) = (&text[..start], &text[end..]);
        std::fs::write(file, format!("{before}{head}{}\n{}", without_ports(&self.rows), after.trim_start())).unwrap();
    }
}

fn without_ports(text: &str) -> String {
    let mut parts = text.split("127.0.0.1:");
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|letter: char| letter.is_ascii_digit());
        let port = &part[..part.len() - rest.len()];
        write!(out, "127.0.0.1:{}{rest}", if port.len() > 3 { "port" } else { port }).unwrap();
    }
    out
}
