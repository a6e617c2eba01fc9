// One field of a form as Dify draws it: label, star, help, the control, and the notes on it. The controls are in controls.js.
import { html, useId, useState } from "../app/dom.js";
import { defaultOf, holds } from "../app/forms.js";
import { inLanguage } from "../app/text.js";
import { CONTROLS, PLAIN_LABEL } from "./controls.js";
import { Link } from "./markdown.js";
import { Notes } from "./note.js";

/** Engines whose texts end at English. */
const ONLY_ENGLISH = { onlyEnglish: true };
const fallbackOf = (engine) => (["old", "tool", "reasoning", "parameter", "agent"].includes(engine) ? ONLY_ENGLISH : {});

/** What Dify writes into an empty field of its new form that has no placeholder. */
const PLEASE_ENTER = { en_US: "Please enter", zh_Hans: "请输入" };

/**
 * @typedef {object} FieldProps
 * @property {import("../app/types.js").Field} field    whose conditions, requirement and notes count
 * @property {import("../app/types.js").Field} [drawn]  from which it is drawn: the first of that variable
 * @property {string} engine
 * @property {Record<string, any>} values  of the whole form
 * @property {(variable: string, value: any) => void} onInput
 * @property {string} language
 * @property {boolean} [notes]    whether notes are shown (default true)
 * @property {string|null} [error]
 * @property {Record<string, any>} [controls]  components that take the place of a control, by its name
 * @property {boolean} [disabled]
 * @property {(field: import("../app/types.js").Field) => Promise<import("../app/types.js").Option[]>} [loadOptions]  of dynamic selects
 */

/** @param {FieldProps} props */
export function FieldRow({ field, drawn = field, engine, values, onInput, language, notes = true, error, controls, disabled, loadOptions }) {
  const id = useId();
  const say = (text) => inLanguage(text, language, fallbackOf(engine));
  const [draft, keep] = useState(undefined);
  const [byVariable, setByVariable] = useState(false);
  const { variable } = field;
  const set = values[variable] !== undefined;
  const auto = engine === "reasoning" && !set;
  const value = set ? values[variable] : unsetValue(drawn, engine, draft);
  // A value that is typed while the switch is off is shown and not sent.
  const input = (next) => (field.switch && !set ? keep(next) : onInput(variable, next));
  const toggle = () => {
    if (set) keep(values[variable]);
    onInput(variable, set ? undefined : draft ?? defaultOf(drawn));
  };
  const control = byVariable ? "variable" : drawn.control;
  const Control = controls?.[control] ?? CONTROLS[control];
  const placeholder = say(drawn.placeholder) || (engine === "new" && !drawn.placeholder ? inLanguage(PLEASE_ENTER, language) : "");
  const options = (drawn.options ?? []).filter((option) => holds(option.show_on, values));
  const label = say(drawn.label) || variable;
  const help = say(drawn.help);
  const grouped = control === "none" || !PLAIN_LABEL.has(control);
  const describedBy = [help && drawn.help_drawn_as === "under" && `${id}-help`, error && `${id}-error`].filter(Boolean).join(" ") || undefined;
  return html`<div class="field" data-variable=${variable} data-control=${drawn.control} data-type=${field.type} data-required=${field.required ? "true" : "false"}
      data-state=${error ? "error" : "idle"} data-set=${field.switch ? String(set) : undefined}>
    <div class="field-head">
      ${field.switch && html`<input type="checkbox" role="switch" class="switch" data-part="switch" checked=${set} disabled=${disabled}
        aria-label=${`Send ${label}`} onChange=${toggle} />`}
      ${grouped
        ? html`<span class="field-label" id=${`${id}-label`} data-part="label" title=${label}>${label}</span>`
        : html`<label class="field-label" id=${`${id}-label`} for=${id} data-part="label" title=${label}>${label}</label>`}
      ${drawn.required && html`<span class="star" data-part="star" aria-hidden="true">*</span>`}
      ${help && drawn.help_drawn_as === "icon" && html`<${Tip} text=${help} />`}
      ${engine === "reasoning" && html`<span class="type-word">${field.type}</span>
        <label class="auto">Auto <input type="checkbox" role="switch" class="switch" data-part="auto" checked=${auto} disabled=${disabled}
          onChange=${() => onInput(variable, auto ? defaultOf(drawn) : undefined)} /></label>`}
      ${drawn.variable_switch && !auto && html`<${VariableSwitch} on=${byVariable} onChange=${setByVariable} label=${label} />`}
    </div>
    ${help && drawn.help_drawn_as === "under" && html`<div class="field-help" id=${`${id}-help`} data-part="help"><${WithLinks} text=${help} /></div>`}
    ${Control && !auto && html`<${Control} id=${id} labelledBy=${`${id}-label`} describedBy=${describedBy} field=${drawn} engine=${engine} value=${value}
      onInput=${input} options=${options} placeholder=${placeholder} say=${say} disabled=${disabled} required=${drawn.required} loadOptions=${loadOptions} />`}
    ${drawn.help_drawn_as === "link" && html`<div class="field-help" data-part="help">
      <${Link} href=${say(drawn.url)}>${help || "How to get"}<//></div>`}
    ${drawn.help_drawn_as === "icon" && drawn.url && html`<div class="field-help" data-part="link"><${Link} href=${say(drawn.url)}>How to get<//></div>`}
    ${error && html`<div class="field-error" id=${`${id}-error`} data-part="error">${error}</div>`}
    ${notes && html`<${Notes} notes=${field.notes} />`}
  </div>`;
}

/** What an empty field shows: parameters and the sliders of agent strategies show a default that is not sent. */
function unsetValue(field, engine, draft) {
  if (engine === "parameter") return draft ?? defaultOf(field);
  if (engine === "agent" && field.control === "slider") return Number.parseInt(field.default ?? 1, 10);
  return undefined;
}

/** Dify's info icon: the text on hover and on focus. */
export function Tip({ text }) {
  return html`<span class="tip" tabindex="0" role="note" data-part="help" aria-label=${text}><span aria-hidden="true">i</span>
    <span class="tip-text" aria-hidden="true">${text}</span></span>`;
}

function VariableSwitch({ on, onChange, label }) {
  return html`<span class="segments" role="group" aria-label=${`Kind of value: ${label}`} data-part="variable-switch">
    <button type="button" aria-pressed=${on ? "false" : "true"} onClick=${() => onChange(false)}>Constant</button>
    <button type="button" aria-pressed=${on ? "true" : "false"} onClick=${() => onChange(true)}>Variable</button></span>`;
}

/** A text whose addresses are links, as under the fields of tools. */
export function WithLinks({ text }) {
  return text.split(/(https?:\/\/[^\s)，。]+)/g).map((part, index) => (index % 2 ? html`<${Link} key=${index} href=${part}>${part}<//>` : part));
}
