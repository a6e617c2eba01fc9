// The lines that the plugin logs: all of them with their sessions, or those of one session.
import { html, useMemo, useState } from "../../app/dom.js";
import { useLogs } from "../../app/logs.js";
import { address } from "../../app/route.js";
import { counted } from "../../app/text.js";
import { parseFilter, passes } from "./filter.js";

/** Lines that are drawn; the newest count. */
const MAX_DRAWN = 200;

const KINDS = { error: "error", critical: "error", fatal: "error", warning: "warning", warn: "warning", stderr: "warning" };

const timeOf = (time) => {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? "" : date.toLocaleTimeString([], { hour12: false });
};

/** @param {{lines: import("../../app/logs.js").LogLine[], links?: boolean}} props */
function Lines({ lines, links = true }) {
  const drawn = lines.slice(-MAX_DRAWN);
  return html`${drawn.length < lines.length && html`<p class="quiet">The newest ${MAX_DRAWN} of ${counted(lines.length, "line")}.</p>`}
    <ol class="log-lines">${drawn.map((line) => html`<li key=${line.number} data-log-line=${line.number} data-level=${line.level}>
      <span class="numeric quiet">${timeOf(line.time)}</span> <span class="badge" data-kind=${KINDS[line.level]}>${line.level}</span>
      <span class="pre mono">${line.text}</span>
      ${links && line.sessions.map((session) => html` <a key=${session} href=${address("happened", session)} data-action="log-session" data-value=${session}>${session}</a>`)}</li>`)}</ol>`;
}

/** All lines, with a filter. */
export function Log() {
  const lines = useLogs();
  const [filter, setFilter] = useState("");
  const shown = useMemo(() => {
    const parsed = parseFilter(filter);
    return lines.filter((line) => passes(parsed, line.text, { level: line.level, source: line.source, session: line.sessions.join(" ") }));
  }, [lines, filter]);
  return html`<section class="log" data-part="log" aria-label="Log of the plugin">
    <h2>Log</h2>
    <p class="quiet">What another command writes to its standard error, and the \`log\` lines of the protocol; the newest last. This program logs to its terminal.</p>
    ${lines.length > 0 && html`<input class="filter-text" type="search" data-action="filter-log" aria-label="Filter of lines" placeholder="word  level:error  source:stderr" value=${filter}
      onInput=${(event) => setFilter(event.currentTarget.value)} />`}
    ${shown.length ? html`<${Lines} lines=${shown} />` : html`<p class="quiet">${lines.length ? "No line passes the filter." : "The plugin has logged nothing."}</p>`}
  </section>`;
}

/** The lines that came while a session ran, or nothing. @param {{session: string}} props */
export function SessionLog({ session }) {
  const lines = useLogs().filter((line) => line.sessions.includes(session));
  if (!lines.length) return null;
  const others = lines.some((line) => line.sessions.length > 1);
  return html`<section class="log" data-part="session-log" aria-label="Log">
    <h3>Log <span class="quiet">${counted(lines.length, "line")}${others ? ", some of which may belong to sessions that ran at the same time" : ""}</span></h3>
    <${Lines} lines=${lines} links=${others} />
  </section>`;
}
