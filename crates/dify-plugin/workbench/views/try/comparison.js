// The last answers of two columns in numbers, the better one of each marked.
import { html } from "../../app/dom.js";
import { millisecondsText } from "../../app/text.js";
import { Table } from "../../parts/table.js";
import { tokensPerSecond } from "./collect.js";

/** @typedef {{label: string, milliseconds: number, answer: import("./collect.js").Answer}} Done */

/** What is compared; `better` is the sign of the better value. */
export const METRICS = [
  { id: "first", title: "First token", of: ({ answer }) => answer.firstToken, say: millisecondsText, better: -1 },
  { id: "duration", title: "Duration", of: ({ milliseconds }) => milliseconds, say: millisecondsText, better: -1 },
  { id: "speed", title: "Tokens per second", of: ({ answer }) => tokensPerSecond(answer), say: (value) => value.toFixed(1), better: 1 },
  { id: "tokens", title: "Completion tokens", of: ({ answer }) => answer.usage?.completion_tokens ?? null, say: String, better: 0 },
  { id: "price", title: "Price", of: ({ answer }) => (answer.usage ? Number(answer.usage.total_price) : null), say: String, better: -1 },
];

/** The index of the best value, or -1 when there is none or all are alike. @param {(number|null)[]} values @param {number} better */
export function bestOf(values, better) {
  const known = values.filter((value) => value !== null && Number.isFinite(value));
  if (better === 0 || known.length < 2 || new Set(known).size < 2) return -1;
  return values.indexOf(better > 0 ? Math.max(...known) : Math.min(...known));
}

/** @param {{done: Done[]}} props */
export function Comparison({ done }) {
  if (done.length < 2) return null;
  const columns = [{ id: "metric", title: "" }, ...done.map((one, index) => ({ id: String(index), title: one.label, numeric: true }))];
  const rows = METRICS.map(({ id, title, of, say, better }) => {
    const values = done.map(of);
    const best = bestOf(values, better);
    const cells = values.map((value, index) => [String(index), value === null ? "–" : index === best
      ? html`<strong class="good" data-part="best">${say(value)}<span class="unseen"> (better)</span></strong>` : say(value)]);
    return { id, attributes: { "data-metric": id }, cells: { metric: title, ...Object.fromEntries(cells) } };
  });
  return html`<div data-part="comparison"><${Table} caption="The last answers compared" columns=${columns} rows=${rows} /></div>`;
}
