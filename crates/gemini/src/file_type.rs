//! Detects the media type of images and PDF files by their first bytes, because upstreams reject files whose label does
//! not
//! match. Labels are never trusted here. Audio has its own detection.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Characters of Base64 that contain every signature.
const HEAD: usize = 44;

/// Returns the media type of an image or a PDF, given as Base64 in either alphabet.
pub fn by_bytes(base64: &str) -> Option<&'static str> {
    let standard = |character| match character {
        '-' => '+',
        '_' => '/',
        other => other,
    };
    let head: String = base64.chars().take(HEAD).map(standard).collect();
    let bytes = STANDARD_NO_PAD.decode(head.trim_end_matches('=')).ok()?;
    let at = |place: usize, magic: &[u8]| bytes.get(place..).is_some_and(|rest| rest.starts_with(magic));
    let brand = |brands: &[&[u8; 4]]| at(4, b"ftyp") && brands.iter().any(|brand| at(8, *brand));
    Some(match () {
        () if at(0, b"\x89PNG") => "image/png",
        () if at(0, b"\xFF\xD8\xFF") => "image/jpeg",
        () if at(0, b"RIFF") && at(8, b"WEBP") => "image/webp",
        () if at(0, b"GIF8") => "image/gif",
        () if at(0, b"II*\0") || at(0, b"MM\0*") => "image/tiff",
        () if at(0, b"BM") && at(6, b"\0\0\0\0") => "image/bmp",
        () if brand(&[b"heic", b"heix", b"heim", b"heis", b"hevc"]) => "image/heic",
        // The container brand, whatever codec is inside.
        () if brand(&[b"mif1", b"msf1", b"heif"]) => "image/heif",
        () if brand(&[b"avif", b"avis"]) => "image/avif",
        () if at(0, b"%PDF-") => "application/pdf",
        () => return None,
    })
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    #[test]
    fn detects_file_types() {
        for (bytes, expected) in [
            (&b"\x89PNG\r\n\x1a\n"[..], Some("image/png")),
            (b"\xFF\xD8\xFF\xE0\0\0", Some("image/jpeg")),
            (b"GIF89a", Some("image/gif")),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"RIFF\0\0\0\0WAVEfmt ", None),
            (b"BM\x10\x20\0\0\0\0\0\0", Some("image/bmp")),
            (b"BMW is a brand", None),
            (b"II*\0\x08\0\0\0", Some("image/tiff")),
            (b"\0\0\0\x18ftypheic\0\0\0\0", Some("image/heic")),
            (b"\0\0\0\x18ftypmif1\0\0\0\0", Some("image/heif")),
            (b"\0\0\0\x18ftypavif\0\0\0\0", Some("image/avif")),
            (b"\0\0\0\x18ftypmp42\0\0\0\0", None),
            (b"%PDF-1.7", Some("application/pdf")),
            (b"Hello", None),
            (b"", None),
        ] {
            for encoded in [STANDARD.encode(bytes), URL_SAFE.encode(bytes)] {
                assert_eq!(by_bytes(&encoded), expected, "{bytes:?}");
            }
        }
        assert_eq!(by_bytes("not base64!"), None);
    }
}
