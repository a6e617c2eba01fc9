// Prompt messages of a conversation, as the daemon sends them: every member present, unused ones "" or null.
import { partType } from "./media.js";

/**
 * A file in a message.
 * @typedef {{name: string, mimeType: string, base64: string, bytes: number}} Attached
 */

/**
 * One turn of a conversation, as the page keeps it.
 * @typedef {object} Turn
 * @property {string} id
 * @property {"user"|"assistant"|"tool"} role
 * @property {string} text
 * @property {Attached[]} [files]          of a user
 * @property {any[]} [toolCalls]           of an assistant, each whole
 * @property {any} [opaque]                private JSON of the provider, returned as it was received
 * @property {any[]|null} [parts]          of an assistant whose answer holds media
 * @property {{id: string, name: string}} [call]  of a tool: the call that it answers
 */

const PART = { base64_data: "", url: "", data: "", encode_format: "", format: "", mime_type: "", detail: "", filename: "" };

/** @param {string} text */
export const textPart = (text) => ({ ...PART, type: "text", data: text });

/** The part of a message that holds a file. @param {Attached} file @param {"low"|"high"} [detail] of an image */
export function filePart(file, detail = "high") {
  const type = partType(file.mimeType);
  const format = file.mimeType.split("/")[1]?.split(/[;+]/)[0] ?? "";
  return {
    ...PART, type, format, mime_type: file.mimeType, base64_data: file.base64, filename: file.name,
    detail: type === "image" ? detail : "",
  };
}

const message = (role, content, more = {}) => ({ role, content, name: "", tool_calls: null, tool_call_id: "", ...more });

/** @param {Turn} turn */
function ofTurn(turn) {
  switch (turn.role) {
    case "user":
      return message("user", turn.files?.length
        ? [...(turn.text ? [textPart(turn.text)] : []), ...turn.files.map((file) => filePart(file))]
        : turn.text);
    case "assistant":
      return message("assistant", turn.parts ?? turn.text, {
        tool_calls: turn.toolCalls?.length ? turn.toolCalls : null,
        ...(turn.opaque === undefined || turn.opaque === null ? {} : { opaque_body: turn.opaque }),
      });
    default:
      return message("tool", turn.text, { name: turn.call?.name ?? "", tool_call_id: turn.call?.id ?? "" });
  }
}

/** @param {Turn[]} turns @param {string} system  the system prompt; empty: none */
export function promptMessages(turns, system) {
  return [...(system.trim() ? [message("system", system)] : []), ...turns.map(ofTurn)];
}

/**
 * Tool definitions from the JSON that was typed: a list of the daemon's form, or of OpenAI's `{"type":"function","function":…}`.
 * @param {string} text
 * @returns {{tools: any[], error: string|null}}
 */
export function toolDefinitions(text) {
  if (!text.trim()) return { tools: [], error: null };
  let parsed;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    return { tools: [], error: `Not JSON: ${error.message}` };
  }
  const list = Array.isArray(parsed) ? parsed : [parsed];
  const tools = [];
  for (const [index, entry] of list.entries()) {
    const tool = entry?.function ?? entry;
    if (typeof tool?.name !== "string" || !tool.name) return { tools: [], error: `Tool ${index + 1} has no name.` };
    const parameters = tool.parameters ?? tool.input_schema ?? { type: "object", properties: {} };
    tools.push({ name: tool.name, description: tool.description ?? "", parameters });
  }
  return { tools, error: null };
}

/**
 * A JSON Schema that was typed. @param {string} text
 * @returns {{schema: object|null, error: string|null}}
 */
export function responseSchema(text) {
  if (!text.trim()) return { schema: null, error: null };
  try {
    const schema = JSON.parse(text);
    if (schema === null || typeof schema !== "object" || Array.isArray(schema)) return { schema: null, error: "A schema is a JSON object." };
    return { schema, error: null };
  } catch (error) {
    return { schema: null, error: `Not JSON: ${error.message}` };
  }
}
