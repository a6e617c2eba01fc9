// The state of a task that is checked until it ends: how many checks there were, and when the next one comes.
import { html, useEffect, useState } from "../../app/dom.js";
import { counted } from "../../app/text.js";

/** @param {{polling: import("./polling.js").Polling, onCheck: () => void}} props */
export function PollingLine({ polling, onCheck }) {
  const [now, tick] = useState(performance.now());
  const waits = polling.until !== null;
  useEffect(() => {
    if (!waits) return undefined;
    tick(performance.now());
    const timer = setInterval(() => tick(performance.now()), 500);
    return () => clearInterval(timer);
  }, [waits]);
  return html`<p class="state-line quiet" data-part="polling" data-state=${waits ? "waiting" : "checking"} data-checks=${polling.checks}>
    <span>${polling.checks === 0 ? "The task was started" : counted(polling.checks, "check")}</span>
    ${waits && html`<span>next in ${Math.max(Math.ceil((polling.until - now) / 1000), 0)} s</span>
      <button type="button" class="plain small" data-action="check-now" onClick=${onCheck}>Check now</button>`}
    <span>“Stop” ends the checks; the server may go on.</span>
  </p>`;
}

/** Whether a model is polled: by its declaration, or by the choice of the user. @param {{value: boolean, onChange: (value: boolean) => void, disabled: boolean}} props */
export function PollingChoice({ value, onChange, disabled }) {
  return html`<label class="inline" title="As Dify calls models with the feature polling"><input type="checkbox" data-action="polling" checked=${value} disabled=${disabled}
    onChange=${(event) => onChange(event.currentTarget.checked)} /> Start a task and poll it</label>`;
}
