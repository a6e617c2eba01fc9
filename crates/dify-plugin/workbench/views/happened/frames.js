// The list of frames with its filter, and one frame in full.
import { html, useMemo, useState } from "../../app/dom.js";
import { bytesText, counted } from "../../app/text.js";
import { Code } from "../../parts/code.js";
import { JsonTree } from "../../parts/json.js";
import { frameValues, parseFilter, passes } from "./filter.js";
import { VirtualList } from "./virtual_list.js";

const ARROWS = { in: "→", out: "←" };
const WORDS = { in: "to the plugin", out: "from the plugin" };
const MAX_PREVIEW_CHARACTERS = 160;

/** @param {{session: any, selection: any, linked: any, onSelect: (selection: any) => void}} props */
export function Frames({ session, selection, linked, onSelect }) {
  const [filter, setFilter] = useState("");
  const shown = useMemo(() => {
    const parsed = parseFilter(filter);
    const indices = [];
    session.frames.forEach((frame, index) => { if (passes(parsed, frame.text, frameValues(frame))) indices.push(index); });
    return indices;
  }, [session.frames, filter]);
  const chosen = shown.indexOf(selection?.frame ?? linked?.frame ?? -1);
  return html`<section class="lane" data-lane="frames" aria-label="Frames of the protocol">
    <header><h3>Frames</h3><span class="quiet">${shown.length === session.frames.length ? counted(shown.length, "frame") : `${shown.length} of ${session.frames.length}`}</span>
      <input class="filter-text" type="search" data-action="filter-frames" aria-label="Filter of frames" placeholder="word  kind:item  dir:out  bytes:>1000" value=${filter}
        onInput=${(event) => setFilter(event.currentTarget.value)} /></header>
    <${VirtualList} label="Frames" count=${shown.length} rowHeight=${28} maxHeight=${336} chosen=${chosen} onChoose=${(index) => onSelect({ frame: shown[index] })}
      attributes=${(index) => attributesOf(session.frames[shown[index]], shown[index], selection, linked)} row=${(index) => html`<${Row} frame=${session.frames[shown[index]]} />`} />
    ${session.dropped?.frames > 0 && html`<p class="quiet">${counted(session.dropped.frames, "frame")} more did not fit into memory.</p>`}
  </section>`;
}

/** What a frame is about, in a line: the text of a chunk, the type of a message, else its JSON. @param {any} frame */
export function previewOf({ text, truncated, kind }) {
  const plain = text.slice(0, MAX_PREVIEW_CHARACTERS);
  if (truncated || kind !== "item" || text.length > 20_000) return plain;
  try {
    const item = JSON.parse(text);
    const delta = (item.data?.data ?? item.data ?? item).delta;
    const content = delta?.message?.content;
    if (typeof content === "string" && content) return JSON.stringify(content).slice(0, MAX_PREVIEW_CHARACTERS);
    if (Array.isArray(content) && content.length) return content.map((part) => part.type).join(", ");
    if (delta?.message?.tool_calls?.length) return delta.message.tool_calls.map((call) => `${call.function?.name || "…"}(${call.function?.arguments ?? ""})`).join(", ");
    if (delta?.usage) return `${delta.finish_reason ?? "end"}: ${delta.usage.total_tokens} tokens`;
    return plain;
  } catch {
    return plain;
  }
}

const attributesOf = (frame, index, selection, linked) => ({
  "data-frame": index, "data-frame-kind": frame.kind, "data-direction": frame.direction,
  "data-linked": linked?.frame === index && selection?.frame !== index ? "true" : undefined,
});

function Row({ frame }) {
  return html`<span class="numeric at">${Math.round(frame.at)}</span>
    <span class="arrow" aria-label=${WORDS[frame.direction]} role="img">${ARROWS[frame.direction]}</span>
    <span class="badge" data-kind=${frame.kind === "error" ? "error" : frame.kind === "callback" || frame.kind === "answer" ? "warning" : undefined}>${frame.kind}</span>
    <span class="preview">${previewOf(frame)}</span>
    <span class="numeric quiet">${bytesText(frame.bytes)}</span>`;
}

/** @param {{frame: any, index: number}} props */
export function FrameDetail({ frame, index }) {
  const value = useMemo(() => {
    if (frame.truncated) return undefined;
    try { return JSON.parse(frame.text); } catch { return undefined; }
  }, [frame]);
  return html`<section class="detail" data-part="frame-detail" data-frame-detail=${index} aria-label="Frame">
    <h3>${frame.kind} <span class="quiet">${WORDS[frame.direction]}, after ${Math.round(frame.at)} ms, ${bytesText(frame.bytes)}</span>
      ${frame.redacted && html` <span class="badge" data-kind="warning" data-part="redacted">secrets hidden</span>`}
      ${frame.truncated && html` <span class="badge" data-kind="warning">cut: only the beginning is kept</span>`}</h3>
    ${value === undefined ? html`<${Code} text=${frame.text} label="Text" wrap=${true} />` : html`<${JsonTree} value=${value} label="Frame" open=${3} />`}
  </section>`;
}
