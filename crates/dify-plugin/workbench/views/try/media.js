// What a file is by its first bytes: containers and codecs of audio, types of images. Playing and showing are elsewhere.

/** @typedef {{container: string, codec: string, mimeType: string, playsInDify: boolean}} Audio */

const ascii = (bytes, from, to) => String.fromCharCode(...bytes.subarray(from, Math.min(to, bytes.length)));

const WAVE_CODECS = { 1: "PCM", 3: "PCM (float)", 6: "A-law", 7: "µ-law", 85: "MP3", 65534: "PCM (extensible)" };

function wave(bytes) {
  for (let at = 12; at + 10 <= bytes.length && at < 4096;) {
    const size = bytes[at + 4] | (bytes[at + 5] << 8) | (bytes[at + 6] << 16) | (bytes[at + 7] << 24);
    if (ascii(bytes, at, at + 4) === "fmt ") {
      const code = bytes[at + 8] | (bytes[at + 9] << 8);
      return WAVE_CODECS[code] ?? `format ${code}`;
    }
    if (size < 0) break;
    at += 8 + size + (size % 2);
  }
  return "unknown codec";
}

/**
 * Container and codec of audio. Dify's browser client plays MP3 only, whatever the model's `audio_type` declares.
 * @param {Uint8Array} bytes
 * @returns {Audio}
 */
export function audioOf(bytes) {
  const found = (container, codec, mimeType) => ({ container, codec, mimeType, playsInDify: container === "MP3" });
  const head = ascii(bytes, 0, 4);
  if (head === "RIFF" && ascii(bytes, 8, 12) === "WAVE") return found("WAV", wave(bytes), "audio/wav");
  if (head === "OggS") {
    const start = ascii(bytes, 0, 128);
    const codec = start.includes("OpusHead") ? "Opus" : start.includes("\x01vorbis") ? "Vorbis" : start.includes("FLAC") ? "FLAC" : "unknown codec";
    return found("Ogg", codec, "audio/ogg");
  }
  if (head === "fLaC") return found("FLAC", "FLAC", "audio/flac");
  if (ascii(bytes, 4, 8) === "ftyp") return found("MP4", "AAC, as a rule", "audio/mp4");
  if (bytes[0] === 0x1a && bytes[1] === 0x45 && bytes[2] === 0xdf && bytes[3] === 0xa3) {
    const start = ascii(bytes, 0, 4096);
    return found("WebM", start.includes("A_OPUS") ? "Opus" : start.includes("A_VORBIS") ? "Vorbis" : "unknown codec", "audio/webm");
  }
  if (head.startsWith("ID3")) return found("MP3", "MP3", "audio/mpeg");
  if (bytes[0] === 0xff && (bytes[1] & 0xf6) === 0xf0) return found("ADTS", "AAC", "audio/aac");
  if (bytes[0] === 0xff && (bytes[1] & 0xe6) === 0xe2) return found("MP3", "MP3", "audio/mpeg");
  return found("unknown container", "raw samples, perhaps", "application/octet-stream");
}

/** The media type of an image that a browser draws without running anything; `null` for all else, SVG included. @param {Uint8Array} bytes */
export function imageOf(bytes) {
  if (bytes[0] === 0x89 && ascii(bytes, 1, 4) === "PNG") return "image/png";
  if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return "image/jpeg";
  if (ascii(bytes, 0, 4) === "GIF8") return "image/gif";
  if (ascii(bytes, 0, 4) === "RIFF" && ascii(bytes, 8, 12) === "WEBP") return "image/webp";
  if (ascii(bytes, 4, 12) === "ftypavif") return "image/avif";
  if (ascii(bytes, 0, 2) === "BM") return "image/bmp";
  return null;
}

/** The type of a part of a message, by the media type of its file. @param {string} mimeType */
export function partType(mimeType) {
  const [type] = mimeType.split("/");
  return type === "image" || type === "audio" || type === "video" ? type : "document";
}

const BY_EXTENSION = {
  png: "image/png", jpg: "image/jpeg", jpeg: "image/jpeg", gif: "image/gif", webp: "image/webp", bmp: "image/bmp", heic: "image/heic",
  mp3: "audio/mpeg", wav: "audio/wav", m4a: "audio/mp4", ogg: "audio/ogg", flac: "audio/flac", mp4: "video/mp4", mov: "video/quicktime",
  webm: "video/webm", pdf: "application/pdf", txt: "text/plain", md: "text/markdown", csv: "text/csv", json: "application/json",
};

/** The media type of a chosen file: the browser's, else by its name. @param {{name: string, type: string}} file */
export function mimeTypeOf(file) {
  const extension = file.name.split(".").pop()?.toLowerCase() ?? "";
  return file.type || BY_EXTENSION[extension] || "application/octet-stream";
}
