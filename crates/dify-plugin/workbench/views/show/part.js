// One tool, strategy, datasource or event: its forms in each place where Dify draws them, and its outputs.
import { html, useState } from "../../app/dom.js";
import { passPlain, useFormValues } from "../../app/forms.js";
import { inLanguage } from "../../app/text.js";
import { FormFields, Gets } from "../../parts/form.js";
import { JsonTree } from "../../parts/json.js";
import { Notes } from "../../parts/note.js";
import { Table } from "../../parts/table.js";
import { Tabs } from "../../parts/tabs.js";

const PLACES = { node: "Workflow node", agent: "In an agent node", app: "In an agent app" };

export function Part({ provider, part, language }) {
  const [place, choose] = useState("node");
  const tool = provider.kind === "tool";
  return html`<div class="details" data-part-name=${part.name} data-place=${place}>
    <p class="quiet small-text"><code>${part.name}</code> · ${part.file}${(part.features ?? []).length ? ` · features: ${part.features.join(", ")}` : ""}
      ${part.provider_type ? ` · ${part.provider_type}` : ""}</p>
    <${Notes} notes=${part.notes} />
    ${tool
      ? html`<${Tabs} label="Where it is drawn" chosen=${place} onChoose=${choose}
          tabs=${Object.entries(PLACES).map(([id, title]) => ({ id, title }))}>
          ${place === "node" && html`<${Node} provider=${provider} part=${part} language=${language} />`}
          ${place === "agent" && html`<${Node} provider=${provider} part=${part} language=${language} reasoning=${true} />`}
          ${place === "app" && html`<${App} provider=${provider} part=${part} language=${language} />`}
        <//>`
      : html`<${Node} provider=${provider} part=${part} language=${language} />`}
    ${(part.outputs ?? []).length > 0 && html`<h4>Outputs</h4>
      <${Table} caption=${`Outputs of ${part.name}`} columns=${[{ id: "name", title: "Name" }, { id: "type", title: "Type" }]}
        rows=${part.outputs.map((output, index) => ({ id: index, cells: { name: html`<code>${output.name}</code>`, type: output.type } }))} />`}
    ${part.output_schema && html`<details class="more"><summary>Output schema</summary><${JsonTree} value=${part.output_schema} label="Output schema" /></details>`}
  </div>`;
}

const has = (form) => form?.fields?.length > 0;

/** Input variables, and the settings that fold. In an agent node the model may fill in the inputs. */
function Node({ provider, part, language, reasoning = false }) {
  const inputs = part.inputs ?? { engine: "tool", fields: [] };
  const settings = part.settings ?? { engine: "tool", fields: [] };
  const inputForm = reasoning ? part.reasoning_form ?? asReasoning(inputs) : inputs;
  const prefix = `${provider.name}/${part.name}`;
  const [values, set, forget] = useFormValues(`${prefix}/${reasoning ? "reasoning" : "inputs"}`, inputForm);
  const [chosen, choose, forgetChosen] = useFormValues(`${prefix}/settings`, settings);
  const got = passPlain(inputForm, values);
  const more = passPlain(settings, chosen);
  const all = { ...chosen, ...values };
  if (!has(inputs) && !has(settings)) return html`<p class="quiet">No parameters.</p>`;
  return html`<div class="framed">
    <div class="frame narrow" data-frame-of="node">
      <div class="frame-body">
        ${has(inputs) && html`<h3>${provider.kind === "agent-strategy" ? "Agent strategy" : reasoning ? "Reasoning config" : "Input Variables"}</h3>
          <${FormFields} form=${inputForm} name="inputs" values=${all} onInput=${set} language=${language} />`}
        ${has(settings) && html`<details class="settings" open><summary>Settings</summary>
          <${FormFields} form=${settings} name="settings" values=${all} onInput=${choose} language=${language} /></details>`}
      </div>
      <footer><button type="button" data-action="reset" onClick=${() => { forget(); forgetChosen(); }}>Reset</button></footer>
    </div>
    <${Gets} form=${inputs} values=${values} result=${{ values: { ...more.values, ...got.values }, errors: reasoning ? [] : [...got.errors, ...more.errors] }} />
  </div>`;
}

/** The inputs as an agent node draws them: Auto at first, no variable for booleans and selects, no dynamic select. */
function asReasoning(form) {
  return {
    engine: "reasoning",
    fields: form.fields.map((field) => ({
      ...field, initial: null,
      control: field.control === "dynamic-select" ? "none" : field.control,
      variable_switch: field.variable_switch && !["boolean", "select"].includes(field.type),
    })),
  };
}

/** In an agent app: the inputs are only read, the settings are drawn by the old form. */
function App({ provider, part, language }) {
  const settings = part.agent_form ?? { engine: "old", fields: [] };
  const [values, set, forget] = useFormValues(`${provider.name}/${part.name}/app`, settings);
  return html`<div class="framed">
    <div class="frame narrow" data-frame-of="agent_form">
      <div class="frame-body">
        <h3>Parameters</h3>
        ${(part.inputs?.fields ?? []).map((field) => html`<div key=${field.variable} class="read-only" data-parameter=${field.variable}>
          <strong>${inLanguage(field.label, language, { onlyEnglish: true }) || field.variable}</strong>
          <span class="type-word">${field.type}</span>${field.required && html` <span class="required-word">Required</span>`}
          ${field.help && html`<div class="field-help">${inLanguage(field.help, language)}</div>`}</div>`)}
        ${!has(part.inputs) && html`<p class="quiet">None.</p>`}
        <h3>Settings</h3>
        <${FormFields} form=${settings} name="agent_form" values=${values} onInput=${set} language=${language} />
      </div>
      <footer><button type="button" data-action="reset" onClick=${forget}>Reset</button></footer>
    </div>
    <${Gets} form=${settings} values=${values} />
  </div>`;
}
