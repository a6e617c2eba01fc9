// The messages of tools, agent strategies and datasources as a workflow would use them: text, files, JSON, outputs, and the log of an
// agent's rounds.
import { html } from "../../app/dom.js";
import { JsonTree } from "../../parts/json.js";
import { Link } from "../../parts/markdown.js";
import { Long } from "./answer.js";
import { Bytes } from "./media_drawn.js";

/** @param {{messages: import("./tool_messages.js").Messages, running: boolean}} props */
export function ToolMessages({ messages, running }) {
  return html`
    ${messages.logs.length > 0 && html`<section class="logs" aria-label="Log"><h3>Log</h3><${Logs} logs=${messages.logs} /></section>`}
    ${messages.entries.map((entry, index) => html`<${Entry} key=${index} entry=${entry} running=${running && index === messages.entries.length - 1} />`)}
    ${messages.variables.size > 0 && html`<section aria-label="Outputs" data-part="outputs"><h3>Outputs</h3>
      <${JsonTree} value=${Object.fromEntries(messages.variables)} label="Outputs" /></section>`}`;
}

function Entry({ entry, running }) {
  switch (entry.kind) {
    case "text": return html`<${Long} text=${entry.text} running=${running} />`;
    case "link": return html`<p data-message=${entry.type}><span class="badge">${entry.type}</span> <${Link} href=${entry.address}>${entry.address}<//></p>`;
    case "file": {
      const mimeType = entry.meta?.mime_type ?? "application/octet-stream";
      if (!entry.bytes) return html`<p class="quiet">${running ? "A file is arriving…" : "A file that did not arrive whole."}</p>`;
      return html`<div data-message="blob"><${Bytes} bytes=${entry.bytes} name=${entry.meta?.filename ?? entry.meta?.file_name ?? "file"} mimeType=${mimeType} />
        ${!entry.meta?.mime_type && html`<p class="field-error">The file has no \`mime_type\` in its \`meta\`: Dify cannot tell what it is.</p>`}</div>`;
    }
    default: return html`<div data-message="json">${entry.title && html`<h3>${entry.title}</h3>`}
      ${entry.suppressed && html`<p class="quiet">Not shown in a chat.</p>`}<${JsonTree} value=${entry.value} label=${entry.title ?? "JSON"} /></div>`;
  }
}

const MARKS = { start: "…", success: "✓", error: "✗" };

function Logs({ logs }) {
  return html`<ol>${logs.map((log) => html`<li key=${log.id} data-log=${log.label} data-state=${log.status}>
    <details><summary><span aria-hidden="true">${MARKS[log.status] ?? "·"}</span> ${log.label}<span class="unseen"> (${log.status})</span>
      ${typeof log.metadata?.elapsed_time === "number" && html`<span class="quiet"> ${log.metadata.elapsed_time.toFixed(2)} s</span>`}
      ${log.error && html` <span class="field-error">${log.error}</span>`}</summary>
      <${JsonTree} value=${{ data: log.data, metadata: log.metadata }} label=${log.label} open=${1} /></details>
    ${log.children.length > 0 && html`<${Logs} logs=${log.children} />`}
  </li>`)}</ol>`;
}
