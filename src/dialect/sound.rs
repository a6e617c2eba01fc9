//! Raw samples → a file that any player reads.

/// A WAV file of 16-bit mono samples, `rate` of them a second.
pub fn wav(samples: &[u8], rate: u32) -> Vec<u8> {
    let length = u32::try_from(samples.len()).unwrap_or(u32::MAX - 36);
    let mut file = Vec::with_capacity(44 + samples.len());
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(36 + length).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16u32.to_le_bytes());
    file.extend_from_slice(&[1, 0, 1, 0]); // plain samples, one channel
    file.extend_from_slice(&rate.to_le_bytes());
    file.extend_from_slice(&(rate * 2).to_le_bytes());
    file.extend_from_slice(&[2, 0, 16, 0]); // bytes and bits of a sample
    file.extend_from_slice(b"data");
    file.extend_from_slice(&length.to_le_bytes());
    file.extend_from_slice(samples);
    file
}

/// A second of silence: the smallest recording that every transcription service takes.
pub fn silence() -> Vec<u8> {
    const RATE: u32 = 16_000;
    wav(&[0; 2 * RATE as usize], RATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_says_what_follows() {
        let file = wav(&[1, 2, 3, 4], 24_000);
        let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        assert_eq!((&file[..4], &file[8..16], &file[36..40]), (&b"RIFF"[..], &b"WAVEfmt "[..], &b"data"[..]));
        assert_eq!((number(4), number(24), number(28), number(40)), (40, 24_000, 48_000, 4));
        assert_eq!((file.len(), silence().len()), (48, 32_044));
    }
}
