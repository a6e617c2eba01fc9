// The calls that a plugin makes back into Dify, with an editor for those that wait for an answer.
import { html, useId, useState } from "../../app/dom.js";
import { JsonTree } from "../../parts/json.js";
import { answerEvents, plausibleAnswer } from "./answers.js";

/** @param {{callbacks: any[], onAnswer: (id: string, events: any[]) => void, running: boolean}} props */
export function Callbacks({ callbacks, onAnswer, running }) {
  if (!callbacks.length) return null;
  return html`<section class="callbacks" aria-label="Calls back into Dify">
    <h3>Calls back into Dify</h3>
    <ol>${callbacks.map((callback) => html`<li key=${callback.call} data-callback=${callback.call} data-type=${callback.type}
        data-state=${callback.state === "open" && !running ? "ended" : callback.state}>
      <${Callback} callback=${callback} onAnswer=${onAnswer} running=${running} />
    </li>`)}</ol>
  </section>`;
}

const WORDS = { open: "waits for an answer", answered: "answered by hand", scripted: "answered by the script" };

function Callback({ callback, onAnswer, running }) {
  const [shown, show] = useState(callback.state === "open");
  const open = callback.state === "open" && running;
  return html`<details open=${shown} onToggle=${(event) => show(event.currentTarget.open)}>
      <summary><code>${callback.type}</code> <span class="quiet">${Math.round(callback.at)} ms ·
        ${callback.state === "open" && !running ? "not answered: the call is over" : WORDS[callback.state]}</span></summary>
      ${shown && html`<${JsonTree} value=${callback.request} open=${1} label=${`Request of ${callback.type}`} />`}
    </details>
    ${open && html`<${Editor} callback=${callback} onAnswer=${onAnswer} />`}`;
}

function Editor({ callback, onAnswer }) {
  const id = useId();
  const [text, setText] = useState(() => JSON.stringify(plausibleAnswer(callback.type, callback.request), null, 2));
  const [failure, setFailure] = useState("");
  const { events, error } = answerEvents(text, failure);
  return html`<div class="editor">
    <label for=${`${id}-answer`}>Answer: a list of responses as JSON</label>
    <textarea id=${`${id}-answer`} class="mono" rows="8" data-part="answer-json" spellcheck="false" value=${text}
      aria-invalid=${error ? "true" : undefined} onInput=${(event) => setText(event.currentTarget.value)}></textarea>
    <label for=${`${id}-error`}>Or fail with this message</label>
    <input id=${`${id}-error`} data-part="answer-error" value=${failure} placeholder="permission denied, you need to enable …"
      onInput=${(event) => setFailure(event.currentTarget.value)} />
    ${(error || callback.error) && html`<p class="field-error" role="alert">${error ?? callback.error}</p>`}
    <button type="button" class="primary" data-action="answer" disabled=${!!error} onClick=${() => onAnswer(callback.call, events)}>
      ${failure.trim() ? "Fail" : "Answer"}</button>
  </div>`;
}
