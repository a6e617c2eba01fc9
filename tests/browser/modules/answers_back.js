// Cases for what comes back from tools, and for the answers to calls back into Dify. Run by ../modules.rs.
const { newMessages, takeMessage } = await import("/views/try/tool_messages.js");
const { answerEvents, exampleOf, plausibleAnswer } = await import("/views/try/answers.js");
const { audioOf, imageOf, mimeTypeOf, partType } = await import("/views/try/media.js");
const { cosine } = await import("/views/try/vectors.js");
const { toBase64, utf8 } = await import("/views/try/bytes.js");

const message = (type, body, meta = null) => ({ type, message: body, meta });
const taken = (...items) => items.reduce(takeMessage, newMessages());
same("texts join", taken(message("text", { text: "a" }), message("text", { text: "b" })).entries.map((one) => one.text.shown), ["ab"]);
same("a text after a link is a new one", taken(message("text", { text: "a" }), message("link", { text: "http://x" }), message("text", { text: "b" })).entries.map((one) => one.kind), ["text", "link", "text"]);
const chunked = taken(...["ab", "cd"].map((text, index) => message("blob_chunk", { id: "f", sequence: index, total_length: 4, blob: toBase64(utf8(text)), end: index === 1 })));
same("chunks of a file", [chunked.entries.length, [...chunked.entries[0].bytes]], [1, [97, 98, 99, 100]]);
same("a file that is not whole", taken(message("blob_chunk", { id: "f", blob: "YQ==", end: false })).entries[0].bytes, null);
same("outputs: streamed ones join, others replace", Object.fromEntries(taken(
  message("variable", { variable_name: "s", variable_value: "a", stream: true }), message("variable", { variable_name: "s", variable_value: "b", stream: true }),
  message("variable", { variable_name: "n", variable_value: 1, stream: false }), message("variable", { variable_name: "n", variable_value: 2, stream: false }),
).variables), { s: "ab", n: 2 });
const logs = taken(message("log", { id: "1", label: "Round", status: "start" }), message("log", { id: "2", label: "Call", parent_id: "1", status: "start" }),
  message("log", { id: "1", label: "Round", status: "success" })).logs;
same("the log is a tree that is brought up to date", [logs.length, logs[0].status, logs[0].children[0].label], [1, "success", "Call"]);
for (const odd of [null, {}, { type: "later", message: 1 }, { type: "text" }, { type: "json", message: null }, { type: "blob", message: { blob: "%" } }, { type: "variable" }, { type: "log" }]) {
  same(`an odd message does not fail: ${JSON.stringify(odd)}`, typeof taken(odd), "object");
}

const tool = { name: "f", parameters: { type: "object", properties: { q: { type: "string" } } } };
same("a model that has tools calls the first", plausibleAnswer("llm", { tools: [tool], prompt_messages: [{ role: "user" }] })[0].delta.message.tool_calls[0].function, { name: "f", arguments: '{"q":"text"}' });
same("after the result it answers", plausibleAnswer("llm", { tools: [tool], prompt_messages: [{ role: "tool" }] })[0].delta.message.tool_calls, []);
for (const type of ["llm", "llm_structured_output", "system_summary", "text_embedding", "multimodal_embedding", "rerank", "multimodal_rerank", "tts", "speech2text",
  "moderation", "tool", "app", "fetch_app", "node_parameter_extractor", "node_question_classifier", "upload_file", "storage", "a type of tomorrow"]) {
  const found = plausibleAnswer(type, {});
  same(`an answer for ${type}`, [Array.isArray(found), found.length > 0], [true, true]);
}
same("as many vectors as texts", plausibleAnswer("text_embedding", { texts: ["a", "b", "c"] })[0].embeddings.length, 3);
same("a structured output follows the schema", plausibleAnswer("llm_structured_output", { structured_output_schema: { type: "object", properties: { n: { type: "integer", minimum: 3 } } } })[0].structured_output, { n: 3 });
for (const [schema, expected] of [
  [{ enum: ["b", "a"] }, "b"], [{ const: 5 }, 5], [{ type: "array", items: { type: "boolean" } }, [true]], [{ type: ["null", "string"] }, "text"], [{ default: 7 }, 7], [null, null],
]) same(`example of ${JSON.stringify(schema)}`, exampleOf(schema), expected);
const endless = { type: "object", properties: {} };
endless.properties.again = endless;
same("a schema without an end ends", typeof exampleOf(endless), "object");
same("events", answerEvents('{"a":1}', "").events, [{ event: "response", data: { a: 1 } }, { event: "end" }]);
same("several responses", answerEvents("[1,2]", "").events.length, 3);
same("a failure", answerEvents("[]", " no ").events, [{ event: "error", message: "no" }, { event: "end" }]);
same("not JSON", answerEvents("{", "").error !== null, true);

const audio = (...start) => Uint8Array.from(start.flatMap((one) => (typeof one === "string" ? [...utf8(one)] : [one])));
for (const [bytes, container, codec, plays] of [
  [audio("ID3"), "MP3", "MP3", true], [audio(0xff, 0xfb, 0x90), "MP3", "MP3", true], [audio(0xff, 0xf1, 0x50), "ADTS", "AAC", false],
  [audio("RIFF", 0, 0, 0, 0, "WAVEfmt ", 16, 0, 0, 0, 1, 0), "WAV", "PCM", false], [audio("OggS", 0, 2, "OpusHead"), "Ogg", "Opus", false],
  [audio("fLaC"), "FLAC", "FLAC", false], [audio(0, 0, 0, 32, "ftypM4A "), "MP4", "AAC, as a rule", false],
  [audio(0x1a, 0x45, 0xdf, 0xa3, "A_OPUS"), "WebM", "Opus", false], [audio(1, 2, 3), "unknown container", "raw samples, perhaps", false], [audio(), "unknown container", "raw samples, perhaps", false],
]) {
  const found = audioOf(bytes);
  same(`audio ${container}`, [found.container, found.codec, found.playsInDify], [container, codec, plays]);
}
for (const [bytes, type] of [[audio(0x89, "PNG"), "image/png"], [audio(0xff, 0xd8, 0xff), "image/jpeg"], [audio("GIF89a"), "image/gif"], [audio("<svg"), null], [audio("<!doctype html>"), null]]) {
  same(`image ${type}`, imageOf(bytes), type);
}
same("types of parts", ["image/png", "audio/x", "video/y", "text/plain", ""].map(partType), ["image", "audio", "video", "document", "document"]);
same("types by name", [{ name: "a.PDF", type: "" }, { name: "a", type: "" }, { name: "a.png", type: "image/x" }].map(mimeTypeOf), ["application/pdf", "application/octet-stream", "image/x"]);
same("nearness", [cosine([1, 0], [1, 0]), cosine([1, 0], [0, 1]), cosine([0], [0])], [1, 0, 0]);
