//! Packages that anyone may have made: whatever they claim, reading one ends soon, in bounded memory, with its reason.

use std::io::{Cursor, Write};

use crate::support::archives;
use archives::{Archive, Entry, archive, crc, entry};
use dify_plugin::package::{inspect, signature};
use zip::write::SimpleFileOptions;

const MANIFEST: &[u8] = b"version: 0.1.0\nname: x\nauthor: a\n";

/// Reports what is read instead of rejected.
fn refused(bytes: Vec<u8>) -> String {
    match inspect::read_bytes(bytes) {
        Err(error) => error.to_string(),
        Ok(contents) => {
            let paths: Vec<&str> = contents.entries.iter().map(|entry| entry.path.as_str()).collect();
            format!("READ {paths:?} with {:?}", contents.warnings)
        }
    }
}

fn named(name: impl AsRef<[u8]>) -> Vec<u8> {
    archive(vec![entry("manifest.yaml", MANIFEST), entry(name, b"x")]).bytes()
}

fn with(change: impl FnOnce(&mut Entry)) -> Vec<u8> {
    let mut odd = entry("odd", b"contents");
    change(&mut odd);
    archive(vec![entry("manifest.yaml", MANIFEST), odd]).bytes()
}

fn ended(change: impl FnOnce(&mut Archive)) -> Vec<u8> {
    let mut whole = archive(vec![entry("manifest.yaml", MANIFEST), entry("a", b"x")]);
    change(&mut whole);
    whole.bytes()
}

/// A file of zeros, packed a thousand to one.
fn bomb(size: usize) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("bomb", SimpleFileOptions::default().compression_level(Some(9))).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..size >> 20 {
        writer.write_all(&zeros).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A packed file of zeros, and its packed bytes.
fn packed_zeros(size: usize) -> (Vec<u8>, u32) {
    let whole = bomb(size);
    let mut read = zip::ZipArchive::new(Cursor::new(&whole)).unwrap();
    let file = read.by_index_raw(0).unwrap();
    let (start, length) =
        (usize::try_from(file.data_start().unwrap()).unwrap(), usize::try_from(file.compressed_size()).unwrap());
    (whole[start..start + length].to_vec(), file.crc32())
}

#[test]
fn hostile_packages_are_refused_with_their_reason() {
    let (zeros, sum) = packed_zeros(100 << 20);
    let deflated = |name: &str| {
        let mut entry = entry(name, &zeros);
        (entry.method, entry.crc, entry.unpacked) = (8, sum, 100 << 20);
        entry
    };
    // The contents of the first are an entry of their own.
    let outer = entry("a", &archive(vec![entry("b", b"x")]).bytes()[..32]);
    let inner = Entry { offset: Some(31), ..entry("b", b"x") };
    let many = (0..10_001).map(|number| entry(format!("f{number}"), b"")).collect();
    let out = "is not a plain relative path";
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        // Paths.
        ("climbs out", named("../evil"), out),
        ("climbs out later", named("a/../../evil"), out),
        ("is the parent directory", named(".."), out),
        ("absolute", named("/etc/evil"), out),
        ("backslashes", named("a\\..\\..\\evil"), out),
        ("a share", named("\\\\host\\share"), out),
        ("a drive", named("C:/evil"), out),
        ("a drive without a slash", named("c:evil"), out),
        ("a zero", named("evil\0.yaml"), "control character"),
        ("no name", named(""), out),
        ("a line break", named("a\nb"), "name"),
        ("an escape of terminals", named("a\x1b[2Jb"), "name"),
        ("not UTF-8", named(b"a\xff\xfe"), "name"),
        ("not UTF-8, not marked", with(|entry| (entry.name, entry.flags) = (b"caf\x82".to_vec(), 0)), "name"),
        (
            "another name in its extra field",
            with(|entry| {
                // Info-ZIP's Unicode path: version, checksum of the name, path.
                let path = [&[1], &crc(b"odd").to_le_bytes()[..], b"manifest.yaml"].concat();
                entry.extra = [&[0x75, 0x70, 18, 0][..], &path].concat();
            }),
            "name",
        ),
        ("another name before its contents", with(|entry| entry.local_name = Some(b"../x".to_vec())), "name"),
        // Kinds.
        ("a link", with(|entry| entry.mode = 0o120_777), "is a symbolic link"),
        ("a device", with(|entry| entry.mode = 0o060_644), "not a regular file"),
        ("a directory by its mode only", with(|entry| entry.mode = 0o040_755), "not a regular file"),
        ("a pipe", with(|entry| entry.mode = 0o010_644), "not a regular file"),
        // Names twice.
        (
            "twice",
            archive(vec![entry("manifest.yaml", MANIFEST), entry("manifest.yaml", b"x")]).bytes(),
            "duplicate entry",
        ),
        (
            "a file that is a directory",
            archive(vec![entry("a", b"x"), entry("a/b", b"x")]).bytes(),
            "both a file and a directory",
        ),
        // Sizes.
        ("a bomb", bomb(300 << 20), "the unpacked size exceeds"),
        (
            "three small bombs",
            archive(vec![deflated("a"), deflated("b"), deflated("c")]).bytes(),
            "the unpacked size exceeds",
        ),
        ("a size that is not there", with(|entry| (entry.packed, entry.unpacked) = (u32::MAX - 1, u32::MAX - 1)), ""),
        ("more than it says", with(|entry| entry.unpacked = 1), "declared uncompressed size"),
        ("less than it says", with(|entry| entry.unpacked = 1 << 30), "declares"),
        ("entries within each other", archive(vec![outer, inner]).bytes(), "overlap"),
        ("too many", archive(many).bytes(), "too many entries: 10001"),
        // Contents.
        ("a wrong checksum", with(|entry| entry.crc ^= 1), "checksum"),
        ("encrypted", with(|entry| entry.flags |= 1), "Password"),
        ("encrypted with AES", with(|entry| (entry.method, entry.flags) = (99, 1)), ""),
        ("LZMA", with(|entry| entry.method = 14), "ompression method"),
        ("an unknown method", with(|entry| entry.method = 200), "ompression method"),
        ("damaged deflate", with(|entry| entry.method = 8), ""),
        // The end of the archive.
        ("fewer entries than there are", ended(|whole| whole.count = Some(1)), "entries"),
        ("more entries than there are", ended(|whole| whole.count = Some(3)), ""),
        ("a directory outside", ended(|whole| whole.directory_start = Some(u32::MAX - 1)), ""),
        ("an offset outside", with(|entry| entry.offset = Some(u32::MAX - 1)), ""),
        ("bytes before", ended(|whole| whole.before = b"#!/bin/sh\n".to_vec()), "before"),
        ("bytes behind", ended(|whole| whole.after = b"more".to_vec()), "after the end"),
        ("a second archive behind", ended(|whole| whole.after = named("other")), ""),
        ("a comment that ends early", ended(|whole| whole.comment_length = Some(9)), ""),
        ("nothing", Vec::new(), ""),
    ];
    let mut wrong = Vec::new();
    for (name, bytes, expected) in cases {
        let error = refused(bytes);
        if error.starts_with("READ") || !error.contains(expected) || error.contains('\x1b') {
            wrong.push(format!("{name}: {error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is odd but means the same everywhere is read, with a warning.
#[test]
fn odd_packages_are_read_with_a_warning() {
    let directory = Entry { mode: 0o040_755, ..entry("models/", b"") };
    let cases = [
        (
            archive(vec![entry("a.yaml", b"x"), entry("A.yaml", b"x")]).bytes(),
            "differs from another entry only in case",
        ),
        (named("models/CON.yaml"), "Windows"),
        (named("lpt1"), "Windows"),
        (archive(vec![directory]).bytes(), "directory entry"),
    ];
    for (bytes, warning) in cases {
        let contents = inspect::read_bytes(bytes).unwrap();
        assert!(contents.warnings.len() == 1 && contents.warnings[0].contains(warning), "{:?}", contents.warnings);
    }
    for name in ["console.yaml", "com0", "lpt", "a/b c/ü.yaml", "..a", "a..b"] {
        assert_eq!(inspect::read_bytes(named(name)).unwrap().warnings, Vec::<String>::new(), "{name}");
    }
}

/// A manifest that unfolds to more than memory, or nests without end, is an error, soon.
#[test]
fn a_hostile_manifest_is_an_error() {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}, ", level - 1).repeat(9);
        laughs.push_str(&format!("a{level}: &a{level} [{}]\n", before.trim_end_matches(", ")));
    }
    for (name, manifest) in [
        ("aliases of aliases", laughs),
        ("deep lists", "[".repeat(60_000)),
        ("deep maps", "{a: ".repeat(16_000)),
        ("deeper maps", "{a: ".repeat(1_000_000)),
        ("an alias of itself", "a: &a [*a]".to_owned()),
        ("a list", "- a".to_owned()),
        ("bytes", "\u{0}".to_owned()),
    ] {
        let contents = inspect::read_bytes(archive(vec![entry("manifest.yaml", manifest.as_bytes())]).bytes()).unwrap();
        assert!(contents.manifest().is_err(), "{name} was read");
    }
    assert!(inspect::read_bytes(archive(Vec::new()).bytes()).unwrap().manifest().is_err());
}

/// A signed package whose archive, comment or order was touched.
#[test]
fn a_signature_covers_contents_order_and_time() {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("../data/aigateway/jwt.json")).unwrap();
    let key = |name: &str| vectors["keys"][name].as_str().unwrap().to_owned();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("package.difypkg");
    let plain = archive(vec![entry("manifest.yaml", MANIFEST), entry("a", b"x"), entry("b", b"y")]);
    std::fs::write(&path, plain.bytes()).unwrap();
    let signed = signature::sign(&path, &key("rsa_private_pem_pkcs8"), "community").unwrap();
    let contents = inspect::read_bytes(signed.clone()).unwrap();
    let comment = contents.comment.clone().unwrap();
    let entries: Vec<Entry> = contents.entries.iter().map(|file| entry(&file.path, &file.bytes)).collect();
    let written = |entries: &[Entry], comment: &str, after: &[u8]| {
        Archive { comment: comment.as_bytes().to_vec(), after: after.to_vec(), ..archive(entries.to_vec()) }.bytes()
    };
    let verify = |bytes: Vec<u8>| {
        std::fs::write(&path, bytes).unwrap();
        signature::verify(&path, &key("rsa_public_pem")).map_err(|error| error.to_string())
    };
    assert_eq!(verify(signed.clone()), Ok(()));
    assert_eq!(verify(written(&entries, &comment, b"")), Ok(()), "written by another hand");
    let mut swapped = entries.clone();
    swapped.swap(1, 2);
    let mut more = entries.clone();
    more.push(entry("c", b"z"));
    let unsigned: serde_json::Value = serde_json::from_str(&comment).unwrap();
    let later = serde_json::json!({"signature": unsigned["signature"], "time": unsigned["time"].as_i64().unwrap() + 1});
    let none = serde_json::json!({"signature": "", "time": unsigned["time"]});
    for (name, bytes, expected) in [
        ("bytes behind", written(&entries, &comment, b"x"), "after the end of the archive"),
        ("words behind the signature", written(&entries, &format!("{comment} x"), b""), "not a signature"),
        ("two signatures", written(&entries, &format!("{comment}{comment}"), b""), "not a signature"),
        ("no JSON", written(&entries, &"x".repeat(65_535), b""), "not a signature"),
        (
            "no base64",
            written(&entries, &comment.replacen("\"signature\":\"", "\"signature\":\"*", 1), b""),
            "not valid Base64",
        ),
        ("an empty signature", written(&entries, &none.to_string(), b""), "does not match"),
        ("another time", written(&entries, &later.to_string(), b""), "does not match"),
        ("another order", written(&swapped, &comment, b""), "does not match"),
        ("one file more", written(&more, &comment, b""), "does not match"),
        ("one file less", written(&entries[1..], &comment, b""), "does not match"),
        ("no comment", written(&entries, "", b""), "not signed"),
    ] {
        let error = verify(bytes).expect_err(name);
        assert!(error.contains(expected), "{name}: {error}");
    }
}
