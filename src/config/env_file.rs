//! A file of settings, `NAME=value` a line, as Dify's own command line writes it. A line that cannot be read is told by its
//! number and never by its text, which may hold a secret.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Largest file of settings that makes sense.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// What a file of settings holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvFile {
    /// Names in upper case, and values.
    pub settings: Vec<(String, String)>,
    /// Numbers of the lines that cannot be read, from 1.
    pub unreadable: Vec<usize>,
}

/// Reads a file; a pipe or a device, which may never end, is none.
pub fn read(path: &Path) -> io::Result<EnvFile> {
    // A pipe would never open.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    read_open(File::open(path)?)
}

/// Reads a file that is open.
pub fn read_open(file: File) -> io::Result<EnvFile> {
    if file.metadata()?.len() > MAX_FILE_BYTES {
        return Err(io::Error::other("it is too large for a file of settings"));
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
                // The parser names the rest of the line from where it gave up, and no number.
                let rest = match error {
                    dotenvy::Error::LineParse(rest, _) => rest.lines().next().unwrap_or_default().trim().to_owned(),
                    _ => String::new(),
                };
                let is_it = |line: &&str| line.trim().ends_with(&rest) && is_unreadable(line);
                from += text.lines().skip(from).position(|line| is_it(&line)).map_or(0, |at| at + 1);
                found.unreadable.push(from);
            }
        }
    }
    found
}

fn is_unreadable(line: &str) -> bool {
    dotenvy::from_read_iter(line.as_bytes()).any(|line| line.is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_cannot_be_read_are_numbered_and_cost_only_themselves() {
        for (text, names, unreadable) in [
            ("A=1\nB=2\n", &["A", "B"][..], &[][..]),
            ("\u{feff}A=1\n", &["A"], &[]),
            ("A=1\nLEVEL=info, hyper=warn\nB=2\n", &["A", "B"], &[2]),
            ("no setting\n# a comment\n\nno setting\nexport b=2\n", &["B"], &[1, 4]),
            ("A='\u{fffd}'\r\n=x\r\n", &["A"], &[2]),
            ("A=1\nB=\"never closed\nC=3\n", &["A"], &[2]),
        ] {
            let found = parse(text);
            assert_eq!(found.settings.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names, "{text:?}");
            assert_eq!(found.unreadable, unreadable, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_file_of_settings_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        assert!(read(directory.path()).is_err() && read(Path::new("/dev/zero")).is_err());
        let path = directory.path().join(".env");
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::write(&path, "A=1\n".repeat(20_000)).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("too large"));
    }
}
