// The controls that have no native element: lists of words, boxes, JSON, and Dify's pickers, which have nothing to pick from here.
import { html, useEffect, useState } from "../app/dom.js";
import { JsonTree } from "./json.js";

const list = (value) => (Array.isArray(value) ? value : []);

/** Stop sequences and the like: Tab adds the word, Enter types a line end that is seen as ↵, 20 characters at most. */
export function Tags({ id, value, onInput, disabled, labelledBy }) {
  const [typed, type] = useState("");
  const add = (word) => {
    if (word && !list(value).includes(word)) onInput([...list(value), word.slice(0, 20)]);
    type("");
  };
  const onKeyDown = (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter") { event.preventDefault(); type(`${typed}↵`.slice(0, 20)); }
    else if (event.key === "Tab" && typed && !event.shiftKey) { event.preventDefault(); add(typed); }
    else if (event.key === "Backspace" && !typed && list(value).length) onInput(list(value).slice(0, -1));
  };
  return html`<div class="tags" role="group" aria-labelledby=${labelledBy}>
    ${list(value).map((word) => html`<span key=${word} class="tag">${word}
      <button type="button" class="plain" aria-label=${`Remove ${word}`} disabled=${disabled} onClick=${() => onInput(list(value).filter((other) => other !== word))}>✕</button></span>`)}
    <input id=${id} type="text" value=${typed} maxlength="20" disabled=${disabled} placeholder="Enter a sequence and press Tab"
      onInput=${(event) => type(event.currentTarget.value)} onKeyDown=${onKeyDown} onBlur=${() => add(typed)} />
  </div>`;
}

export function Checkboxes({ labelledBy, value, onInput, options, say, disabled }) {
  return html`<div class="boxes" role="group" aria-labelledby=${labelledBy}>
    ${options.map((option) => html`<label key=${option.value} class="radio" data-option=${option.value}>
      <input type="checkbox" value=${option.value} checked=${list(value).includes(option.value)} disabled=${disabled}
        onChange=${(event) => onInput(options.map((other) => other.value).filter((other) =>
          (other === option.value ? event.currentTarget.checked : list(value).includes(other))))} />
      <span>${say(option.label) || option.value}</span></label>`)}
  </div>`;
}

/** At most two labels are named, as in Dify. */
export function MultiSelect(props) {
  const { value, options, say, placeholder } = props;
  const chosen = options.filter((option) => list(value).includes(option.value));
  const words = chosen.length === 0 ? placeholder || "Please select"
    : chosen.length <= 2 ? chosen.map((option) => say(option.label) || option.value).join(", ") : `${chosen.length} selected`;
  return html`<details class="multi"><summary>${words}</summary><${Checkboxes} ...${props} /></details>`;
}

/**
 * A select whose options the plugin is asked for. Where it cannot be asked, Dify shows an empty list.
 * `loadOptions` yields the options of a field; a view that can run calls gives it.
 */
export function DynamicSelect({ id, describedBy, value, onInput, field, say, disabled, placeholder, loadOptions }) {
  const [found, set] = useState(/** @type {{state: string, options: any[], message?: string}} */ ({ state: "idle", options: [] }));
  const ask = () => {
    if (!loadOptions) return;
    set({ state: "loading", options: [] });
    loadOptions(field).then((options) => set({ state: "ready", options }), (error) => set({ state: "error", options: [], message: error.message }));
  };
  useEffect(ask, [field.path, Boolean(loadOptions)]);
  const known = found.options.some((option) => option.value === value);
  const empty = found.state === "loading" ? "Loading..." : placeholder || "Please select";
  return html`<select id=${id} data-state=${found.state} value=${known ? value : ""} disabled=${disabled} aria-describedby=${describedBy}
      onChange=${(event) => onInput(event.currentTarget.value)}>
    ${!known && html`<option value="" selected>${empty}</option>`}
    ${found.options.map((option) => html`<option key=${option.value} value=${option.value} selected=${option.value === value}>${say(option.label) || option.value}</option>`)}
  </select>
  <div class="field-help">${found.state === "error" ? `The plugin answered with an error: ${found.message}` : "The options are asked from the plugin when the field is drawn."}</div>`;
}

/** The text stays as typed; the value changes only when it is JSON. */
export function Json({ id, describedBy, value, onInput, placeholder, disabled, field }) {
  const written = value === undefined ? "" : JSON.stringify(value, null, 2);
  const [typed, type] = useState(written);
  const [error, fail] = useState(null);
  useEffect(() => {
    let same = false;
    try { same = JSON.stringify(JSON.parse(typed || "null")) === JSON.stringify(value ?? null); } catch { same = error !== null; }
    if (!same) { type(written); fail(null); }
  }, [written]);
  const change = (next) => {
    type(next);
    if (next.trim() === "") { fail(null); onInput(undefined); return; }
    try { onInput(JSON.parse(next)); fail(null); } catch (cause) { fail(cause.message); }
  };
  return html`<div class="json-field">
    <textarea id=${id} class="mono" rows="4" spellcheck=${false} value=${typed} placeholder=${placeholder || "{ }"} disabled=${disabled}
      aria-describedby=${describedBy} aria-invalid=${error ? "true" : undefined} onInput=${(event) => change(event.currentTarget.value)}></textarea>
    ${error && html`<div class="field-error">Not yet JSON: ${error}</div>`}
    ${field.schema && html`<details class="schema"><summary>JSON Schema</summary><${JsonTree} value=${field.schema} label="JSON Schema" /></details>`}
  </div>`;
}

const PICKED = {
  file: "Set variable", files: "Set variable", variable: "Set variable", app: "Select app", model: "Select model", tools: "Add tools",
};

/** Dify's pickers: they choose from what the workspace has, which the workbench has not. */
export function Picker({ labelledBy, field }) {
  const kind = PICKED[field.control] ? field.control : "variable";
  const scope = field.scope ? (typeof field.scope === "string" ? field.scope : JSON.stringify(field.scope)) : null;
  return html`<div class="picker" role="group" aria-labelledby=${labelledBy} data-part="picker">
    <span>${PICKED[kind]}</span>
    <span class="quiet">${kind === "file" || kind === "files" ? "a variable that holds files" : scope ? `scope: ${scope}` : ""}</span>
  </div>`;
}
