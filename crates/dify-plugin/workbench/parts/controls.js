// The controls of fields, by the names that the server gives them. Each is a native element where there is one; lists and
// JSON are in controls-more.js.
import { html, useEffect, useState } from "../app/dom.js";
import { Checkboxes, DynamicSelect, Json, MultiSelect, Picker, Tags } from "./controls-more.js";

/** Controls to which a `<label for>` can point. The others are groups, named by `aria-labelledby`. */
export const PLAIN_LABEL = new Set(["text", "password", "select", "number", "text-area", "prompt", "dynamic-select", "json", "slider", "tags"]);

const text = (value) => (value === undefined || value === null ? "" : String(value));

function Text({ id, describedBy, value, onInput, placeholder, disabled, required }) {
  return html`<input id=${id} type="text" value=${text(value)} placeholder=${placeholder} autocomplete="off" spellcheck=${false} disabled=${disabled}
    aria-describedby=${describedBy} aria-required=${required ? "true" : undefined} onInput=${(event) => onInput(event.currentTarget.value)} />`;
}

function Password({ id, describedBy, value, onInput, placeholder, disabled, required }) {
  return html`<input id=${id} type="password" value=${text(value)} placeholder=${placeholder} autocomplete="new-password" disabled=${disabled}
    aria-describedby=${describedBy} aria-required=${required ? "true" : undefined} onInput=${(event) => onInput(event.currentTarget.value)} />`;
}

function Select({ id, describedBy, value, onInput, options, placeholder, say, disabled, required }) {
  const known = options.some((option) => option.value === value);
  return html`<select id=${id} value=${known ? value : ""} disabled=${disabled} aria-describedby=${describedBy} aria-required=${required ? "true" : undefined}
      data-empty=${known ? undefined : "true"} onChange=${(event) => onInput(event.currentTarget.value)}>
    ${!known && html`<option value="" selected>${placeholder || "Please select"}</option>`}
    ${options.map((option) => html`<option key=${option.value} value=${option.value} selected=${option.value === value}>${say(option.label) || option.value}</option>`)}
  </select>`;
}

function Radios({ id, labelledBy, value, onInput, options, say, disabled, field }) {
  const cards = field.control === "cards";
  return html`<div class=${cards ? "cards" : "radios"} role="radiogroup" aria-labelledby=${labelledBy} data-many=${options.length > 2 ? "true" : "false"}>
    ${options.map((option) => html`<label key=${option.value} class=${cards ? "card-option" : "radio"} data-option=${option.value}>
      <input type="radio" name=${id} value=${option.value} checked=${option.value === value} disabled=${disabled} onChange=${() => onInput(option.value)} />
      <span>${say(option.label) || option.value}</span></label>`)}
  </div>`;
}

function Boolean({ id, labelledBy, value, onInput, disabled }) {
  const now = value === true || value === "true" ? true : value === false || value === "false" ? false : null;
  return html`<div class="radios" role="radiogroup" aria-labelledby=${labelledBy}>
    ${[true, false].map((choice) => html`<label key=${choice} class="radio" data-option=${String(choice)}>
      <input type="radio" name=${id} value=${String(choice)} checked=${now === choice} disabled=${disabled} onChange=${() => onInput(choice)} />
      <span>${choice ? "True" : "False"}</span></label>`)}
  </div>`;
}

function Buttons({ labelledBy, value, onInput, disabled }) {
  return html`<div class="segments wide" role="group" aria-labelledby=${labelledBy}>
    ${[true, false].map((choice) => html`<button key=${choice} type="button" data-option=${String(choice)} disabled=${disabled}
      aria-pressed=${value === choice ? "true" : "false"} onClick=${() => onInput(choice)}>${choice ? "True" : "False"}</button>`)}
  </div>`;
}

/** Clamped as Dify does it: to the highest, then to the lowest value; the precision plays no part. */
const clamped = (number, { min, max }) => {
  let result = number;
  if (max !== null && max !== undefined && result > max) result = max;
  if (min !== null && min !== undefined && result < min) result = min;
  return result;
};

/** Tools do not enforce the bounds that they declare. */
const bounded = (engine) => engine !== "tool" && engine !== "reasoning";

function NumberBox({ id, labelledBy, describedBy, value, onInput, placeholder, disabled, field, engine, named }) {
  // The text is kept while it is typed: "1." and "-" are not yet numbers.
  const [typed, type] = useState(null);
  useEffect(() => type(null), [value]);
  const done = () => {
    if (typed === null) return;
    const number = typed.trim() === "" ? NaN : Number(typed);
    if (Number.isFinite(number)) onInput(bounded(engine) ? clamped(number, field) : number);
    else if (typed.trim() === "") onInput(undefined);
    type(null);
  };
  return html`<input id=${named ? undefined : id} type="number" value=${typed ?? text(value)} placeholder=${placeholder} disabled=${disabled}
    min=${bounded(engine) ? field.min ?? undefined : undefined} max=${bounded(engine) ? field.max ?? undefined : undefined} step=${field.step ?? "any"}
    aria-labelledby=${named ? labelledBy : undefined} aria-describedby=${describedBy}
    onInput=${(event) => {
      const next = event.currentTarget.value;
      type(next);
      const number = Number(next);
      if (next !== "" && Number.isFinite(number) && (!bounded(engine) || clamped(number, field) === number)) onInput(number);
    }} onBlur=${done} onKeyDown=${(event) => event.key === "Enter" && done()} />`;
}

function Slider(props) {
  const { id, describedBy, value, onInput, disabled, field } = props;
  return html`<div class="slider">
    <input id=${id} type="range" min=${field.min} max=${field.max} step=${field.step ?? 1} value=${text(value)} disabled=${disabled}
      aria-describedby=${describedBy} onInput=${(event) => onInput(Number(event.currentTarget.value))} />
    <${NumberBox} ...${props} named=${true} />
  </div>`;
}

function TextArea({ id, describedBy, value, onInput, placeholder, disabled, required, field }) {
  return html`<textarea id=${id} rows=${field.control === "prompt" ? 4 : 3} placeholder=${placeholder} disabled=${disabled} value=${text(value)}
    aria-describedby=${describedBy} aria-required=${required ? "true" : undefined} onInput=${(event) => onInput(event.currentTarget.value)}></textarea>`;
}

export const CONTROLS = {
  "text": Text, "password": Password, "select": Select, "radio": Radios, "cards": Radios, "boolean": Boolean, "buttons": Buttons,
  "number": NumberBox, "slider": Slider, "text-area": TextArea, "prompt": TextArea, "tags": Tags, "checkboxes": Checkboxes,
  "multi-select": MultiSelect, "dynamic-select": DynamicSelect, "json": Json, "file": Picker, "files": Picker, "app": Picker,
  "model": Picker, "tools": Picker, "variable": Picker, "none": null,
};
