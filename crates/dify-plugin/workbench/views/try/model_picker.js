// The choice of a model, grouped by provider as in Dify's picker, and any other model by its name.
import { html, useId, useMemo } from "../../app/dom.js";
import { inLanguage } from "../../app/text.js";

/**
 * A chosen model. `own`: no file declares it, so it has credentials of its own.
 * @typedef {{provider: string, type: string, model: string, own: boolean, declared: any|null}} Chosen
 */

/** Providers of models in the view, the given one first. @param {any} view @param {string} [first] */
export function modelProviders(view, first) {
  const all = (view?.providers ?? []).filter((provider) => provider.kind === "model");
  return first ? [...all.filter((one) => one.name === first), ...all.filter((one) => one.name !== first)] : all;
}

const usable = (provider, type) => (provider.models ?? []).filter((model) => model.type === type && model.in_picker !== false && !model.deprecated);
const retired = (provider, type) => (provider.models ?? []).filter((model) => model.type === type && (model.deprecated || model.in_picker === false));

/** The model of a provider by its name: declared, or one's own. @param {any} provider @param {string} type @param {string} name @returns {Chosen} */
export function chosenModel(provider, type, name) {
  const declared = (provider.models ?? []).find((model) => model.type === type && model.name === name) ?? null;
  return { provider: provider.name, type, model: name, own: !declared && Boolean(provider.model_credentials), declared };
}

/** The first model of a type, or one without a name. @param {any} provider @param {string} type */
export const firstModel = (provider, type) => chosenModel(provider, type, usable(provider, type)[0]?.name ?? "");

/**
 * @param {{view: any, type: string, chosen: Chosen, onChoose: (chosen: Chosen) => void, language: string, label?: string, only?: string}} props
 *   `only`: the name of the provider whose models are offered; none: of all
 */
export function ModelPicker({ view, type, chosen, onChoose, language, label = "Model", only }) {
  const id = useId();
  const groups = useMemo(() => modelProviders(view, chosen.provider)
    .filter((provider) => (!only || provider.name === only) && (provider.types ?? []).some((one) => one.value === type)), [view, type, chosen.provider, only]);
  const say = (text, fallback) => inLanguage(text, language) || fallback;
  const choose = (value) => {
    const [provider, name] = JSON.parse(value);
    const found = groups.find((one) => one.name === provider);
    if (found) onChoose(name === null ? { provider, type, model: "", own: Boolean(found.model_credentials), declared: null } : chosenModel(found, type, name));
  };
  const value = JSON.stringify([chosen.provider, chosen.declared ? chosen.model : null]);
  const option = (provider, model) => {
    const key = JSON.stringify([provider.name, model.name]);
    return html`<option key=${key} value=${key} selected=${key === value} data-model=${model.name}>${say(model.label, model.name)}</option>`;
  };
  return html`<div class="model-picker">
    <label for=${id}>${label}</label>
    <select id=${id} data-action="model" value=${value} onChange=${(event) => choose(event.currentTarget.value)}>
      ${groups.map((provider) => html`<optgroup key=${provider.name} label=${say(provider.label, provider.name)}>
        ${usable(provider, type).map((model) => option(provider, model))}
        <option value=${JSON.stringify([provider.name, null])} selected=${value === JSON.stringify([provider.name, null])}>Another model…</option>
      </optgroup>`)}
      ${groups.some((provider) => retired(provider, type).length) && html`<optgroup label="Deprecated: in none of Dify's pickers">
        ${groups.flatMap((provider) => retired(provider, type).map((model) => option(provider, model)))}</optgroup>`}
    </select>
    ${!chosen.declared && html`<input data-action="model-name" aria-label="Name of the model" placeholder="Name of the model" value=${chosen.model}
      spellcheck=${false} autocomplete="off" onInput=${(event) => onChoose({ ...chosen, model: event.currentTarget.value.trim() })} />`}
  </div>`;
}
