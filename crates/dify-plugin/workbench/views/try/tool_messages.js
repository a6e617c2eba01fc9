// The messages of tools, agent strategies and datasources, joined: texts in order, chunks of files by their id, outputs by name,
// and the log as a tree. What the types mean is Dify's; drawing is in messages_drawn.js.
import { concatenated, fromBase64 } from "./bytes.js";
import { append, newText } from "./long_text.js";

/**
 * @typedef {object} Messages
 * @property {any[]} entries  what is shown in order: `{kind, …}`
 * @property {Map<string, any>} variables
 * @property {any[]} logs     roots, each with `children`
 */

/** @returns {Messages & {open: Map<string, any>, byId: Map<string, any>}} */
export const newMessages = () => ({ entries: [], variables: new Map(), logs: [], open: new Map(), byId: new Map() });

/** Takes a message; the collection is changed in place. @param {any} item */
export function takeMessage(all, item) {
  const { type, message, meta } = item ?? {};
  switch (type) {
    case "text": {
      const last = all.entries.at(-1);
      const entry = last?.kind === "text" ? last : { kind: "text", text: newText() };
      if (entry !== last) all.entries.push(entry);
      append(entry.text, String(message?.text ?? ""));
      break;
    }
    case "link": case "image": case "image_link": case "binary_link":
      all.entries.push({ kind: "link", type, address: message?.text ?? "", meta });
      break;
    case "json": all.entries.push({ kind: "json", value: message?.json_object, suppressed: message?.suppress_output === true }); break;
    case "blob": all.entries.push({ kind: "file", bytes: fromBase64(message?.blob), meta }); break;
    case "blob_chunk": takeChunk(all, message ?? {}, meta); break;
    case "variable": takeVariable(all, message ?? {}); break;
    case "log": takeLog(all, message ?? {}, meta); break;
    case "retriever_resources": all.entries.push({ kind: "json", title: "Retrieved", value: message }); break;
    default: all.entries.push({ kind: "json", title: String(type ?? "message without a type"), value: item });
  }
  return all;
}

function takeChunk(all, { id, blob, end }, meta) {
  const known = all.open.get(id) ?? { kind: "file", parts: [], meta, bytes: null };
  if (!all.open.has(id)) {
    all.open.set(id, known);
    all.entries.push(known);
  }
  const bytes = fromBase64(blob);
  if (bytes) known.parts.push(bytes);
  if (end) {
    known.bytes = concatenated(known.parts);
    known.parts = [];
    all.open.delete(id);
  }
}

function takeVariable(all, { variable_name: name, variable_value: value, stream }) {
  const before = all.variables.get(name);
  all.variables.set(name, stream && typeof value === "string" && typeof before === "string" ? before + value : value);
}

function takeLog(all, log, meta) {
  const known = all.byId.get(log.id);
  if (known) {
    Object.assign(known, log, { meta });
    return;
  }
  const entry = { ...log, meta, children: [] };
  all.byId.set(log.id, entry);
  const parent = log.parent_id ? all.byId.get(log.parent_id) : null;
  (parent ? parent.children : all.logs).push(entry);
}
