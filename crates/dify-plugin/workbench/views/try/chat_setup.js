// What is set for a whole chat: system prompt, stop sequences, tools, and the schema of a structured output.
import { html, useId } from "../../app/dom.js";
import { Tags } from "../../parts/controls-more.js";

const SAMPLE_TOOLS = [{
  name: "get_weather", description: "The weather at a place now.",
  parameters: { type: "object", properties: { place: { type: "string", description: "City and country" } }, required: ["place"] },
}];

const SAMPLE_SCHEMA = {
  type: "object", properties: { title: { type: "string" }, year: { type: "integer" } }, required: ["title", "year"], additionalProperties: false,
};

/** @param {{setup: any, onChange: (setup: any) => void, toolsError: string|null, schemaError: string|null}} props */
export function ChatSetup({ setup, onChange, toolsError, schemaError }) {
  const id = useId();
  const set = (change) => onChange({ ...setup, ...change });
  const words = [setup.system.trim() && "system prompt", setup.stop.length && "stop", setup.tools.trim() && "tools", setup.schema.trim() && "structured output"].filter(Boolean);
  return html`<details class="panel" data-part="chat-setup" data-state=${toolsError || schemaError ? "error" : "idle"}>
    <summary>System prompt, tools, structured output <span class="quiet">${words.join(", ")}</span></summary>
    <div class="field"><label for=${`${id}-system`}>System prompt</label>
      <textarea id=${`${id}-system`} data-part="system" rows="2" value=${setup.system} onInput=${(event) => set({ system: event.currentTarget.value })}></textarea></div>
    <div class="field"><span id=${`${id}-stop`}>Stop sequences</span>
      <${Tags} id=${`${id}-stop-input`} labelledBy=${`${id}-stop`} value=${setup.stop} onInput=${(stop) => set({ stop })} /></div>
    <${JsonText} part="tools" label="Tools that the model may call: a list of JSON" value=${setup.tools} error=${toolsError} sample=${SAMPLE_TOOLS} onInput=${(tools) => set({ tools })} />
    <${JsonText} part="schema" label="JSON Schema of the answer" value=${setup.schema} error=${schemaError} sample=${SAMPLE_SCHEMA} onInput=${(schema) => set({ schema })} />
  </details>`;
}

/** JSON as it is typed, with a sample to begin from. */
function JsonText({ part, label, value, error, sample, onInput }) {
  const id = useId();
  return html`<div class="field">
    <div class="field-head"><label for=${id}>${label}</label>
      ${!value.trim() && html`<button type="button" class="plain small" data-action=${`sample-${part}`} onClick=${() => onInput(JSON.stringify(sample, null, 2))}>Put in a sample</button>`}</div>
    <textarea id=${id} class="mono" rows=${value.trim() ? 6 : 2} data-part=${part} spellcheck=${false} value=${value} aria-invalid=${error ? "true" : undefined}
      onInput=${(event) => onInput(event.currentTarget.value)}></textarea>
    ${error && html`<p class="field-error" role="alert">${error}</p>`}
  </div>`;
}
