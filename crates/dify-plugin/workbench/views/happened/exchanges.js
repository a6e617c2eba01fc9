// The list of exchanges with the upstream, and one of them in full: phases, headers, bodies, chunks.
import { html, useMemo, useState } from "../../app/dom.js";
import { bytesText, counted, millisecondsText } from "../../app/text.js";
import { Code } from "../../parts/code.js";
import { JsonTree } from "../../parts/json.js";
import { Table } from "../../parts/table.js";
import { parseFilter, passes } from "./filter.js";
import { endOf, phasesOf } from "./timeline.js";
import { VirtualList } from "./virtual_list.js";

const hostOf = (url) => { try { return new URL(url).host; } catch { return ""; } };
const statusOf = (exchange) => exchange.status ?? (exchange.open ? "waiting" : "no answer");
const pathOf = (url) => { try { const { pathname, search } = new URL(url); return pathname + search; } catch { return url; } };

/** @param {{session: any, selection: any, linked: any, onSelect: (selection: any) => void}} props */
export function Exchanges({ session, selection, linked, onSelect }) {
  const [filter, setFilter] = useState("");
  const shown = useMemo(() => {
    const parsed = parseFilter(filter);
    return session.exchanges.filter((one) => passes(parsed, `${one.method} ${one.url} ${one.request?.body ?? ""} ${one.response?.body ?? ""}`,
      { status: one.status, method: one.method, attempt: one.attempt, ms: endOf(one) - one.at }));
  }, [session.exchanges, filter]);
  const current = selection?.exchange ?? linked?.exchange;
  return html`<section class="lane" data-lane="exchanges" aria-label="Exchanges with the upstream">
    <header><h3>Upstream</h3><span class="quiet">${counted(session.exchanges.length, "exchange")}</span>
      <input class="filter-text" type="search" data-action="filter-exchanges" aria-label="Filter of exchanges" placeholder="word  status:429  ms:>500" value=${filter}
        onInput=${(event) => setFilter(event.currentTarget.value)} /></header>
    ${session.exchanges.length === 0 && html`<p class="quiet">The plugin called no server, or its calls are not seen: only this runtime's own client is recorded.</p>`}
    <${VirtualList} label="Exchanges" count=${shown.length} rowHeight=${46} maxHeight=${336} chosen=${shown.findIndex((one) => one.id === current)}
      onChoose=${(index) => onSelect({ exchange: shown[index].id })}
      attributes=${(index) => ({ "data-exchange": shown[index].id, "data-linked": linked?.exchange === shown[index].id ? "true" : undefined, "data-open": shown[index].open ? "true" : undefined })}
      row=${(index) => html`<${Row} exchange=${shown[index]} />`} />
    ${session.dropped?.exchanges > 0 && html`<p class="quiet">${counted(session.dropped.exchanges, "exchange")} more did not fit into memory.</p>`}
  </section>`;
}

function Row({ exchange }) {
  const failed = exchange.error || (exchange.status ?? 0) >= 400;
  return html`<span class="numeric at">${Math.round(exchange.at)}</span>
    <span class="two-lines"><span><span class="badge" data-kind=${failed ? "error" : exchange.status ? "success" : undefined}>${statusOf(exchange)}</span> <strong>${exchange.method}</strong> <span>${hostOf(exchange.url)}</span>
      ${exchange.attempt > 1 && html` <span class="badge">attempt ${exchange.attempt}</span>`}</span>
      <span class="preview quiet">${pathOf(exchange.url)}</span></span>
    <span class="numeric quiet">${millisecondsText(endOf(exchange) - exchange.at)}<br />${bytesText(exchange.response?.bytes)}</span>`;
}

function Body({ label, message, open }) {
  const text = message?.body ?? "";
  const value = useMemo(() => { try { return JSON.parse(text); } catch { return undefined; } }, [text]);
  if (!text && open) return html`<p class="quiet">${label}: shown when the response has ended, since secrets are found in a whole body only.</p>`;
  if (!text) return html`<p class="quiet">${label}: empty, or not kept (${bytesText(message?.bytes)}).</p>`;
  return value !== undefined && typeof value === "object" ? html`<h3>${label} <span class="quiet">${bytesText(message.bytes)}</span></h3><${JsonTree} value=${value} label=${label} open=${2} />`
    : html`<${Code} text=${text} label=${`${label}, ${bytesText(message.bytes)}`} wrap=${true} />`;
}

function Headers({ label, headers }) {
  if (!headers?.length) return null;
  return html`<details><summary>${label} <span class="quiet">${headers.length}</span></summary>
    <dl class="headers">${headers.map(([name, value], index) => html`<div key=${index}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl></details>`;
}

/** @param {{exchange: any, chunk: number|undefined, onSelect: (selection: any) => void}} props */
export function ExchangeDetail({ exchange, chunk, onSelect }) {
  const chunks = exchange.response?.chunks ?? [];
  return html`<section class="detail" data-part="exchange-detail" data-exchange-detail=${exchange.id} aria-label="Exchange">
    <h3>${exchange.method} ${hostOf(exchange.url)} <span class="quiet">attempt ${exchange.attempt}, ${statusOf(exchange)}</span>
      ${exchange.redacted && html` <span class="badge" data-kind="warning" data-part="redacted">secrets hidden</span>`}</h3>
    <${Code} text=${exchange.url} label="URL" wrap=${true} />
    ${exchange.error && html`<p class="field-error">${exchange.error}</p>`}
    <${Table} caption="Phases" columns=${[{ id: "name", title: "Phase" }, { id: "from", title: "From", numeric: true }, { id: "took", title: "Took", numeric: true }]}
      rows=${phasesOf(exchange).map((phase) => ({ id: phase.name, cells: { name: phase.name, from: millisecondsText(phase.from), took: millisecondsText(phase.to - phase.from) } }))} />
    ${exchange.reused && html`<p class="quiet" data-part="reused">Connection used again: it was open before, so there is no connect phase.</p>`}
    <${Headers} label="Request headers" headers=${exchange.request?.headers} />
    <${Body} label="Request body" message=${exchange.request} />
    <${Headers} label="Response headers" headers=${exchange.response?.headers} />
    <${Body} label="Response body" message=${exchange.response} open=${exchange.open} />
    ${chunks.length > 0 && html`<details open=${chunk !== undefined}><summary>Chunks <span class="quiet">${chunks.length}</span></summary>
      <${VirtualList} label="Chunks" count=${chunks.length} rowHeight=${24} maxHeight=${240} chosen=${chunk ?? -1} onChoose=${(index) => onSelect({ exchange: exchange.id, chunk: index })}
        attributes=${(index) => ({ "data-chunk": index })}
        row=${(index) => html`<span class="numeric at">${Math.round(chunks[index][0])}</span><span class="preview quiet">${index ? `+${Math.round(chunks[index][0] - chunks[index - 1][0])} ms` : "first"}</span>
          <span class="numeric quiet">${bytesText(chunks[index][1])}</span>`} /></details>`}
  </section>`;
}
