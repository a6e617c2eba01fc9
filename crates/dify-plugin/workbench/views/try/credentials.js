// Credentials: typed, sent to the server's memory, shown with Dify's mask, validated by the plugin. They are never in the address,
// in a store of the browser, or in a log.
import { html, useEffect, useMemo, useState } from "../../app/dom.js";
import { deleteAt, getJson, pathOf, putJson } from "../../app/api.js";
import { firstMissing, initialValues, passFilter, passPlain } from "../../app/forms.js";
import { store, useStore } from "../../app/store.js";
import { inLanguage } from "../../app/text.js";
import { FormFields } from "../../parts/form.js";
import { CallError, StateLine } from "./outcome.js";
import { useCall } from "./call.js";

/** What an untouched secret is sent as: the server keeps the stored one. */
const HIDDEN = "[__HIDDEN__]";

/** @type {ReturnType<typeof store<{state: string, byKey: Record<string, Record<string, string>>}>>} masked values, by key */
const stored = store({ state: "idle", byKey: {} });

/** Reads which credentials the server has; called once. */
async function read() {
  if (stored.get().state !== "idle") return;
  stored.patch({ state: "loading" });
  try {
    const answer = await getJson("/api/credentials");
    const found = answer?.credentials ?? answer ?? {};
    const entries = Array.isArray(found) ? found.map((entry) => [entry.key, entry]) : Object.entries(found);
    stored.set({ state: "ready", byKey: Object.fromEntries(entries.map(([key, entry]) => [key, entry?.values ?? entry])) });
  } catch {
    stored.patch({ state: "idle" });
  }
}

/** Forgets what was read, for changes that the server made itself (OAuth). */
export function readAgain() {
  stored.patch({ state: "idle" });
  return read();
}

/** The masked values of a key, or undefined. @param {string} key */
export function useStored(key) {
  const { byKey } = useStore(stored);
  useEffect(() => { read(); }, []);
  return byKey[key];
}

/** Fields of Dify's dialogs that no plugin receives. */
const OWN = /^__.*__?$/;

/** Positions in `drawn_from` move with the fields that are left out. */
function withoutOwn(fields) {
  const kept = fields.filter((field) => !OWN.test(field.variable));
  return kept.map((field) => ((field.drawn_from ?? null) === null ? field : { ...field, drawn_from: kept.indexOf(fields[field.drawn_from]) }));
}

const isSecret = (field) => field.control === "password" || field.type === "secret-input";

/**
 * What is sent for the typed values: an untouched secret as its placeholder, and nothing for a field that has no value.
 * @param {import("../../app/types.js").Form} form
 * @param {Record<string, any>} values
 * @param {Record<string, any>} touched  what was typed since the last save
 * @param {Record<string, any>|undefined} kept  the masked values
 */
export function valuesToStore(form, values, touched, kept) {
  const sent = {};
  for (const { variable } of form.fields) {
    const value = values[variable];
    if (OWN.test(variable) || value === undefined || value === null || value === "") continue;
    const secret = form.fields.some((field) => field.variable === variable && isSecret(field));
    sent[variable] = secret && kept && variable in kept && !(variable in touched) ? HIDDEN : value;
  }
  return sent;
}

/**
 * @param {object} props
 * @param {string} props.storeKey  as in `/api/credentials/KEY`
 * @param {import("../../app/types.js").Form} props.form
 * @param {string} props.name      for `data-form`
 * @param {"model"|"plain"} [props.filter]
 * @param {any} [props.validate]   the call that validates; none: they are only stored
 * @param {string} props.language
 * @param {any} [props.children]   a hint below the title
 */
export function Credentials({ storeKey, form: declared, name, filter = "plain", validate, language, title = "Credentials", children }) {
  const form = useMemo(() => ({ ...declared, fields: withoutOwn(declared.fields) }), [declared]);
  const kept = useStored(storeKey);
  const [touched, setTouched] = useState({});
  const [problem, setProblem] = useState(null);
  const [saving, setSaving] = useState("idle");
  const [open, setOpen] = useState(null);
  const { run, start, stop } = useCall(() => null, () => {});
  useEffect(() => { setTouched({}); setProblem(null); }, [storeKey]);
  const values = useMemo(() => {
    const all = { ...initialValues(form), ...kept, ...touched };
    for (const variable of Object.keys(all)) if (all[variable] === undefined) delete all[variable];
    return all;
  }, [form, kept, touched]);
  const dirty = Object.keys(touched).length > 0 || !kept;
  const say = (text) => inLanguage(text, language);

  const save = async () => {
    const missing = firstMissing(form, values);
    if (missing) return setProblem({ message: `${say(missing.label) || missing.variable} is required` }), false;
    const { errors } = filter === "model" ? passFilter(form, values) : passPlain(form, values);
    if (errors.length) return setProblem(errors[0]), false;
    setSaving("loading");
    try {
      const answer = await putJson(pathOf("/api/credentials/", storeKey), { values: valuesToStore(form, values, touched, kept) });
      if (answer) stored.patch({ byKey: { ...stored.get().byKey, [storeKey]: answer.values ?? answer } });
      else await readAgain();
      setTouched({});
      setProblem(null);
      setSaving("ready");
      return true;
    } catch (error) {
      setProblem({ message: error?.message ?? String(error), hint: error?.hint });
      setSaving("error");
      return false;
    }
  };
  const check = async () => {
    if (dirty && !(await save())) return;
    start(validate);
  };
  const forget = async () => {
    await deleteAt(pathOf("/api/credentials/", storeKey)).catch(() => {});
    const { [storeKey]: _, ...rest } = stored.get().byKey;
    stored.patch({ byKey: rest });
    setTouched({});
    setSaving("idle");
  };

  const state = problem ? "error" : saving === "loading" ? "loading" : kept && !dirty ? "ready" : "idle";
  return html`<details class="panel credentials" data-part="credentials" data-key=${storeKey} data-state=${state} open=${open ?? !kept}
      onToggle=${(event) => setOpen(event.currentTarget.open)}>
    <summary>${title} <span class="quiet">${kept ? (dirty ? "changed" : "stored in memory") : "not set"}</span></summary>
    <form onSubmit=${(event) => { event.preventDefault(); if (validate) check(); else save(); }}>
      ${children}
      <${FormFields} form=${form} name=${name} values=${values} language=${language} notes=${false}
        errors=${problem?.variable ? [problem] : []} onInput=${(variable, value) => { setTouched({ ...touched, [variable]: value }); setProblem(null); }} />
      ${problem && html`<p class="field-error" role="alert" data-part="credential-error">${problem.message} ${problem.hint ?? ""}</p>`}
      <div class="actions">
        ${validate && (run.state === "running"
          ? html`<button type="button" class="danger" data-action="stop-validate" onClick=${stop}>Stop</button>`
          : html`<button type="submit" class="primary" data-action="validate">${dirty ? "Save and validate" : "Validate"}</button>`)}
        <button type="button" class=${validate ? "" : "primary"} data-action="save-credentials" disabled=${!dirty} onClick=${save}>Save</button>
        ${kept && html`<button type="button" class="plain" data-action="forget-credentials" onClick=${forget}>Forget</button>`}
      </div>
    </form>
    ${run.state !== "idle" && html`<div data-call=${run.session ?? ""} data-part="validation" data-state=${run.state}>
      ${run.state === "ended" && html`<p class="good" role="status">The plugin accepts the credentials.</p>`}
      ${run.error && html`<${CallError} error=${run.error} />`}
      <${StateLine} run=${run} />
    </div>`}
  </details>`;
}
