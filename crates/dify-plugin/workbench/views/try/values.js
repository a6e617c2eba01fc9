// Values for fields that Dify fills by pickers of its workspace, which the workbench has not: JSON with a sample to begin from.
import { passPlain } from "../../app/forms.js";
import { CONTROLS } from "../../parts/controls.js";

/** @typedef {import("../../app/types.js").Field} Field */
/** @typedef {import("../../app/types.js").Form} Form */

/** Pickers, and fields that Dify does not draw, take JSON here. */
export const JSON_CONTROLS = Object.fromEntries(["file", "files", "variable", "app", "model", "tools", "none"].map((name) => [name, CONTROLS.json]));

/** A model as an agent strategy or a tool receives it. @param {string} provider @param {string} model */
export const selectedModel = (provider, model) => ({
  provider, model, model_type: "llm", mode: "chat", completion_params: {}, history_prompt_messages: [], entity: null,
});

/** A tool as an agent strategy receives it. */
export const selectedTool = () => ({
  identity: { author: "workbench", name: "lookup", label: { en_US: "Lookup" }, provider: "workbench/workbench/workbench" },
  description: { human: { en_US: "Looks something up." }, llm: "Looks up a word." },
  parameters: [{ name: "query", label: { en_US: "Query" }, human_description: { en_US: "The word." }, type: "string", form: "llm", required: true, llm_description: "The word." }],
  provider_type: "builtin", runtime_parameters: {}, has_runtime_parameters: false, output_schema: null, credential_id: null,
});

const sampleFile = () => ({
  dify_model_identity: "__dify__file__", url: "https://example.com/file.png", mime_type: "image/png", filename: "file.png", extension: ".png", size: 1000, type: "image",
});

const SAMPLES = {
  "model-selector": () => selectedModel("workbench/workbench/workbench", "scripted"),
  "app-selector": () => ({ app_id: "app-1" }),
  "array[tools]": () => [selectedTool()],
  "tools-selector": () => [selectedTool()],
  "file": sampleFile,
  "files": () => [sampleFile()],
};

/** A value for a required field that Dify leaves empty at first. @param {Field} field */
function sampleOf(field) {
  if (SAMPLES[field.type]) return SAMPLES[field.type]();
  if (field.default !== null && field.default !== undefined) return field.default;
  if (field.type === "number") return field.min ?? 1;
  return field.type === "string" ? SAMPLE_TEXTS[field.variable] : undefined;
}

/** What a form starts with beside its initial values. @param {Form|null|undefined} form */
export function samples(form) {
  const values = {};
  for (const field of form?.fields ?? []) {
    if (!field.required || (field.initial !== null && field.initial !== undefined)) continue;
    const sample = sampleOf(field);
    if (sample !== undefined) values[field.variable] = sample;
  }
  return values;
}

const SAMPLE_TEXTS = { query: "What is the capital of France?", prompt: "Say hello.", instruction: "Answer briefly." };

/**
 * The values of several forms of one thing, such as the inputs and the settings of a tool.
 * @param {(Form|null|undefined)[]} forms
 * @param {Record<string, any>} values
 */
export function sentValues(forms, values) {
  const sent = {};
  const errors = [];
  for (const form of forms) {
    if (!form) continue;
    const passed = passPlain(form, values);
    Object.assign(sent, passed.values);
    errors.push(...passed.errors);
  }
  return { values: sent, errors };
}

/** The parameters of a model that are sent: those that are set. Stop sequences travel apart. @param {Record<string, any>} values */
export function modelParameters(values) {
  return Object.fromEntries(Object.entries(values).filter(([name, value]) => name !== "stop" && value !== undefined && value !== null && value !== ""));
}
