//! Packages of anybody: archive, manifest, checksum, signature, executables.
#![no_main]

use dify_plugin::package::inspect::{self, Contents};
use dify_plugin::package::{Target, archive, elf, signature};
use libfuzzer_sys::fuzz_target;

/// A public key whose private key was discarded.
const KEY: &str = include_str!("key.pem");

/// Between the names and contents of an archive that is made here; no byte of UTF-8.
const NEXT: u8 = 0xFF;

fn look(package: &Contents) {
    package.checksum();
    assert_eq!(package.unpacked(), package.entries.iter().map(|entry| entry.bytes.len()).sum::<usize>());
    if let Ok(manifest) = package.manifest() {
        manifest.provider_files();
    }
    assert!(signature::verify_contents(package, KEY).is_err(), "no key can have signed this");
    for entry in &package.entries {
        assert!(!entry.path.starts_with('/') && !entry.path.split('/').any(|part| part == ".."), "{}", entry.path);
        for target in Target::ALL {
            let _ = elf::check(&entry.path, &entry.bytes, target);
        }
    }
}

// First byte: a ready archive, or how one is made of names and contents; the rest: the archive, or names and contents.
fuzz_target!(|data: &[u8]| {
    let [kind, bytes @ ..] = data else { return };
    let mut archive = bytes.to_vec();
    if kind & 1 == 1 {
        let mut fields = bytes.split(|byte| *byte == NEXT);
        let comment = fields.next().map(String::from_utf8_lossy);
        let fields: Vec<_> = fields.collect();
        let names: Vec<_> = fields.chunks(2).map(|file| String::from_utf8_lossy(file[0])).collect();
        let files = names
            .iter()
            .zip(fields.chunks(2))
            .map(|(name, file)| (name.as_ref(), file.get(1).copied().unwrap_or_default()));
        let Ok(made) = archive::write_in_order(files, comment.as_deref(), |_| 0o644) else { return };
        archive = made;
        // Valid archives are read; one with a flipped bit is read or rejected.
        if kind & 2 == 2 {
            let place = usize::from(*kind) * 31 % archive.len();
            archive[place] ^= 1 << (kind >> 5);
        }
    }
    if let Ok(package) = inspect::read_bytes(archive) {
        look(&package);
    }
});
