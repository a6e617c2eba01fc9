//! Reads a file of settings with one `NAME=value` per line, in the format of Dify's CLI. An invalid line is reported by
//! its number and never by its text, which may contain a secret.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Maximum size of a settings file in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Contents of a settings file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvFile {
    /// Upper-case names, and values.
    pub settings: Vec<(String, String)>,
    /// Numbers of the invalid lines, counted from 1.
    pub invalid_lines: Vec<usize>,
}

/// Reads a regular file. Pipes and devices are rejected, because they may never end.
pub fn read(path: &Path) -> io::Result<EnvFile> {
    // Opening a pipe would block.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    read_open(File::open(path)?)
}

/// Reads an open file.
pub fn read_open(file: File) -> io::Result<EnvFile> {
    if file.metadata()?.len() > MAX_FILE_BYTES {
        return Err(io::Error::other("too large for a settings file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(parse(&String::from_utf8_lossy(&bytes)))
}

fn parse(text: &str) -> EnvFile {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = EnvFile::default();
    let mut from = 0;
    for line in dotenvy::from_read_iter(text.as_bytes()) {
        match line {
            Ok((name, value)) => found.settings.push((name.to_ascii_uppercase(), value)),
            Err(error) => {
                // The parser's error contains the rest of the line, but not its number.
                let rest = match error {
                    dotenvy::Error::LineParse(rest, _) => rest.lines().next().unwrap_or_default().trim().to_owned(),
                    _ => String::new(),
                };
                let matches = |line: &&str| line.trim().ends_with(&rest) && is_invalid(line);
                from += text.lines().skip(from).position(|line| matches(&line)).map_or(0, |at| at + 1);
                found.invalid_lines.push(from);
            }
        }
    }
    found
}

fn is_invalid(line: &str) -> bool {
    dotenvy::from_read_iter(line.as_bytes()).any(|line| line.is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skips_invalid_lines_and_reports_their_numbers() {
        for (text, names, invalid_lines) in [
            ("A=1\nB=2\n", &["A", "B"][..], &[][..]),
            ("\u{feff}A=1\n", &["A"], &[]),
            ("A=1\nLEVEL=info, hyper=warn\nB=2\n", &["A", "B"], &[2]),
            ("no setting\n# a comment\n\nno setting\nexport b=2\n", &["B"], &[1, 4]),
            ("A='\u{fffd}'\r\n=x\r\n", &["A"], &[2]),
            ("A=1\nB=\"never closed\nC=3\n", &["A"], &[2]),
        ] {
            let found = parse(text);
            assert_eq!(found.settings.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names, "{text:?}");
            assert_eq!(found.invalid_lines, invalid_lines, "{text:?}");
        }
    }

    #[test]
    fn rejects_directories_devices_and_large_files() {
        let directory = tempfile::tempdir().unwrap();
        assert!(read(directory.path()).is_err() && read(Path::new("/dev/zero")).is_err());
        let path = directory.path().join(".env");
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::write(&path, "A=1\n".repeat(20_000)).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("too large"));
    }
}
