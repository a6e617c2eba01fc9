// The chunks of a language model joined to one answer, by the rules of the Dify API: texts in order, fragments of tool calls by
// their id, the last usage. Times of chunks are kept for the charts. Nothing here draws.

import { append, newText, whole } from "./long_text.js";

/**
 * @typedef {object} Answer
 * @property {({type: "text", text: import("./long_text.js").LongText}|any)[]} parts  text and media, in order
 * @property {string} tail                 the end of the text, for marks in pieces
 * @property {any[]} toolCalls
 * @property {any} usage
 * @property {string|null} finishReason
 * @property {any} opaque
 * @property {number} chunks               how many arrived
 * @property {number|null} firstToken      when the first content arrived, in ms since the start
 * @property {number|null} lastAt
 * @property {{from: number|null, to: number|null}} thinking  when the first block of thinking began and ended
 * @property {string[]} problems           what the daemon or the API would refuse
 */

/** @returns {Answer} */
export const newAnswer = () => ({
  parts: [], tail: "", toolCalls: [], usage: null, finishReason: null, opaque: null, chunks: 0, firstToken: null, lastAt: null,
  thinking: { from: null, to: null }, problems: [],
});

/**
 * Takes a chunk into the answer, which is changed in place.
 * @param {Answer} answer
 * @param {any} item   of the stream
 * @param {number} at  in ms since the start
 */
export function takeChunk(answer, item, at) {
  const delta = item?.delta;
  const message = delta?.message;
  answer.chunks += 1;
  answer.lastAt = at;
  const isContent = takeContent(answer, message?.content) || (message?.tool_calls?.length ?? 0) > 0;
  for (const call of Array.isArray(message?.tool_calls) ? message.tool_calls : []) takeCall(answer, call);
  if (message?.opaque_body !== undefined && message.opaque_body !== null) answer.opaque = message.opaque_body;
  if (delta?.usage) answer.usage = delta.usage;
  if (delta?.finish_reason) answer.finishReason = String(delta.finish_reason);
  if (answer.firstToken === null && isContent) answer.firstToken = at;
  return answer;
}

/** Whether there was any. @returns {boolean} */
function takeContent(answer, content) {
  if (typeof content === "string") return takeText(answer, content);
  if (!Array.isArray(content)) return false;
  let found = false;
  for (const part of content) {
    if (part?.type === "text") {
      found = takeText(answer, String(part.data ?? "")) || found;
    } else if (part?.type) {
      found = true;
      answer.parts.push(part);
      if (part.type === "image" && part.detail !== "low" && part.detail !== "high") {
        problem(answer, "An image part without `detail` (`low` or `high`) is refused by the Dify API.");
      }
    }
  }
  return found;
}

function takeText(answer, text) {
  if (!text) return false;
  let last = answer.parts.at(-1);
  if (last?.type !== "text") {
    last = { type: "text", text: newText() };
    answer.parts.push(last);
  }
  append(last.text, text);
  takeThinking(answer, text);
  return true;
}

/** The times of the first block of thinking, by marks that may come in pieces. */
function takeThinking(answer, text) {
  const { thinking, lastAt } = answer;
  if (thinking.to !== null) return;
  const end = answer.tail + text;
  if (thinking.from === null && end.includes("<think>")) thinking.from = lastAt;
  if (thinking.from !== null && end.includes("</think>")) thinking.to = lastAt;
  answer.tail = end.slice(-8);
}

/** A new id starts a call; the same or no id continues one; no id with a name starts a call that gets an id here. */
function takeCall(answer, call) {
  const id = call?.id || "";
  const name = call?.function?.name || "";
  const fragment = call?.function?.arguments ?? "";
  const text = typeof fragment === "string" ? fragment : JSON.stringify(fragment);
  const known = id ? answer.toolCalls.find((one) => one.id === id) : name ? undefined : answer.toolCalls.at(-1);
  if (known) {
    known.function.name ||= name;
    known.function.arguments += text;
    return;
  }
  if (!id && !name) return problem(answer, "A fragment of a tool call without an id comes before any call: the Dify API refuses it.");
  answer.toolCalls.push({ id: id || `call_${answer.toolCalls.length}`, type: "function", function: { name, arguments: text } });
  return undefined;
}

function problem(answer, text) {
  if (!answer.problems.includes(text)) answer.problems.push(text);
}

/** All text of the answer. @param {Answer} answer */
export const textOf = (answer) => answer.parts.map((part) => (part.type === "text" ? whole(part.text) : "")).join("");

/** The parts as a message has them. @param {Answer} answer */
export const contentOf = (answer) => answer.parts.map((part) => (part.type === "text" ? { type: "text", data: whole(part.text) } : part));

/** Whether the answer holds anything but text. @param {Answer} answer */
export const holdsMedia = (answer) => answer.parts.some((part) => part.type !== "text");

/**
 * Tokens per second, as Dify shows them: completion tokens by the latency of the usage, else by the time of the stream.
 * @param {Answer} answer
 */
export function tokensPerSecond(answer) {
  const tokens = answer.usage?.completion_tokens;
  const seconds = answer.usage?.latency || (answer.lastAt ?? 0) / 1000;
  return tokens && seconds ? tokens / seconds : null;
}
