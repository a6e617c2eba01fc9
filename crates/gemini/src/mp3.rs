//! Extracts the frames of MP3 files without tags, so that several files can be joined. It neither encodes nor decodes.
//!
//! Source: ISO/IEC 11172-3 and 13818-3 (frame header, layer III); id3.org, "ID3v2.4.0 structure", "ID3v1".

/// Size of an ID3v1 tag, which is at the end of a file, in bytes.
const ID3V1: usize = 128;

/// Returns the frames of an MP3 file without its tags and without the info frame, or `None` if it is not an MP3 file.
pub fn frames(file: &[u8]) -> Option<&[u8]> {
    let mut frames = file;
    while let Some(rest) = without_id3v2(frames) {
        frames = rest;
    }
    if let Some((rest, tag)) = frames.split_last_chunk::<ID3V1>()
        && tag.starts_with(b"TAG")
    {
        frames = rest;
    }
    let first = Header::of(frames)?;
    if first.describes_the_file(frames) {
        // A file that consists of the info frame only has no audio.
        frames = frames.get(first.length()..)?;
    }
    Some(frames)
}

/// Returns what follows all ID3v2 tags.
fn without_id3v2(file: &[u8]) -> Option<&[u8]> {
    const HEAD: usize = 10;
    const FOOTER: u8 = 0x10;
    let (head, rest) = file.split_first_chunk::<HEAD>()?;
    if !head.starts_with(b"ID3") || head[6..].iter().any(|byte| *byte > 0x7F) {
        return None;
    }
    let length = head[6..].iter().fold(0, |length, byte| length << 7 | usize::from(*byte));
    let footer = if head[5] & FOOTER == 0 { 0 } else { HEAD };
    Some(rest.get(length + footer..).unwrap_or_default())
}

/// Header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    is_mpeg_1: bool,
    is_mono: bool,
    has_checksum: bool,
    /// Bits per second.
    bit_rate: usize,
    /// Samples per second.
    sample_rate: usize,
    is_padded: bool,
}

impl Header {
    fn of(frame: &[u8]) -> Option<Self> {
        const MPEG_1: [usize; 15] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
        const MPEG_2: [usize; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
        const RATES: [usize; 3] = [44_100, 48_000, 32_000];
        let [sync, version, rates, channels] = *frame.first_chunk()?;
        // Eleven sync bits, and layer III.
        if sync != 0xFF || version & 0xE0 != 0xE0 || version & 0x06 != 0x02 {
            return None;
        }
        let (is_mpeg_1, divisor) = match version >> 3 & 3 {
            3 => (true, 1),
            2 => (false, 2),
            0 => (false, 4),
            _ => return None,
        };
        let bit_rates = if is_mpeg_1 { MPEG_1 } else { MPEG_2 };
        let bit_rate = *bit_rates.get(usize::from(rates >> 4)).filter(|rate| **rate > 0)? * 1000;
        Some(Self {
            is_mpeg_1,
            is_mono: channels >> 6 == 3,
            has_checksum: version & 1 == 0,
            bit_rate,
            sample_rate: RATES.get(usize::from(rates >> 2 & 3))? / divisor,
            is_padded: rates & 2 != 0,
        })
    }

    /// Length of the frame in bytes, including its header.
    fn length(self) -> usize {
        let factor = if self.is_mpeg_1 { 144 } else { 72 };
        factor * self.bit_rate / self.sample_rate + usize::from(self.is_padded)
    }

    /// Whether the frame contains a table of contents (Xing, Info) instead of audio. A player takes its length for that
    /// of
    /// the whole joined file.
    fn describes_the_file(self, frame: &[u8]) -> bool {
        let side = match (self.is_mpeg_1, self.is_mono) {
            (true, false) => 32,
            (true, true) | (false, false) => 17,
            (false, true) => 9,
        };
        let at = |place: usize, words: &[&[u8]]| {
            let rest = frame.get(place..).unwrap_or_default();
            words.iter().any(|word| rest.starts_with(word))
        };
        let checksum = if self.has_checksum { 2 } else { 0 };
        at(4 + checksum + side, &[b"Xing", b"Info"]) || at(4 + side, &[b"Xing", b"Info"]) || at(36, &[b"VBRI"])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Builds a frame of MPEG 2, layer III, 32 kbit/s, 24 kHz, mono: 96 bytes.
    fn frame(fill: u8, name: Option<&[u8]>) -> Vec<u8> {
        let mut frame = vec![fill; 96];
        frame[..4].copy_from_slice(&[0xFF, 0xF3, 0x44, 0xC0]);
        if let Some(name) = name {
            frame[13..13 + name.len()].copy_from_slice(name);
        }
        frame
    }

    #[test]
    fn parses_frame_headers() {
        for (head, length) in [
            ([0xFF, 0xF3, 0x44, 0xC0], Some(96)),
            ([0xFF, 0xF3, 0x46, 0xC0], Some(97)),
            ([0xFF, 0xFB, 0x90, 0x00], Some(417)),
            ([0xFF, 0xFB, 0x92, 0x00], Some(418)),
            ([0xFF, 0xE3, 0x48, 0xC0], Some(288)),
            // Free format, invalid bit rate, invalid sample rate, layer II, not a frame.
            ([0xFF, 0xFB, 0x00, 0x00], None),
            ([0xFF, 0xFB, 0xF0, 0x00], None),
            ([0xFF, 0xFB, 0x9C, 0x00], None),
            ([0xFF, 0xFD, 0x90, 0x00], None),
            ([0xFF, 0x0B, 0x90, 0x00], None),
        ] {
            assert_eq!(Header::of(&head).map(Header::length), length, "{head:02X?}");
        }
    }

    #[test]
    fn strips_tags_and_info_frames() {
        let (first, second) = (frame(1, None), frame(2, None));
        let audio = [first, second].concat();
        let tag = |length: u8, flags: u8| {
            [&[b'I', b'D', b'3', 4, 0, flags, 0, 0, 0, length][..], &vec![9; length.into()]].concat()
        };
        let trailer = [&b"TAG"[..], &[0; 125]].concat();
        for (name, file) in [
            ("bare", audio.clone()),
            ("ID3v2", [tag(20, 0), audio.clone()].concat()),
            ("twice", [tag(20, 0), tag(3, 0), audio.clone()].concat()),
            ("with a footer", [tag(5, 0x10), vec![7; 10], audio.clone()].concat()),
            ("ID3v1", [audio.clone(), trailer.clone()].concat()),
            ("Info", [frame(0, Some(b"Info")), audio.clone()].concat()),
            ("all", [tag(1, 0), frame(0, Some(b"Xing")), audio.clone(), trailer].concat()),
        ] {
            assert_eq!(frames(&file), Some(audio.as_slice()), "{name}");
        }
    }

    #[test]
    fn rejects_other_files() {
        let endless = [b'I', b'D', b'3', 4, 0, 0, 0x7F, 0x7F, 0x7F, 0x7F, 1, 2];
        for file in [&b""[..], b"ID3", b"RIFF\0\0\0\0WAVE", b"OggS", &endless, &[0xFF], &[0; 500]] {
            assert_eq!(frames(file), None, "{file:?}");
        }
        assert_eq!(frames(&frame(0, Some(b"Info"))), Some(&[][..]), "an info frame alone");
        assert_eq!(frames(&frame(0, Some(b"Info"))[..50]), None, "half an info frame");
    }
}
