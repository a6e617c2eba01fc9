// Cases for the answers of models: chunks joined, thinking and Markdown cut, tool calls, usage. Run by ../modules.rs.
const { contentOf, holdsMedia, newAnswer, takeChunk, textOf, tokensPerSecond } = await import("/views/try/collect.js");
const { blocks, segments } = await import("/views/try/think.js");

const chunk = (content, tool_calls = [], more = {}) => ({ delta: { message: { content, tool_calls }, ...more } });
const call = (id, name, args) => ({ id, type: "function", function: { name, arguments: args } });
const joined = (...items) => items.reduce((answer, item, index) => takeChunk(answer, item, (index + 1) * 10), newAnswer());

for (const [name, items, text, parts] of [
  ["texts in order", [chunk("Hel"), chunk("lo"), chunk("")], "Hello", ["text:Hello"]],
  ["null content", [chunk(null), { delta: {} }, {}, null], "", []],
  ["text before and after an image", [chunk("a"), chunk([{ type: "image", detail: "high" }]), chunk("b")], "ab", ["text:a", "image:", "text:b"]],
  ["text parts join texts", [chunk("a"), chunk([{ type: "text", data: "b" }])], "ab", ["text:ab"]],
]) {
  const answer = joined(...items);
  same(name, [textOf(answer), contentOf(answer).map((part) => `${part.type}:${part.data ?? ""}`)], [text, parts]);
}

for (const [name, calls, expected] of [
  ["fragments repeat the id", [call("1", "f", '{"a"'), call("1", "", ":1}")], [["1", "f", '{"a":1}']]],
  ["fragments without an id continue the last", [call("1", "f", "{"), call("", "", "}")], [["1", "f", "{}"]]],
  ["two calls, interleaved", [call("1", "f", "a"), call("2", "g", "b"), call("1", "", "c")], [["1", "f", "ac"], ["2", "g", "b"]]],
  ["a name without an id starts a call", [call("1", "f", ""), call("", "g", "x")], [["1", "f", ""], ["call_1", "g", "x"]]],
  ["a name that arrives late", [call("1", "", ""), call("1", "f", "{}")], [["1", "f", "{}"]]],
  ["arguments as an object", [call("1", "f", { a: 1 })], [["1", "f", '{"a":1}']]],
  ["nothing to continue", [call("", "", "x")], []],
]) {
  const answer = joined(...calls.map((one) => chunk("", [one])));
  same(name, answer.toolCalls.map((one) => [one.id, one.function.name, one.function.arguments]), expected);
}
same("a fragment before any call is reported", joined(chunk("", [call("", "", "x")])).problems.length, 1);
same("an image without detail is reported", joined(chunk([{ type: "image", detail: "" }])).problems.length, 1);
same("media are seen", [holdsMedia(joined(chunk("a"))), holdsMedia(joined(chunk([{ type: "audio" }])))], [false, true]);

const answered = joined(chunk(""), chunk("<think>a"), chunk("b</think>c", [], { usage: { completion_tokens: 30, latency: 2 }, finish_reason: "stop" }), chunk("", [], { usage: null }));
same("times, usage and reason", [answered.firstToken, answered.lastAt, answered.thinking, answered.usage.completion_tokens, answered.finishReason, answered.chunks], [20, 40, { from: 20, to: 30 }, 30, "stop", 4]);
same("speed by the latency", tokensPerSecond(answered), 15);
same("speed by the stream", tokensPerSecond({ usage: { completion_tokens: 30 }, lastAt: 1500 }), 20);
same("no speed without usage", tokensPerSecond(newAnswer()), null);
same("a mark of thinking in pieces", joined(chunk("<thi"), chunk("nk>a</thin"), chunk("k>b")).thinking, { from: 20, to: 30 });
same("opaque bodies stay", joined({ delta: { message: { content: "", opaque_body: { a: 1 } } } }, chunk("x")).opaque, { a: 1 });

for (const [text, expected] of [
  ["a", ["text:a:true"]],
  ["<think>x</think>a", ["thinking:x:false", "text:a:true"]],
  ["<think>x", ["thinking:x:true"]],
  ["a<think>x</think>\n\n<think>y</think>b", ["text:a:false", "thinking:x:false", "thinking:y:false", "text:b:true"]],
  ["", []],
]) same(`segments of ${JSON.stringify(text)}`, segments(text).map((one) => `${one.kind}:${one.text}:${one.open}`), expected);

for (const [text, expected] of [
  ["a\n\nb", ["a\n", "b"]],
  ["a\nb", ["a\nb"]],
  ["```\na\n\nb\n```\n\nc", ["```\na\n\nb\n```\n", "c"]],
  ["```\na\n\nb", ["```\na\n\nb"]],
  ["- a\n\n- b\n\nc", ["- a\n\n- b\n", "c"]],
  ["1. a\n\n   more\n\n2. b", ["1. a\n\n   more\n\n2. b"]],
  ["~~~\n```\n\nx\n~~~\n\ny", ["~~~\n```\n\nx\n~~~\n", "y"]],
  ["\n\n", []],
]) {
  same(`blocks of ${JSON.stringify(text)}`, blocks(text), expected);
}

const { MAX_SHOWN_CHARACTERS, append, isCut, newText, whole } = await import("/views/try/long_text.js");
const grown = newText();
const letters = "0123456789".repeat(3000);
for (let at = 0; at < 20; at += 1) append(grown, letters);
same("a long text is cut for drawing and kept", [grown.shown.length, isCut(grown), grown.length, whole(grown) === letters.repeat(20)], [MAX_SHOWN_CHARACTERS, true, 600_000, true]);
const piece = "x".repeat(16_384);
const begun = performance.now();
const huge = newAnswer();
for (let at = 0; at < 3200; at += 1) takeChunk(huge, chunk(piece), at);
same("50 MB cost their length", [huge.parts.length, huge.parts[0].text.length, performance.now() - begun < 2000], [1, 52_428_800, true]);

const long = "word ".repeat(20_000) + "\n\n" + "<think>".repeat(5000);
const started = performance.now();
segments(long);
blocks(long);
same("long hostile text is cut quickly", performance.now() - started < 500, true);

const { METRICS, bestOf } = await import("/views/try/comparison.js");
for (const [values, better, expected] of [[[1, 2], -1, 0], [[1, 2], 1, 1], [[2, 2], -1, -1], [[null, 2], -1, -1], [[1, 2], 0, -1]]) {
  same(`best of ${values}`, bestOf(values, better), expected);
}
same("metrics of an answer", METRICS.map(({ of }) => of({ milliseconds: 50, answer: { ...answered, usage: { completion_tokens: 30, latency: 2, total_price: "0.5" } } })), [20, 50, 15, 30, 0.5]);
same("metrics without a usage", METRICS.map(({ of }) => of({ milliseconds: 50, answer: newAnswer() })), [null, 50, null, null, null]);
