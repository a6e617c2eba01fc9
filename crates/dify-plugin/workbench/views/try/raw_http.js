// HTTP messages as text: requests to endpoints and triggers as the daemon passes them on, and the responses of triggers.
import { concatenated, fromUtf8, toHex, utf8 } from "./bytes.js";

/**
 * An HTTP/1.1 request in hexadecimal.
 * @param {{method: string, path: string, headers: string, body: string|Uint8Array}} request  headers: one `Name: value` a line
 * @returns {{hex: string, error: string|null}}
 */
export function rawRequest({ method, path, headers, body }) {
  const refuse = (error) => ({ hex: "", error });
  if (!/^[A-Za-z]+$/.test(method)) return refuse("The method is a word such as POST.");
  if (!path.startsWith("/") || /\s/.test(path)) return refuse("The path begins with / and has no spaces.");
  const bytes = typeof body === "string" ? utf8(body) : body;
  let head = `${method.toUpperCase()} ${path} HTTP/1.1\r\n`;
  let hasHost = false;
  for (const line of headers.split(/\r?\n/)) {
    if (!line.trim()) continue;
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(colon, 0)).trim();
    if (!name || /\s/.test(name)) return refuse(`Not a header: “${line}”. Write Name: value.`);
    hasHost ||= name.toLowerCase() === "host";
    // The length is that of the body.
    if (name.toLowerCase() !== "content-length") head += `${name}: ${line.slice(colon + 1).trim()}\r\n`;
  }
  if (!hasHost) head += "Host: localhost\r\n";
  head += `Content-Length: ${bytes.length}\r\n\r\n`;
  return { hex: toHex(concatenated([utf8(head), bytes])), error: null };
}

/**
 * Status, headers and body of a response in one piece.
 * @param {Uint8Array} bytes
 * @returns {{status: string, headers: [string, string][], body: Uint8Array}}
 */
export function parseResponse(bytes) {
  let end = bytes.length;
  for (let at = 0; at + 3 < bytes.length; at += 1) {
    if (bytes[at] === 13 && bytes[at + 1] === 10 && bytes[at + 2] === 13 && bytes[at + 3] === 10) {
      end = at;
      break;
    }
  }
  const [first = "", ...lines] = fromUtf8(bytes.subarray(0, end)).split("\r\n");
  const headers = lines.map((line) => {
    const colon = line.indexOf(":");
    return colon < 0 ? [line, ""] : [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
  });
  return { status: first.replace(/^HTTP\/\S+ /, ""), headers, body: bytes.subarray(Math.min(end + 4, bytes.length)) };
}
