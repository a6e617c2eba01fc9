//! Writes PCM samples as a WAV file, and reads them back.

/// Returns a WAV file of 16-bit mono samples at `rate` samples per second.
pub fn wav(samples: &[u8], rate: u32) -> Vec<u8> {
    let length = u32::try_from(samples.len()).unwrap_or(u32::MAX - 36);
    let mut file = Vec::with_capacity(44 + samples.len());
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(36 + length).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16u32.to_le_bytes());
    file.extend_from_slice(&[1, 0, 1, 0]); // PCM, one channel
    file.extend_from_slice(&rate.to_le_bytes());
    file.extend_from_slice(&(rate * 2).to_le_bytes());
    file.extend_from_slice(&[2, 0, 16, 0]); // bytes and bits per sample
    file.extend_from_slice(b"data");
    file.extend_from_slice(&length.to_le_bytes());
    file.extend_from_slice(samples);
    file
}

/// Returns the samples of a WAV file and their sample rate, or `None` if it is not 16-bit mono PCM.
pub fn samples(file: &[u8]) -> Option<(&[u8], u32)> {
    const HEAD: usize = 8;
    let number = |bytes: &[u8]| bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    if !file.starts_with(b"RIFF") || file.get(8..12)? != b"WAVE" {
        return None;
    }
    let (mut rest, mut rate) = (&file[12..], None);
    while let Some((head, body)) = rest.split_at_checked(HEAD) {
        // A file that was written as a stream has no length, or one beyond its end.
        let length = (number(&head[4..])? as usize).min(body.len());
        match &head[..4] {
            b"fmt " => {
                let plain = body.get(..4)? == [1, 0, 1, 0] && body.get(14..16)? == [16, 0];
                rate = plain.then(|| number(&body[4..])).flatten();
            }
            b"data" => return Some((&body[..length], rate?)),
            _ => {}
        }
        // Chunks begin at even offsets.
        rest = body.get(length + length % 2..)?;
    }
    None
}

/// Returns one second of silence, the shortest audio file that every transcription service accepts.
pub fn silence() -> Vec<u8> {
    const RATE: u32 = 16_000;
    wav(&[0; 2 * RATE as usize], RATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_a_valid_header() {
        let file = wav(&[1, 2, 3, 4], 24_000);
        let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        assert_eq!((&file[..4], &file[8..16], &file[36..40]), (&b"RIFF"[..], &b"WAVEfmt "[..], &b"data"[..]));
        assert_eq!((number(4), number(24), number(28), number(40)), (40, 24_000, 48_000, 4));
        assert_eq!((file.len(), silence().len()), (48, 32_044));
    }

    #[test]
    fn samples_round_trip() {
        let file = wav(&[1, 2, 3, 4], 16_000);
        assert_eq!(samples(&file), Some((&[1, 2, 3, 4][..], 16_000)));
        let mut extended = file.clone();
        extended.splice(36..36, *b"LIST\x03\0\0\0abc\0");
        assert_eq!(samples(&extended), Some((&[1, 2, 3, 4][..], 16_000)), "other chunks are skipped");
        let mut endless = file.clone();
        endless[40..44].copy_from_slice(&[0xFF; 4]);
        assert_eq!(samples(&endless), Some((&[1, 2, 3, 4][..], 16_000)));
        let mut stereo = file.clone();
        stereo[22] = 2;
        for wrong in [&stereo[..], &file[..40], &file[..30], b"RIFF", b"", b"ID3\x04"] {
            assert_eq!(samples(wrong), None, "{wrong:?}");
        }
    }
}
