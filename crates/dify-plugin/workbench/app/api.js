// Requests to the server of the workbench: the token as a header, errors as one class. Streams are read in stream.js.
import { token } from "./token.js";

/** An answer that is not a success, or none at all (`status` 0). */
export class ApiError extends Error {
  /** @param {number} status @param {string} message @param {string|null} hint */
  constructor(status, message, hint = null) {
    super(message);
    this.status = status;
    this.hint = hint;
  }
}

/**
 * Sends a request and returns the response when it is a success.
 * @param {string} path  such as `/api/plugin`
 * @param {{method?: string, body?: any, signal?: AbortSignal, accept?: string}} [options]
 * @returns {Promise<Response>}
 */
export async function request(path, { method = "GET", body, signal, accept = "application/json" } = {}) {
  const headers = { Accept: accept, Authorization: `Bearer ${token() ?? ""}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method, headers, signal, cache: "no-store", credentials: "omit", redirect: "error",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error?.name === "AbortError") throw error;
    throw new ApiError(0, "The workbench does not answer.", "Is its process still running in the terminal?");
  }
  if (response.ok) return response;
  const text = await response.text().catch(() => "");
  let answer = null;
  try { answer = JSON.parse(text).error; } catch { /* not JSON: the status has to do */ }
  throw new ApiError(response.status, answer?.message ?? `The workbench answered with status ${response.status}.`, answer?.hint ?? null);
}

/** The JSON of an answer; `null` when it has no body. @param {string} path @param {object} [options] @returns {Promise<any>} */
export async function getJson(path, options) {
  const response = await request(path, options);
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

/** @param {string} path @param {any} body @param {object} [options] */
export const postJson = (path, body, options = {}) => getJson(path, { ...options, method: "POST", body });

/** @param {string} path @param {any} body */
export const putJson = (path, body) => getJson(path, { method: "PUT", body });

/** @param {string} path */
export const deleteAt = (path) => getJson(path, { method: "DELETE" });

/** A path of several parts, each escaped but for its slashes. @param {string} prefix @param {string} rest */
export const pathOf = (prefix, rest) => prefix + rest.split("/").map(encodeURIComponent).join("/");

/** @type {Map<string, Promise<string>>} addresses of files already fetched, by path and revision */
const files = new Map();

/**
 * The `blob:` address of a file of the plugin. An `<img>` cannot send the token, so the file is fetched first.
 * @param {string} path  such as `_assets/icon.svg`
 * @param {number} revision  of the plugin: another one fetches again
 * @returns {Promise<string>}
 */
export function fileAddress(path, revision) {
  const key = `${revision} ${path}`;
  for (const known of files.keys()) {
    if (known.endsWith(` ${path}`) && known !== key) {
      files.get(known)?.then((address) => setTimeout(() => URL.revokeObjectURL(address), 10_000), () => {});
      files.delete(known);
    }
  }
  if (!files.has(key)) {
    const found = request(pathOf("/api/files/", path), { accept: "*/*" })
      .then(async (response) => URL.createObjectURL(await response.blob()));
    found.catch(() => files.delete(key));
    files.set(key, found);
  }
  return files.get(key);
}
