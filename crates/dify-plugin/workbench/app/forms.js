// Values of forms by Dify's rules: what a new form starts with, which fields show, what passes the API's filter. Nothing is drawn here.
import { useMemo } from "./dom.js";
import { store, useStore } from "./store.js";

/** Fields of the page that are not the plugin's: the name of a credential, name and type of a customizable model. */
const OWN = /^__(authorization_name|model_name|model_type)__?$/;

const isEmpty = (value) => value === undefined || value === null || value === "" || (Array.isArray(value) && value.length === 0);

/**
 * Whether all conditions hold: strict equality of texts.
 * @param {import("./types.js").Condition[]|null|undefined} conditions
 * @param {Record<string, any>} values
 */
export const holds = (conditions, values) => (conditions ?? []).every(({ variable, value }) => values[variable] === value);

/** What a new form starts with; of two fields with one variable the last one wins. @param {import("./types.js").Form} form */
export function initialValues(form) {
  const values = {};
  for (const field of form?.fields ?? []) {
    if (field.initial !== null && field.initial !== undefined) values[field.variable] = field.initial;
  }
  return values;
}

/**
 * The fields that show now, each with the field it is drawn from: the first of that variable.
 * @param {import("./types.js").Form} form
 * @param {Record<string, any>} values
 * @returns {{field: import("./types.js").Field, drawn: import("./types.js").Field, index: number}[]}
 */
export function shownFields(form, values) {
  return (form?.fields ?? [])
    .map((field, index) => ({ field, index, drawn: (field.drawn_from ?? null) === null ? field : form.fields[field.drawn_from] ?? field }))
    .filter(({ field }) => holds(field.show_on, values));
}

/** What a parameter sends when it is switched on and has no value yet. @param {import("./types.js").Field} field */
export function defaultOf(field) {
  if (field.default !== null && field.default !== undefined) return field.default;
  if (["slider", "number"].includes(field.control)) return field.min ?? 0;
  return { boolean: false, buttons: false, tags: [], checkboxes: [] }[field.control] ?? "";
}

/**
 * What is missing or not allowed in one field's value, as the API words it, or null.
 * @param {import("./types.js").Field} field @param {any} value
 */
function refusal(field, value) {
  if (typeof value !== "string") return `Variable ${field.variable} should be string`;
  if (field.max_length && [...value].length > field.max_length) {
    return `Variable ${field.variable} length should not greater than ${field.max_length}`;
  }
  if (["select", "radio"].includes(field.type) && field.options?.length && !field.options.some((option) => option.value === value)) {
    return `Variable ${field.variable} is not in options`;
  }
  if (field.type === "switch" && !["true", "false"].includes(value.toLowerCase())) {
    return `Variable ${field.variable} should be true or false`;
  }
  return null;
}

/**
 * The API's filter for credentials of models: hidden fields go, defaults are filled in, every value is a text.
 * @param {import("./types.js").Form} form
 * @param {Record<string, any>} sent
 * @returns {{values: Record<string, any>, errors: {variable: string, message: string, missing?: boolean}[]}}
 */
export function passFilter(form, sent) {
  const values = {};
  const errors = [];
  for (const field of form?.fields ?? []) {
    if (OWN.test(field.variable) || !holds(field.show_on, sent)) continue;
    const value = sent[field.variable];
    if (isEmpty(value)) {
      if (field.required) errors.push({ variable: field.variable, message: `Variable ${field.variable} is required`, missing: true });
      else if (!isEmpty(field.default)) values[field.variable] = field.default;
      continue;
    }
    const message = refusal(field, value);
    if (message) errors.push({ variable: field.variable, message });
    else if (field.type !== "switch") values[field.variable] = value;
    else if (value.toLowerCase() === "true") values[field.variable] = true;
  }
  return { values, errors };
}

/** Other forms: what is typed, without what is empty or hidden. @param {import("./types.js").Form} form @param {Record<string, any>} sent */
export function passPlain(form, sent) {
  const values = {};
  const errors = [];
  for (const field of form?.fields ?? []) {
    if (OWN.test(field.variable) || !holds(field.show_on, sent)) continue;
    const value = sent[field.variable];
    if (!isEmpty(value)) values[field.variable] = value;
    else if (field.required) errors.push({ variable: field.variable, message: `${field.variable} is required`, missing: true });
  }
  return { values, errors };
}

/** The first required field without a value, as Dify finds it at Save: by fields that show. @returns {import("./types.js").Field|null} */
export function firstMissing(form, values) {
  return shownFields(form, values).find(({ field }) => field.required && isEmpty(values[field.variable]))?.field ?? null;
}

/** @type {ReturnType<typeof store<Record<string, Record<string, any>>>>} what was typed, by the name of the form; in memory only */
const typed = store({});

/**
 * The values of a form, by its name: what it starts with, and over it what was typed. They outlive a change of the
 * declarations and of the view. A key that is set to `undefined` is left out.
 * @param {string} name  such as `gemini/credentials`
 * @param {import("./types.js").Form} form
 * @returns {[Record<string, any>, (variable: string, value: any) => void, () => void]} values, set one, forget all
 */
export function useFormValues(name, form) {
  const mine = useStore(typed)[name];
  const values = useMemo(() => {
    const all = { ...initialValues(form), ...mine };
    for (const [variable, value] of Object.entries(all)) if (value === undefined) delete all[variable];
    return all;
  }, [form, mine]);
  const set = (variable, value) => typed.patch({ [name]: { ...typed.get()[name], [variable]: value } });
  const forget = () => typed.patch({ [name]: undefined });
  return [values, set, forget];
}
