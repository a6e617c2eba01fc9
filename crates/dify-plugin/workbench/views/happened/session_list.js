// The sessions of the workbench, newest first, with a filter.
import { html, useMemo, useState } from "../../app/dom.js";
import { millisecondsText } from "../../app/text.js";
import { parseFilter, passes, sessionValues } from "./filter.js";
import { VirtualList } from "./virtual_list.js";

/** @param {{summaries: any[], chosen: string|null, onChoose: (id: string) => void}} props */
export function SessionList({ summaries, chosen, onChoose }) {
  const [filter, setFilter] = useState("");
  const shown = useMemo(() => {
    const parsed = parseFilter(filter);
    return summaries.filter((one) => passes(parsed, [one.action, one.provider, one.model, one.error?.message].join(" "), sessionValues(one)));
  }, [summaries, filter]);
  return html`<section class="session-list" aria-label="Sessions">
    <input class="filter-text" type="search" data-action="filter-sessions" aria-label="Filter of sessions" placeholder="word  state:failed  ms:>500" value=${filter}
      onInput=${(event) => setFilter(event.currentTarget.value)} />
    <${VirtualList} label="Sessions" count=${shown.length} rowHeight=${54} maxHeight=${600} chosen=${shown.findIndex((one) => one.id === chosen)}
      onChoose=${(index) => onChoose(shown[index].id)} attributes=${(index) => ({ "data-session": shown[index].id, "data-state": shown[index].state })}
      row=${(index) => html`<${Row} summary=${shown[index]} />`} />
  </section>`;
}

const timeOf = (started) => {
  const date = new Date(started);
  return Number.isNaN(date.getTime()) ? "" : date.toLocaleTimeString([], { hour12: false });
};

function Row({ summary }) {
  return html`<span class="dot" data-state=${summary.state} aria-hidden="true"></span>
    <span class="two-lines"><strong class="preview">${summary.action}</strong>
      <span class="preview quiet">${[summary.model || summary.provider, summary.error?.kind].filter(Boolean).join(" · ") || "–"}</span></span>
    <span class="numeric quiet">${timeOf(summary.started)}<br />${summary.state === "running" ? "running" : summary.state === "opened" ? "opened" : millisecondsText(summary.milliseconds)}</span>`;
}
