// Cases for what is sent: messages, files, tools, schemas, parameters, HTTP requests, credentials. Run by ../modules.rs.
const { filePart, promptMessages, responseSchema, toolDefinitions } = await import("/views/try/messages.js");
const { rawRequest, parseResponse } = await import("/views/try/raw_http.js");
const { fromBase64, fromHex, fromUtf8, toBase64, toHex, utf8 } = await import("/views/try/bytes.js");
const { modelParameters, samples, sentValues } = await import("/views/try/values.js");
const { formOfRules } = await import("/views/try/rules_form.js");
const { valuesToStore } = await import("/views/try/credentials.js");
const requests = await import("/views/try/requests.js");

const file = { name: "a.png", mimeType: "image/png", base64: "AAA", bytes: 2 };
const messages = promptMessages([
  { id: "1", role: "user", text: "Look", files: [file] },
  { id: "2", role: "assistant", text: "", toolCalls: [{ id: "c", function: { name: "f", arguments: "{}" } }], opaque: { s: 1 } },
  { id: "3", role: "tool", text: "42", call: { id: "c", name: "f" } },
  { id: "4", role: "user", text: "Go on" },
], "Be brief.");
same("roles", messages.map((one) => one.role), ["system", "user", "assistant", "tool", "user"]);
same("a text alone is a string", messages[4], { role: "user", content: "Go on", name: "", tool_calls: null, tool_call_id: "" });
same("every member of a part is present", Object.keys(messages[1].content[1]).sort(),
  ["base64_data", "data", "detail", "encode_format", "filename", "format", "mime_type", "type", "url"]);
same("an image has a detail", [messages[1].content[1].type, messages[1].content[1].format, messages[1].content[1].detail], ["image", "png", "high"]);
same("the private JSON goes back", messages[2].opaque_body, { s: 1 });
same("a result names its call", [messages[3].name, messages[3].tool_call_id], ["f", "c"]);
same("no system prompt, no message", promptMessages([], "  "), []);
for (const [mimeType, type, format] of [["audio/mpeg", "audio", "mpeg"], ["video/mp4", "video", "mp4"], ["application/pdf", "document", "pdf"],
  ["text/plain; charset=utf-8", "document", "plain"], ["image/svg+xml", "image", "svg"]]) {
  const part = filePart({ ...file, mimeType });
  same(`part of ${mimeType}`, [part.type, part.format], [type, format]);
}

for (const [text, names, failed] of [
  ["", [], false], ["[]", [], false], ['[{"name":"f"}]', ["f"], false], ['{"name":"f","input_schema":{"type":"object"}}', ["f"], false],
  ['[{"type":"function","function":{"name":"g","parameters":{}}}]', ["g"], false], ["[{}]", [], true], ["[1]", [], true], ["null", [], true], ["{", [], true],
]) {
  const { tools, error } = toolDefinitions(text);
  same(`tools ${text}`, [tools.map((one) => one.name), error !== null], [names, failed]);
}
for (const [text, failed] of [["", false], ["{}", false], ["[]", true], ["null", true], ["1", true], ["{", true]]) {
  same(`schema ${text}`, responseSchema(text).error !== null, failed);
}

for (const [request, expected] of [
  [{ method: "get", path: "/a?b=1", headers: "", body: "" }, "GET /a?b=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"],
  [{ method: "POST", path: "/", headers: "X: 1\nHost: h\nContent-Length: 99\n\n", body: "é" }, "POST / HTTP/1.1\r\nX: 1\r\nHost: h\r\nContent-Length: 2\r\n\r\né"],
]) same("raw request", fromUtf8(fromHex(rawRequest(request).hex)), expected);
for (const bad of [{ method: "GET /x", path: "/" }, { method: "GET", path: "a" }, { method: "GET", path: "/a b" }, { method: "GET", path: "/", headers: "no colon" },
  { method: "GET", path: "/", headers: "a b: c" }, { method: "GET", path: "/\r\nX: 1" }]) {
  same(`refused ${JSON.stringify(bad)}`, rawRequest({ headers: "", body: "", ...bad }).error !== null, true);
}
const response = parseResponse(utf8("HTTP/1.1 204 No Content\r\nA: b:c\r\n\r\nbody"));
same("response", [response.status, response.headers, fromUtf8(response.body)], ["204 No Content", [["A", "b:c"]], "body"]);
same("response without an end of its head", parseResponse(utf8("HTTP/1.1 200 OK")).body.length, 0);

const bytes = Uint8Array.from({ length: 20_000 }, (_, index) => index % 256);
same("hexadecimal there and back", fromHex(toHex(bytes)).every((byte, index) => byte === bytes[index]), true);
same("Base64 there and back", fromBase64(toBase64(bytes)).every((byte, index) => byte === bytes[index]), true);
for (const text of ["a", "zz", null, 5, "0x12"]) same(`not hexadecimal: ${text}`, fromHex(text), null);
same("not Base64", fromBase64("%%%"), null);
same("a data URI", fromUtf8(fromBase64("data:text/plain;base64,aGk=")), "hi");

same("parameters that are set", modelParameters({ temperature: 0, top_p: undefined, seed: "", json: false, stop: ["x"] }), { temperature: 0, json: false });
const field = (variable, type, more = {}) => ({ variable, type, required: true, initial: null, default: null, show_on: [], ...more });
same("samples for selectors and defaults", Object.keys(samples({ fields: [field("m", "model-selector"), field("t", "array[tools]"), field("n", "number", { min: 3 }),
  field("d", "string", { default: "x" }), field("o", "any"), field("q", "string", { required: false })] })), ["m", "t", "n", "d"]);
same("hidden and empty fields are not sent", sentValues([{ fields: [field("a", "string"), field("b", "string", { show_on: [{ variable: "a", value: "y" }] })] }, null], { a: "x", b: "z" }),
  { values: { a: "x" }, errors: [] });

const secret = { fields: [field("key", "secret-input", { control: "password" }), field("url", "text-input"), field("__authorization_name__", "text-input")] };
for (const [name, values, touched, kept, expected] of [
  ["a new secret", { key: "s", url: "u", __authorization_name__: "n" }, { key: "s" }, undefined, { key: "s", url: "u" }],
  ["an untouched secret", { key: "abc***", url: "v" }, { url: "v" }, { key: "abc***", url: "u" }, { key: "[__HIDDEN__]", url: "v" }],
  ["a secret that is typed again", { key: "new", url: "u" }, { key: "new" }, { key: "abc***", url: "u" }, { key: "new", url: "u" }],
  ["an emptied secret", { key: "", url: "u" }, { key: "" }, { key: "abc***" }, { url: "u" }],
]) same(name, valuesToStore(secret, values, touched, kept), expected);

for (const [rule, control, step] of [
  [{ type: "float", min: 0, max: 2 }, "slider", 0.1], [{ type: "int", min: 1, max: 50 }, "slider", 1], [{ type: "int", min: 1, max: 500 }, "slider", 10],
  [{ type: "int", min: 1, max: 8192 }, "slider", 100], [{ type: "float", min: 0, precision: 2 }, "number", 0.2], [{ type: "string", options: ["a"] }, "select", null],
  [{ type: "string" }, "text", null], [{ type: "text" }, "text-area", null], [{ type: "boolean" }, "boolean", null],
]) {
  const [made] = formOfRules({ parameter_rules: [{ name: "x", ...rule }] }).fields;
  same(`control of ${JSON.stringify(rule)}`, [made.control, made.step], [control, step]);
}

const own = { provider: "p", model: "m", type: "llm", own: true, declared: null };
same("credentials of a model", [requests.modelKey("p", "llm", "m", true), requests.modelKey("p", "llm", "m", false)], ["model/p/llm/m", "model/p"]);
for (const call of [
  requests.model.validateProvider("p"), requests.model.schema(own), requests.model.chat(own, { messages: [], parameters: {}, tools: [], stop: [], schema: null }),
  requests.model.speak(own, "t", "v"), requests.tool.invoke("p", "t", {}), requests.endpoint("00"), requests.strategy("p", "s", {}),
  requests.datasource.browse("p", "d", {}), requests.trigger.dispatch("p", {}, "00"), requests.oauth.address("p", "r", {}), requests.options("tool", "p", "t", "x"),
]) {
  same(`no credential in the body of ${call.action}`, ["credentials" in call.data, typeof call.type, call.answers], [false, "string", "scripted"]);
}
