// An HTTP request as it is typed: method, path, headers, body. It is never sent by the page; the plugin receives it from the server.
import { html, useId, useState } from "../../app/dom.js";
import { Code } from "../../parts/code.js";
import { JsonTree } from "../../parts/json.js";
import { fromUtf8 } from "./bytes.js";
import { imageOf } from "./media.js";
import { Download } from "./media_drawn.js";
import { rawRequest } from "./raw_http.js";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

/** The typed request and its bytes. @param {{method?: string, path?: string, headers?: string, body?: string}} first */
export function useHttpRequest(first = {}) {
  const [typed, setTyped] = useState({ method: "GET", path: "/", headers: "", body: "", ...first });
  return { typed, set: (change) => setTyped((before) => ({ ...before, ...change })), ...rawRequest(typed) };
}

/** @param {{request: ReturnType<typeof useHttpRequest>, routes?: {method: string, path: string}[]}} props */
export function HttpForm({ request, routes = [] }) {
  const id = useId();
  const { typed, set, error } = request;
  return html`<div class="http-form" data-form="request">
    <div class="request-line">
      <label><span class="unseen">Method</span><select data-part="method" value=${typed.method} onChange=${(event) => set({ method: event.currentTarget.value })}>
        ${METHODS.map((method) => html`<option key=${method} value=${method} selected=${method === typed.method}>${method}</option>`)}</select></label>
      <label class="grow"><span class="unseen">Path</span><input class="mono" data-part="path" value=${typed.path} spellcheck=${false} onInput=${(event) => set({ path: event.currentTarget.value })} /></label>
    </div>
    ${routes.length > 0 && html`<div class="routes" role="group" aria-label="Declared paths">${routes.map((route) => html`<button key=${`${route.method} ${route.path}`} type="button" class="small"
      data-action="route" data-value=${`${route.method} ${route.path}`} onClick=${() => set({ method: route.method, path: route.path })}>${route.method} ${route.path}</button>`)}</div>`}
    <div class="field"><label for=${`${id}-headers`}>Headers, one a line</label>
      <textarea id=${`${id}-headers`} class="mono" rows="2" data-part="headers" spellcheck=${false} placeholder="Content-Type: application/json" value=${typed.headers}
        onInput=${(event) => set({ headers: event.currentTarget.value })}></textarea></div>
    <div class="field"><label for=${`${id}-body`}>Body</label>
      <textarea id=${`${id}-body`} class="mono" rows="3" data-part="prompt" spellcheck=${false} value=${typed.body} onInput=${(event) => set({ body: event.currentTarget.value })}></textarea></div>
    ${error && html`<p class="field-error" role="alert">${error}</p>`}
  </div>`;
}

const isText = (type, bytes) => /^(text\/|application\/(json|xml|javascript|.*\+json|.*\+xml))/.test(type) || !bytes.subarray(0, 1000).some((byte) => byte === 0);

/** A response: its body is text, JSON or a download; nothing in it is run. @param {{status: string|number|null, headers: [string, string][], body: Uint8Array}} props */
export function HttpResponse({ status, headers, body }) {
  const type = headers.find(([name]) => name.toLowerCase() === "content-type")?.[1] ?? "";
  const text = !imageOf(body) && isText(type, body) ? fromUtf8(body) : null;
  let json;
  try { json = text !== null && /json/.test(type) ? JSON.parse(text) : undefined; } catch { json = undefined; }
  return html`<div data-part="response" data-status=${status ?? ""}>
    <p><strong>HTTP ${status ?? "without a status"}</strong></p>
    ${headers.length > 0 && html`<dl class="headers">${headers.map(([name, value], index) => html`<div key=${index}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`}
    ${json !== undefined ? html`<${JsonTree} value=${json} label="Body" />`
      : text === null ? html`<${Download} bytes=${body} name="body" />`
        : text && html`<${Code} text=${text} label="Body" wrap=${true} />`}
  </div>`;
}
