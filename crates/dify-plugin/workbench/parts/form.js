// A form of the plugin, drawn field by field; and below it what the plugin gets of it.
import { html } from "../app/dom.js";
import { passFilter, passPlain, shownFields } from "../app/forms.js";
import { FieldRow } from "./field.js";
import { JsonTree } from "./json.js";
import { Notes } from "./note.js";

/**
 * @param {object} props
 * @param {import("../app/types.js").Form} props.form
 * @param {string} props.name     for `data-form`: `credentials`, `parameters`, …
 * @param {Record<string, any>} props.values
 * @param {(variable: string, value: any) => void} props.onInput
 * @param {string} props.language
 * @param {boolean} [props.notes]  whether notes and fields that Dify does not draw are shown (default true)
 * @param {{variable: string, message: string}[]} [props.errors]
 * @param {Record<string, any>} [props.controls]  components that take the place of a control, by its name
 * @param {boolean} [props.disabled]
 * @param {(field: object) => Promise<object[]>} [props.loadOptions]  yields the options of a dynamic select
 */
export function FormFields({ form, name, values, onInput, language, notes = true, errors = [], controls, disabled, loadOptions }) {
  const fields = shownFields(form, values);
  return html`<div class="form" data-form=${name} data-engine=${form.engine}>
    ${fields.map(({ field, drawn, index }) => (drawn.control === "none" && (field.hidden || drawn.hidden)
      ? notes && html`<${Invisible} key=${index} field=${field} />`
      : html`<${FieldRow} key=${`${field.variable} ${index}`} field=${field} drawn=${drawn} engine=${form.engine} values=${values} onInput=${onInput}
          language=${language} notes=${notes} controls=${controls} disabled=${disabled} loadOptions=${loadOptions}
          error=${errors.find((error) => error.variable === field.variable)?.message} />`))}
    ${fields.length === 0 && html`<p class="quiet">No fields.</p>`}
  </div>`;
}

/** A parameter for which Dify draws nothing at all. */
function Invisible({ field }) {
  return html`<div class="invisible" data-invisible=${field.variable} data-type=${field.type}>
    <span><code>${field.variable}</code> <span class="quiet">(${field.type}) is not drawn</span></span>
    <${Notes} notes=${field.notes} />
  </div>`;
}

/**
 * What the plugin gets of the values: through the API's filter for credentials of models, else what is filled in.
 * @param {{form: import("../app/types.js").Form, values: Record<string, any>, filter?: "model"|"plain", result?: {values: object, errors: any[]}}} props
 */
export function Gets({ form, values, filter = "plain", result }) {
  const { values: got, errors } = result ?? (filter === "model" ? passFilter(form, values) : passPlain(form, values));
  const missing = errors.filter((error) => error.missing).map((error) => error.variable);
  return html`<div class="gets" data-part="gets" data-state=${errors.length ? "error" : "ready"} role="group" aria-label="What your plugin gets">
    <h4>What your plugin gets</h4>
    ${errors.filter((error) => !error.missing).map((error, index) => html`<p key=${index} class="field-error">Refused at Save: ${error.message}</p>`)}
    ${missing.length > 0 && html`<p class="quiet small-text" data-part="missing">Still required: ${[...new Set(missing)].join(", ")}</p>`}
    <${JsonTree} value=${got} label="Values" />
  </div>`;
}
