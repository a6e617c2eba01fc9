// A parameter panel from the `parameter_rules` of a model schema that a plugin answered, for models that no file declares. Declared
// models come with their panel from the server; the rules of drawing are the same (Dify's `parameter-item.tsx`).

/** The step of Dify's sliders: a float's is 0.1, an int's depends on `max`; the precision plays no part. */
function sliderStep(rule) {
  if (rule.type === "float") return 0.1;
  return rule.max < 100 ? 1 : rule.max < 1000 ? 10 : 100;
}

/** The control and step of a rule. @param {any} rule */
function controlOf(rule) {
  switch (rule.type) {
    case "int": case "float":
      return rule.min !== null && rule.min !== undefined && rule.max !== null && rule.max !== undefined
        ? { control: "slider", step: sliderStep(rule) }
        : { control: "number", step: rule.precision ? Number(`0.${rule.precision}`) : null };
    case "boolean": return { control: "boolean" };
    case "string": return { control: rule.options?.length ? "select" : "text" };
    case "text": return { control: "text-area" };
    default: return { control: "none" };
  }
}

/** @param {any} rule @param {number} index @returns {import("../../app/types.js").Field} */
function fieldOf(rule, index) {
  return {
    step: null, ...controlOf(rule), variable: rule.name, type: rule.type, label: rule.label ?? { en_US: rule.name }, required: false,
    placeholder: null, help: rule.help ?? null, help_drawn_as: rule.help ? "icon" : null, url: null, default: rule.default ?? null,
    initial: rule.required ? rule.default ?? null : null,
    options: (rule.options ?? []).map((value) => ({ value, label: { en_US: String(value) }, icon: null, show_on: [] })),
    show_on: [], min: rule.min ?? null, max: rule.max ?? null, max_length: null, multiple: false, switch: !rule.required && rule.name !== "stop",
    variable_switch: false, scope: null, schema: null, drawn_from: null, line: 0, path: `parameter_rules[${index}]`, notes: [],
  };
}

/** @param {any} schema  of `get_ai_model_schemas` @returns {import("../../app/types.js").Form} */
export const formOfRules = (schema) => ({ engine: "parameter", fields: (schema?.parameter_rules ?? []).map(fieldOf) });
