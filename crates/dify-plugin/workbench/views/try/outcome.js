// What every call shows: its state, its error as Dify would show it, a link to its session, and its items as JSON.
import { html, useState } from "../../app/dom.js";
import { address } from "../../app/route.js";
import { counted, millisecondsText } from "../../app/text.js";
import { JsonTree } from "../../parts/json.js";
import { Callbacks } from "./callbacks.js";

/** @typedef {import("./call.js").Run<any>} Run */

const WORDS = { running: "Running…", ended: "Done", failed: "Failed", cancelled: "Stopped" };

/** Buttons that run and stop. @param {{run: Run, onRun: () => void, onStop: () => void, label?: string, disabled?: boolean, name?: string}} props */
export function RunButtons({ run, onRun, onStop, label = "Run", disabled = false, name = "run" }) {
  return run.state === "running"
    ? html`<button type="button" class="danger" data-action="stop" onClick=${onStop}>Stop</button>`
    : html`<button type="button" class="primary" data-action=${name} disabled=${disabled} onClick=${onRun}>${label}</button>`;
}

/** @param {{error: {kind: string, message: string, hint?: string|null}}} props */
export function CallError({ error }) {
  return html`<div class="call-error" data-part="error" role="alert">
    <strong>${error.kind}</strong> <span class="pre">${error.message}</span>
    ${error.hint && html`<div class="quiet">${error.hint}</div>`}
  </div>`;
}

/** The line below an answer. @param {{run: Run, children?: any}} props */
export function StateLine({ run, children }) {
  if (run.state === "idle") return null;
  return html`<p class="state-line quiet" role="status">
    <span class="dot" data-state=${run.state} aria-hidden="true"></span>
    <span>${WORDS[run.state]}</span>
    ${run.state !== "running" && html`<span>${millisecondsText(run.milliseconds)}</span>`}
    ${run.count > 1 && html`<span>${counted(run.count, "item")}</span>`}
    ${children}
    ${run.session && run.state !== "running" && html`<a href=${address("happened", run.session)} data-action="see-session">See what happened</a>`}
  </p>`;
}

/**
 * A call with its state for tests and style, its answer (children), error, calls back and items.
 * @param {{run: Run, onAnswer?: (id: string, events: any[]) => void, children?: any, raw?: boolean, line?: any, plain?: boolean}} props
 *   `plain`: the children name their answer themselves
 */
export function Outcome({ run, onAnswer, children, raw = true, line, plain = false }) {
  if (run.state === "idle") return null;
  return html`<div class="call" data-call=${run.session ?? ""} data-state=${run.state}>
    ${children && html`<div class="answer" data-part=${plain ? undefined : "answer"}>${children}</div>`}
    ${onAnswer && html`<${Callbacks} callbacks=${run.callbacks} onAnswer=${onAnswer} running=${run.state === "running"} />`}
    ${run.error && html`<${CallError} error=${run.error} />`}
    <${StateLine} run=${run}>${line}<//>
    ${raw && run.items.length > 0 && html`<${Items} run=${run} />`}
  </div>`;
}

/** The items as they arrived. @param {{run: Run}} props */
export function Items({ run }) {
  const [open, toggle] = useState(false);
  const [count, more] = useState(20);
  return html`<details class="items" onToggle=${(event) => toggle(event.currentTarget.open)}>
    <summary>As the plugin sent it (${counted(run.count, "item")})</summary>
    ${open && html`
      ${run.items.slice(0, count).map(({ at, item }, index) => html`<div key=${index} class="item">
        <span class="quiet numeric">${Math.round(at)} ms</span><${JsonTree} value=${item} open=${1} label=${`Item ${index + 1}`} /></div>`)}
      ${run.items.length > count && html`<button type="button" class="plain small" onClick=${() => more(count + 100)}>${run.items.length - count} more</button>`}
      ${run.count > run.items.length && html`<p class="quiet">${run.count - run.items.length} later items are not kept here.</p>`}`}
  </details>`;
}

/** Who answers the calls back of a run, and the control that chooses it. */
export function useAnswers() {
  const [answers, choose] = useState(/** @type {"scripted"|"typed"} */ ("scripted"));
  return { answers, choice: html`<${AnswersChoice} value=${answers} onChange=${choose} />` };
}

/** What kind of answer calls back get. @param {{value: "scripted"|"typed", onChange: (value: any) => void}} props */
function AnswersChoice({ value, onChange }) {
  return html`<label class="inline">Calls back into Dify are answered
    <select data-action="answers" value=${value} onChange=${(event) => onChange(event.currentTarget.value)}>
      <option value="scripted" selected=${value === "scripted"}>by a script</option>
      <option value="typed" selected=${value === "typed"}>by hand</option>
    </select></label>`;
}
