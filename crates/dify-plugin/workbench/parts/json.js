// A JSON value as a tree that folds. Large lists and texts are cut until more is asked for; keys and values are text.
import { html, useState } from "../app/dom.js";
import { Copy } from "./code.js";

const MAX_SHOWN_CHILDREN = 100;
const MAX_SHOWN_CHARACTERS = 2000;

function Scalar({ value }) {
  const [all, showAll] = useState(false);
  if (typeof value !== "string") return html`<span class="json-${value === null ? "null" : typeof value}">${String(value)}</span>`;
  const cut = !all && value.length > MAX_SHOWN_CHARACTERS;
  return html`<span class="json-string">${JSON.stringify(cut ? value.slice(0, MAX_SHOWN_CHARACTERS) : value)}</span>
    ${cut && html` <button type="button" class="plain small" onClick=${() => showAll(true)}>all ${value.length.toLocaleString("en")} characters</button>`}`;
}

function Node({ name, value, depth, open }) {
  const [count, more] = useState(MAX_SHOWN_CHILDREN);
  const [shown, toggle] = useState(depth < open);
  const key = name === null ? null : html`<span class="json-key">${name}</span>: `;
  if (value === null || typeof value !== "object") return html`<div class="json-line">${key}<${Scalar} value=${value} /></div>`;
  const entries = Array.isArray(value) ? value.map((item, index) => [index, item]) : Object.entries(value);
  const [left, right] = Array.isArray(value) ? "[]" : "{}";
  if (entries.length === 0) return html`<div class="json-line">${key}${left}${right}</div>`;
  return html`<details class="json-node" open=${shown} onToggle=${(event) => toggle(event.currentTarget.open)}>
    <summary>${key}${left}<span class="quiet"> ${entries.length} </span>${right}</summary>
    ${shown && entries.slice(0, count).map(([child, item]) => html`<${Node} key=${child} name=${child} value=${item} depth=${depth + 1} open=${open} />`)}
    ${shown && entries.length > count && html`<button type="button" class="plain small" onClick=${() => more(count + 1000)}>
      ${entries.length - count} more</button>`}
  </details>`;
}

/** @param {{value: any, label?: string, open?: number, copy?: boolean}} props  `open`: how many levels are unfolded at first */
export function JsonTree({ value, label = "JSON", open = 2, copy = true }) {
  return html`<div class="json" role="group" aria-label=${label}>
    ${copy && html`<div class="json-copy"><${Copy} text=${JSON.stringify(value, null, 2)} /></div>`}
    <${Node} name=${null} value=${value} depth=${0} open=${open} />
  </div>`;
}
