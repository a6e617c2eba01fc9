// What the views of tools, strategies, datasources and triggers share: the choice of one declared part, its forms, and a run that
// yields messages.
import { html, useEffect, useId, useMemo, useState } from "../../app/dom.js";
import { useFormValues } from "../../app/forms.js";
import { inLanguage } from "../../app/text.js";
import { FormFields } from "../../parts/form.js";
import { request } from "../../app/api.js";
import { eventsOf } from "../../app/stream.js";
import { useCall } from "./call.js";
import { newMessages, takeMessage } from "./tool_messages.js";
import { JSON_CONTROLS, samples, sentValues } from "./values.js";

/** A call whose items are messages. */
export const useMessages = () => useCall(newMessages, takeMessage);

/** A call of which the last item counts. */
export const useSingle = () => useCall(() => ({ last: null }), (result, item) => { result.last = item; });

/** The chosen part of a provider, by the address. @param {any} provider @param {string[]} wanted */
export function usePart(provider, wanted) {
  const parts = provider.parts ?? [];
  const [name, setName] = useState(wanted[0]);
  useEffect(() => { if (wanted[0]) setName(wanted[0]); }, [wanted[0]]);
  return [parts.find((part) => part.name === name) ?? parts[0] ?? null, setName];
}

/** @param {{parts: any[], part: any, onChoose: (name: string) => void, label: string, language: string}} props */
export function PartPicker({ parts, part, onChoose, label, language }) {
  const id = useId();
  if (!part) return html`<p class="quiet">The provider declares none.</p>`;
  return html`<div class="part-picker">
    <label for=${id}>${label}</label>
    <select id=${id} data-action="part" value=${part.name} onChange=${(event) => onChoose(event.currentTarget.value)}>
      ${parts.map((one) => html`<option key=${one.name} value=${one.name} selected=${one.name === part.name}>${inLanguage(one.label, language) || one.name}</option>`)}
    </select>
    <p class="quiet">${inLanguage(part.description, language)}</p>
  </div>`;
}

/** A declared form without the fields that Dify's dialog adds. */
const plainForm = (form) => form && { ...form, engine: form.engine === "reasoning" ? "tool" : form.engine };

/**
 * The values of the inputs and settings of a part, with samples for the pickers. The names are those of "As Dify shows it".
 * @param {string} prefix  such as `PROVIDER/PART`
 * @param {any} part
 */
export function usePartValues(prefix, part) {
  const inputs = useMemo(() => plainForm(part?.inputs), [part]);
  const settings = useMemo(() => plainForm(part?.settings), [part]);
  const [ofInputs, setInput] = useFormValues(`${prefix}/inputs`, inputs ?? { engine: "tool", fields: [] });
  const [ofSettings, setSetting] = useFormValues(`${prefix}/settings`, settings ?? { engine: "tool", fields: [] });
  const beginning = useMemo(() => ({ ...samples(inputs), ...samples(settings) }), [inputs, settings]);
  const values = useMemo(() => ({ ...beginning, ...ofInputs, ...ofSettings }), [beginning, ofInputs, ofSettings]);
  const sent = useMemo(() => sentValues([inputs, settings], values), [inputs, settings, values]);
  return { inputs, settings, values, setInput, setSetting, sent };
}

/**
 * @param {{of: ReturnType<typeof usePartValues>, language: string, loadOptions?: (field: any) => Promise<any[]>, showErrors: boolean}} props
 */
export function PartForms({ of, language, loadOptions, showErrors }) {
  const common = { values: of.values, language, notes: false, controls: JSON_CONTROLS, loadOptions, errors: showErrors ? of.sent.errors : [] };
  return html`
    ${of.inputs?.fields.length > 0 && html`<${FormFields} ...${common} form=${of.inputs} name="inputs" onInput=${of.setInput} />`}
    ${of.settings?.fields.length > 0 && html`<${FormFields} ...${common} form=${of.settings} name="settings" onInput=${of.setSetting} />`}
    ${!of.inputs?.fields.length && !of.settings?.fields.length && html`<p class="quiet">No parameters.</p>`}`;
}

/** The items of a call that is not shown, such as the options of a dynamic select. @param {any} call @returns {Promise<any[]>} */
export async function itemsOf(call) {
  const response = await request("/api/calls", { method: "POST", body: call, accept: "text/event-stream" });
  const items = [];
  for await (const { event, data } of eventsOf(response)) {
    const parsed = JSON.parse(data);
    if (event === "item") items.push(parsed.item);
    if (event === "failed") throw new Error(parsed.message);
  }
  return items;
}

/** Loads the options of a dynamic select by a call. @param {(parameter: string) => any} makeCall */
export const optionsBy = (makeCall) => async (field) => {
  const [item] = await itemsOf(makeCall(field.variable));
  return (item?.options ?? []).map((option) => ({ icon: null, show_on: [], ...option }));
};
