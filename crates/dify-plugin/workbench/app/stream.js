// Server-sent events read by `fetch`: framing, and a stream that connects again when it is lost. Meaning is for the callers.
import { request } from "./api.js";

/**
 * The events of a response, one by one, as they arrive.
 * @param {Response} response
 * @returns {AsyncGenerator<{event: string, data: string}>}
 */
export async function* eventsOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let pieces = [];
  let afterReturn = false;
  let event = "";
  let data = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      let start = 0;
      // Only what is new is searched, so that a long event costs its length and no more.
      for (const match of value.matchAll(/\r\n|\n|\r/g)) {
        const rest = value.slice(start, match.index);
        start = match.index + match[0].length;
        if (afterReturn && match.index === 0 && match[0] === "\n") { afterReturn = false; continue; }
        const line = pieces.length ? pieces.join("") + rest : rest;
        pieces = [];
        if (line === "") {
          if (data.length > 0) yield { event: event || "message", data: data.join("\n") };
          event = "";
          data = [];
        } else if (!line.startsWith(":")) {
          const colon = line.indexOf(":");
          const name = colon < 0 ? line : line.slice(0, colon);
          const content = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
          if (name === "event") event = content;
          else if (name === "data") data.push(content);
        }
      }
      if (value) afterReturn = value.endsWith("\r");
      if (start < value.length) pieces.push(value.slice(start));
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/**
 * Posts a body and hands on each event of the answer, its data decoded; returns when the stream ends.
 * @param {string} path
 * @param {any} body
 * @param {(event: string, data: any) => void} onEvent
 * @param {AbortSignal} [signal]  aborting it cancels the call
 */
export async function postStream(path, body, onEvent, signal) {
  const response = await request(path, { method: "POST", body, signal, accept: "text/event-stream" });
  for await (const { event, data } of eventsOf(response)) onEvent(event, JSON.parse(data));
}

/**
 * Follows a stream for as long as the page is open, and connects again after a loss, later each time up to five seconds.
 * @param {string} path
 * @param {(event: string, data: any) => void} onEvent
 * @param {(state: "open"|"lost"|"refused", error?: any) => void} onState
 */
export async function follow(path, onEvent, onState) {
  for (let pause = 250; ; pause = Math.min(pause * 2, 5000)) {
    try {
      const response = await request(path, { accept: "text/event-stream" });
      onState("open");
      pause = 250;
      for await (const { event, data } of eventsOf(response)) onEvent(event, JSON.parse(data));
      onState("lost");
    } catch (error) {
      if (error?.status === 401 || error?.status === 403) return onState("refused", error);
      onState("lost", error);
    }
    await new Promise((go) => setTimeout(go, pause));
  }
}
