// What belongs to one chosen model: its own credentials when no file declares it, its schema by the plugin, its parameter panel.
import { html, useEffect, useMemo, useState } from "../../app/dom.js";
import { useFormValues } from "../../app/forms.js";
import { FormFields } from "../../parts/form.js";
import { JsonTree } from "../../parts/json.js";
import { Credentials } from "./credentials.js";
import { CallError, StateLine } from "./outcome.js";
import { formOfRules } from "./rules_form.js";
import { model as requests, modelKey } from "./requests.js";
import { useCall } from "./call.js";

/** The credentials of a provider of models, for all its models. @param {{provider: any, language: string}} props */
export function ProviderCredentials({ provider, language }) {
  if (!provider.credentials) return html`<p class="quiet">The provider has no credentials of its own: each model has.</p>`;
  return html`<${Credentials} storeKey=${modelKey(provider.name)} form=${provider.credentials} name="credentials" filter="model"
    validate=${requests.validateProvider(provider.name)} language=${language} />`;
}

/** The model's own credentials, or nothing. @param {{provider: any, chosen: import("./model_picker.js").Chosen, language: string}} props */
export function OwnCredentials({ provider, chosen, language }) {
  if (!chosen.own || !chosen.model || !provider?.model_credentials) return null;
  // The upper form of Dify's dialog, name and type, is the choice of the model here.
  const form = useMemo(() => onlyOfType(provider.model_credentials.form, chosen.type), [provider, chosen.type]);
  return html`<${Credentials} storeKey=${modelKey(chosen.provider, chosen.type, chosen.model, true)} form=${form} name="model_credentials" filter="model"
    validate=${requests.validate(chosen)} language=${language} title=${`Credentials of ${chosen.model}`} />`;
}

/** A form whose conditions on `__model_type` are decided, because the type is chosen elsewhere. */
function onlyOfType(form, type) {
  const fields = form.fields
    .filter((field) => (field.show_on ?? []).every((condition) => condition.variable !== "__model_type" || condition.value === type))
    .map((field) => ({ ...field, drawn_from: null, show_on: (field.show_on ?? []).filter((condition) => condition.variable !== "__model_type") }));
  return { ...form, fields };
}

/**
 * The form and values of a model's parameters; of a model that no file declares only after its schema was asked for. The first
 * column shares what was typed with "As Dify shows it".
 * @param {import("./model_picker.js").Chosen} chosen
 * @param {number} column
 */
export function useParameters(chosen, column) {
  const [schema, setSchema] = useState(null);
  const id = `${chosen.provider}/${chosen.model}/parameters`;
  useEffect(() => setSchema(null), [id]);
  const form = useMemo(() => chosen.declared?.parameters ?? (schema ? formOfRules(schema) : null), [chosen.declared, schema]);
  const [values, set] = useFormValues(column > 1 ? `${id}/${column}` : id, form);
  return { form, values, set, schema, setSchema };
}

/** @param {{parameters: ReturnType<typeof useParameters>, chosen: import("./model_picker.js").Chosen, language: string}} props */
export function ParameterPanel({ parameters, chosen, language }) {
  const { form, values, set, setSchema } = parameters;
  const { run, start, stop } = useCall(() => ({ schema: null }), (result, item) => { result.schema = item?.model_schema ?? result.schema; });
  const ask = async () => {
    const done = await start(requests.schema(chosen));
    if (done.result.schema) setSchema(done.result.schema);
  };
  const sent = Object.keys(values).length;
  return html`<details class="panel" data-part="parameter-panel" data-model=${chosen.model} data-provider=${chosen.provider}>
    <summary>Parameters <span class="quiet">${form ? `${sent} sent` : ""}</span></summary>
    ${form && html`<${FormFields} form=${form} name="parameters" values=${values} onInput=${set} language=${language} notes=${false} />`}
    ${form && form.fields.length === 0 && html`<p class="quiet">The model has no parameters.</p>`}
    ${!chosen.declared && html`<p class="quiet">${form ? "By the schema that the plugin answered." : "No file declares this model: its parameters come from the plugin."}</p>`}
    <div class="actions">
      ${run.state === "running"
        ? html`<button type="button" class="danger small" data-action="stop-schema" onClick=${stop}>Stop</button>`
        : html`<button type="button" class="small" data-action="schema" disabled=${!chosen.model} onClick=${ask}>Ask for the model's schema</button>`}
    </div>
    ${run.state !== "idle" && html`<div data-call=${run.session ?? ""} data-part="schema" data-state=${run.state}>
      ${run.error && html`<${CallError} error=${run.error} />`}
      ${run.state === "ended" && (run.result.schema ? html`<${JsonTree} value=${run.result.schema} label="Model schema" open=${1} />`
        : html`<p class="quiet">The plugin answered without a schema.</p>`)}
      <${StateLine} run=${run} />
    </div>`}
  </details>`;
}
