// Plausible answers to the calls that a plugin makes back into Dify, as a person would type them. The server's own scripted
// answers are not made here.

const USAGE = {
  prompt_tokens: 12, prompt_unit_price: "0", prompt_price_unit: "0", prompt_price: "0", completion_tokens: 8, completion_unit_price: "0",
  completion_price_unit: "0", completion_price: "0", total_tokens: 20, total_price: "0", currency: "USD", latency: 0.4,
};

const chunk = (request, content, toolCalls = []) => ({
  model: request?.model ?? "model", prompt_messages: [], system_fingerprint: null,
  delta: {
    index: 0, message: { role: "assistant", content, name: "", tool_calls: toolCalls },
    usage: USAGE, finish_reason: toolCalls.length ? "tool_calls" : "stop",
  },
});

/** A value that fits a JSON Schema, as small as possible. @param {any} schema @param {number} [depth] @returns {any} */
export function exampleOf(schema, depth = 0) {
  if (schema === null || typeof schema !== "object" || depth > 8) return null;
  if (schema.default !== undefined) return schema.default;
  if (schema.const !== undefined) return schema.const;
  if (Array.isArray(schema.enum) && schema.enum.length) return schema.enum[0];
  const type = Array.isArray(schema.type) ? schema.type.find((one) => one !== "null") : schema.type;
  switch (type) {
    case "string": return "text";
    case "number": case "integer": return schema.minimum ?? 1;
    case "boolean": return true;
    case "array": return schema.items ? [exampleOf(schema.items, depth + 1)] : [];
    case "null": return null;
    default: {
      const properties = Object.entries(schema.properties ?? {});
      if (!properties.length && Array.isArray(schema.anyOf)) return exampleOf(schema.anyOf[0], depth + 1);
      return Object.fromEntries(properties.map(([name, inner]) => [name, exampleOf(inner, depth + 1)]));
    }
  }
}

const lastMessage = (request) => (Array.isArray(request?.prompt_messages) ? request.prompt_messages.at(-1) : null);

/** A model that was offered tools and has no result yet calls the first one; else it answers. */
function llm(request) {
  const tool = Array.isArray(request?.tools) ? request.tools[0] : null;
  if (tool?.name && lastMessage(request)?.role !== "tool") {
    const args = JSON.stringify(exampleOf(tool.parameters ?? {}) ?? {});
    return [chunk(request, "", [{ id: "call_1", type: "function", function: { name: tool.name, arguments: args } }])];
  }
  return [chunk(request, "This is an answer typed by hand.")];
}

const outputs = (values) => [{ process_data: {}, inputs: {}, outputs: values }];

const vectors = (count) => Array.from({ length: count }, (_, index) => [0.1 * (index + 1), 0.2, 0.3]);

/** What a call of each type is answered with. */
const PLAUSIBLE = {
  llm,
  llm_structured_output: (request) => {
    const output = exampleOf(request?.structured_output_schema ?? {}) ?? {};
    return [{ ...chunk(request, JSON.stringify(output)), structured_output: output }];
  },
  system_summary: () => [{ summary: "A short summary." }],
  text_embedding: (request) => [{ model: request?.model ?? "model", embeddings: vectors(request?.texts?.length ?? 1), usage: {} }],
  multimodal_embedding: (request) => [{ model: request?.model ?? "model", embeddings: vectors(request?.documents?.length ?? 1), usage: {} }],
  rerank: (request) => ranked(request, (doc) => String(doc)),
  multimodal_rerank: (request) => ranked(request, (doc) => String(doc?.content ?? "")),
  tts: () => [{ result: "494433" }],
  speech2text: () => [{ result: "Spoken words." }],
  moderation: () => [{ result: false }],
  tool: () => [{ type: "text", message: { text: "A result of the tool." }, meta: null }],
  app: () => [{ event: "message", answer: "An answer of the app.", conversation_id: "conversation-1" }, { event: "message_end", conversation_id: "conversation-1" }],
  fetch_app: () => [{ opening_statement: "", suggested_questions: [], user_input_form: [] }],
  node_parameter_extractor: (request) => outputs(Object.fromEntries((request?.parameters ?? []).map((one) => [one.name, ofParameter(one)]))),
  node_question_classifier: (request) => outputs({ class_id: request?.classes?.[0]?.id ?? "1", class_name: request?.classes?.[0]?.name ?? "" }),
  upload_file: () => [{ url: "http://127.0.0.1:9/upload" }],
  storage: (request) => [{ get: { data: "" }, set: { data: "ok" }, del: { data: "ok", deleted_num: 1 }, exist: { data: false, exist_num: 0 } }[request?.opt] ?? { data: "ok" }],
};

function ranked(request, text) {
  const docs = (request?.docs ?? []).map((doc, index) => ({ index, text: text(doc), score: Math.round(900 / (index + 1)) / 1000 }));
  return [{ model: request?.model ?? "model", docs }];
}

function ofParameter({ type, options }) {
  if (type === "number") return 1;
  if (type === "bool") return true;
  if (type === "select") return options?.[0] ?? "";
  return String(type).startsWith("array") ? [] : "text";
}

/** The responses to a call, each one the `data` of an event. @param {string} type @param {any} request @returns {any[]} */
export const plausibleAnswer = (type, request) => (PLAUSIBLE[type] ?? (() => [{}]))(request);

/**
 * The events of a typed answer.
 * @param {string} text   JSON: one response, or a list of them
 * @param {string} error  when not empty, the call fails with this text
 * @returns {{events: any[], error: string|null}}
 */
export function answerEvents(text, error) {
  if (error.trim()) return { events: [{ event: "error", message: error.trim() }, { event: "end" }], error: null };
  try {
    const parsed = JSON.parse(text);
    const list = Array.isArray(parsed) ? parsed : [parsed];
    return { events: [...list.map((data) => ({ event: "response", data })), { event: "end" }], error: null };
  } catch (problem) {
    return { events: [], error: `Not JSON: ${problem.message}` };
  }
}
