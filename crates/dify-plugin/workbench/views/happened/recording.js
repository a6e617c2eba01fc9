// What is posted to open a recording: one document, the files of a recording directory, or a line of a daemon's log.

/** Beyond this a file is no recording, and reading it would fill the memory. */
export const MAX_RECORDING_BYTES = 64_000_000;

/**
 * @param {{name: string, text: string}[]} files
 * @returns {{body: any, error: string|null}}
 */
export function recordingOf(files) {
  if (files.length === 0) return { body: null, error: "No file was chosen." };
  if (files.length === 1) {
    const [{ text }] = files;
    const parsed = parse(text);
    if (parsed && Array.isArray(parsed.frames)) return { body: parsed, error: null };
    const lines = text.split("\n").filter((line) => line.trim());
    // A file of one line that is no document is a line of a log.
    if (lines.length === 1) return { body: { line: lines[0] }, error: null };
  }
  return { body: { files: Object.fromEntries(files.map(({ name, text }) => [name, text])) }, error: null };
}

/** @param {string} line */
export const lineOf = (line) => ({ line: line.trim() });

function parse(text) {
  try {
    const value = JSON.parse(text);
    return value !== null && typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}

/** A name for the file of a recording: no character that a file system minds. @param {any} session */
export function recordingName(session) {
  const when = String(session.started ?? "").replace(/[^0-9TZ]/g, "");
  const what = [session.action, session.model].filter(Boolean).join("-").replace(/[^\w.-]+/g, "_");
  return `${what || "session"}-${when || session.id}.json`;
}
