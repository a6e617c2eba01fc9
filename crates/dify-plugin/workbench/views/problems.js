// The view "Problems": what `check` finds, by file, with the excerpt that the terminal shows.
import { html, useMemo, useState } from "../app/dom.js";
import { counted } from "../app/text.js";
import { Badge, Empty, Status } from "../parts/status.js";

/** Whether a problem holds each word of the filter: in its code, severity, file, path, variable or message. */
function matches(problem, words) {
  const text = [problem.code, problem.severity, problem.file, problem.path, problem.variable, problem.message].join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}

/** Which problems are listed. What asks for no change is listed when it is wanted. */
const SHOWN = {
  asked: { title: "Errors and warnings", holds: (problem) => !problem.advice },
  error: { title: "Errors", holds: (problem) => problem.severity === "error" },
  advice: { title: "Nothing to change", holds: (problem) => problem.advice },
  all: { title: "All", holds: () => true },
};

/** @param {{plugin: import("../app/plugin.js").Known}} props */
export function Problems({ plugin }) {
  const [filter, setFilter] = useState("");
  const [severity, setSeverity] = useState("asked");
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const found = useMemo(
    () => plugin.problems.filter((problem) => SHOWN[severity].holds(problem) && matches(problem, words)),
    [plugin.problems, severity, filter],
  );
  if (plugin.state !== "ready" && plugin.problems.length === 0) return html`<${Empty} title="Checking the declarations…" />`;
  if (plugin.problems.length === 0) {
    return html`<${Empty} title="No problems">Everything is drawn by Dify as it is declared. Files are watched: this list follows.<//>`;
  }
  const all = plugin.problems.length;
  return html`<div class="problems">
    <h2>Problems</h2>
    <div class="filter">
      <label class="grow"><span class="unseen">Filter</span>
        <input type="search" data-action="filter" placeholder="Filter by code, file, variable or text" value=${filter}
          onInput=${(event) => setFilter(event.currentTarget.value)} /></label>
      <label><span class="unseen">Severity</span>
        <select data-action="severity" value=${severity} onChange=${(event) => setSeverity(event.currentTarget.value)}>
          ${Object.entries(SHOWN).map(([id, { title, holds }]) => html`<option key=${id} value=${id}>${title} (${plugin.problems.filter(holds).length})</option>`)}
        </select></label>
    </div>
    <${Status}>${counted(found.length, "problem")}${found.length === all ? "" : ` of ${all}`}<//>
    ${found.map((problem, index) => html`<${Problem} key=${`${problem.code} ${problem.file} ${problem.path} ${index}`} problem=${problem} />`)}
  </div>`;
}

function Problem({ problem }) {
  return html`<article class="problem" data-problem data-code=${problem.code} data-severity=${problem.severity} data-line=${problem.line}
      data-variable=${problem.variable ?? undefined}>
    <header>
      <${Badge} kind=${problem.severity}>${problem.severity}<//>
      <span class="note-code">${problem.code}</span>
      <span class="note-place">${problem.file}${problem.line ? `:${problem.line}:${problem.column}` : ""}</span>
    </header>
    <p>${problem.message}</p>
    ${problem.help && html`<p class="quiet">Help: ${problem.help}</p>`}
    ${problem.rendered && html`<pre tabindex="0" role="group" aria-label=${`Excerpt of ${problem.file}`}>${problem.rendered}</pre>`}
  </article>`;
}
