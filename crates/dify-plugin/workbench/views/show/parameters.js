// The parameter panel of a model: a switch per parameter, sliders with Dify's steps, presets where Dify has them.
import { html } from "../../app/dom.js";
import { useFormValues } from "../../app/forms.js";
import { FormFields } from "../../parts/form.js";
import { JsonTree } from "../../parts/json.js";

/** Dify's three presets; keys that the model lacks are left out. */
const PRESETS = [
  ["Creative", { temperature: 0.8, top_p: 0.9, presence_penalty: 0.1, frequency_penalty: 0.1 }],
  ["Balanced", { temperature: 0.5, top_p: 0.85, presence_penalty: 0.2, frequency_penalty: 0.3 }],
  ["Precise", { temperature: 0.2, top_p: 0.75, presence_penalty: 0.5, frequency_penalty: 0.5 }],
];

export function ParameterPanel({ provider, model, language }) {
  const form = model.parameters ?? { engine: "parameter", fields: [] };
  const [values, set, forget] = useFormValues(`${provider.name}/${model.name}/parameters`, form);
  const known = new Set(form.fields.map((field) => field.variable));
  const load = (name) => {
    const preset = PRESETS.find(([title]) => title === name)?.[1] ?? {};
    for (const [variable, value] of Object.entries(preset)) if (known.has(variable)) set(variable, value);
  };
  const sent = Object.fromEntries(Object.entries(values).filter(([variable]) => known.has(variable)));
  return html`<div class="framed">
    <div class="frame narrow" data-frame-of="parameters">
      <header class="panel-head"><h3>Parameters</h3>
        ${model.presets && html`<label><span class="unseen">Load presets</span>
          <select data-action="presets" value="" onChange=${(event) => { load(event.currentTarget.value); event.currentTarget.value = ""; }}>
            <option value="">Load presets</option>${PRESETS.map(([title]) => html`<option key=${title} value=${title}>${title}</option>`)}</select></label>`}
        <button type="button" class="plain small" data-action="reset" onClick=${forget}>Reset</button>
      </header>
      <div class="frame-body"><${FormFields} form=${form} name="parameters" values=${values} onInput=${set} language=${language} /></div>
    </div>
    <div class="gets" data-part="gets" data-state="ready" role="group" aria-label="What your plugin gets">
      <h4>What your plugin gets</h4>
      <p class="quiet small-text">Only what is switched on, or touched when it is required.</p>
      <${JsonTree} value=${sent} label="Values" />
    </div>
  </div>`;
}
