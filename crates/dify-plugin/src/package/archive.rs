//! Writes ZIP archives as Dify reads them: sorted, without directory entries, and with reproducible bytes.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};

use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::PackageError;

/// Files by path, sorted by bytes.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Writes files. `mode` returns the permission bits of a path.
pub fn write(files: &Files, comment: Option<&str>, mode: impl Fn(&str) -> u32) -> Result<Vec<u8>, PackageError> {
    write_in_order(files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())), comment, mode)
}

/// Writes files in the order given.
pub fn write_in_order<'a>(
    files: impl Iterator<Item = (&'a str, &'a [u8])>,
    comment: Option<&str>,
    mode: impl Fn(&str) -> u32,
) -> Result<Vec<u8>, PackageError> {
    let failed = |error: zip::result::ZipError| PackageError::Wrong(format!("cannot write the archive: {error}"));
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, bytes) in files {
        let stored = path.ends_with(".whl");
        let options = SimpleFileOptions::default()
            .compression_method(if stored { CompressionMethod::Stored } else { CompressionMethod::Deflated })
            .compression_level((!stored).then_some(9))
            .last_modified_time(DateTime::default())
            .unix_permissions(mode(path));
        writer.start_file(path, options).map_err(failed)?;
        writer.write_all(bytes).map_err(|error| failed(error.into()))?;
    }
    if let Some(comment) = comment {
        writer.set_comment(comment).map_err(failed)?;
    }
    Ok(writer.finish().map_err(failed)?.into_inner())
}

/// Returns Dify's checksum of a package: SHA-256 over the hashes of the sorted paths and their contents.
pub fn checksum<'a>(files: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let sorted: BTreeMap<&str, [u8; 32]> = files.map(|(path, bytes)| (path, Sha256::digest(bytes).into())).collect();
    let mut whole = Sha256::new();
    for (path, content) in sorted {
        whole.update(Sha256::digest(path.as_bytes()));
        whole.update(content);
    }
    hex::encode(whole.finalize())
}
