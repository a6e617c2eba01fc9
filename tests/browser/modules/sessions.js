// Cases for "See what happened": the lanes and what belongs together in them, filters, numbers, recordings. Run by ../modules.rs.
const { axisTicks, counterpart, duration, endOf, nearest, phasesOf, strokes } = await import("/views/happened/timeline.js");
const { goesOn, pathOfNews, withNews } = await import("/views/happened/growth.js");
const { frameValues, parseFilter, passes } = await import("/views/happened/filter.js");
const { gapBins, seriesOf, sessionNumbers, short, speed } = await import("/views/happened/numbers.js");
const { lineOf, recordingName, recordingOf } = await import("/views/happened/recording.js");
const { previewOf } = await import("/views/happened/frames.js");

const frame = (at, direction, kind, text = "{}") => ({ at, direction, kind, bytes: text.length, redacted: false, text, truncated: false });
const exchange = (id, at, phases, chunks = [], rest = {}) => ({
  id, attempt: 1, method: "POST", url: "https://x/", status: 200, at, phases: { queued: null, connected: null, first_byte: null, ended: null, ...phases },
  request: {}, response: { chunks }, error: null, redacted: false, ...rest,
});

for (const [name, one, expected] of [
  ["all phases", exchange("e", 10, { queued: 12, connected: 20, first_byte: 50, ended: 90 }), ["queue 10-12", "connect 12-20", "wait 20-50", "receive 50-90"]],
  ["a connection that was open", exchange("e", 10, { queued: 10, connected: 10, first_byte: 50, ended: 60 }), ["wait 10-50", "receive 50-60"]],
  ["a connection that is used again", exchange("e", 10, { queued: 11, first_byte: 50, ended: 60 }, [], { reused: true }), ["queue 10-11", "wait 11-50", "receive 50-60"]],
  ["a connection that failed", exchange("e", 0, { queued: 1, ended: 100 }, [], { reused: false }), ["queue 0-1", "connect 1-100"]],
  ["an open connection without an answer", exchange("e", 0, { queued: 1, ended: 100 }, [], { reused: true }), ["queue 0-1", "wait 1-100"]],
  ["still receiving", exchange("e", 0, { first_byte: 5 }, [[6, 1], [30, 1]]), ["wait 0-5", "receive 5-30"]],
  ["never answered", exchange("e", 0, { queued: 1, connected: 4, ended: 100 }), ["queue 0-1", "connect 1-4", "wait 4-100"]],
  ["nothing known", exchange("e", 7, {}), []],
]) same(`phases: ${name}`, phasesOf(one).map((phase) => `${phase.name} ${phase.from}-${phase.to}`), expected);
same("one that goes on lasts until now", phasesOf(exchange("e", 5, {}, [], { open: true }), 40), [{ name: "wait", from: 5, to: 40 }]);
same("the end of an exchange", endOf(exchange("e", 1, { first_byte: 3 }, [[4, 1], [9, 1]])), 9);

const session = {
  milliseconds: 50,
  frames: [frame(0, "in", "request"), frame(31, "out", "item"), frame(41, "out", "item"), frame(45, "out", "callback"), frame(60, "in", "answer"), frame(95, "out", "end")],
  exchanges: [exchange("a", 2, { first_byte: 20, ended: 42 }, [[30, 5], [40, 5]]), exchange("b", 61, { first_byte: 80, ended: 90 }, [[81, 5]])],
};
same("the length of the axis", duration(session), 95);
same("the length of nothing", duration({ frames: [], exchanges: [] }), 1);
for (const [selection, expected] of [
  [{ frame: 0 }, { exchange: "a" }], [{ frame: 1 }, { exchange: "a", chunk: 0 }], [{ frame: 2 }, { exchange: "a", chunk: 1 }], [{ frame: 4 }, { exchange: "b" }],
  [{ frame: 5 }, { exchange: "b", chunk: 0 }], [{ exchange: "a" }, { frame: 0 }], [{ exchange: "a", chunk: 0 }, { frame: 1 }], [{ exchange: "a", chunk: 1 }, { frame: 2 }],
  [{ exchange: "b" }, { frame: 4 }], [{ exchange: "b", chunk: 0 }, { frame: 5 }], [{ exchange: "gone" }, null], [{ frame: 99 }, null], [null, null],
]) same(`counterpart of ${JSON.stringify(selection)}`, counterpart(session, selection), expected);
same("no upstream, no counterpart", counterpart({ frames: session.frames, exchanges: [] }, { frame: 1 }), null);

const read = withNews(null, { id: "s", state: "running", change: 2, frames: [1], exchanges: [exchange("a", 0, {}, [], { open: true })] });
same("what is asked for next", [pathOfNews("s", null), pathOfNews("s", read)], ["/api/sessions/s?frames=0&change=0", "/api/sessions/s?frames=1&change=2"]);
const more = withNews(read, { id: "s", state: "ended", change: 4, frames: [2, 3], exchanges: [exchange("b", 9, {})], grown: [{ id: "a", bytes: 3, chunks: [[1, 3]] }] });
same("what is new is added", [more.frames, more.exchanges.map((one) => one.id), more.exchanges[0].response, more.change, more.grown], [[1, 2, 3], ["a", "b"], { chunks: [[1, 3]], bytes: 3 }, 4, undefined]);
same("what was read stays as it was", [read.frames, read.exchanges[0].response.chunks], [[1], []]);
const last = withNews(more, { id: "s", state: "ended", change: 5, frames: [], exchanges: [exchange("a", 0, { ended: 2 })], grown: [] });
same("an exchange that ended is replaced", [last.exchanges.map((one) => one.phases.ended), last.frames === more.frames], [[2, null], true]);
same("until when more may come", [goesOn(read), goesOn(more), goesOn(last)], [true, true, false]);

for (const [length, most, last] of [[100, 8, 100], [3580, 8, 3500], [1, 4, 1], [90_000, 5, 80_000]]) {
  const ticks = axisTicks(length, most);
  same(`ticks of ${length}`, [ticks[0], ticks.at(-1), ticks.length <= most + 1], [0, last, true]);
}
same("nearest", [[], [5], [0, 10], [0, 10], [0, 10]].map((list, index) => nearest(list, [1, 9, 4, 6, 99][index], (one) => one)), [-1, 0, 0, 1, 1]);
const many = Array.from({ length: 100_000 }, (_, index) => index / 1000);
same("a hundred thousand ticks are one stroke a pixel", strokes(many, (at) => at, 0, 1).split("M").length - 1 <= 202, true);

for (const [text, expected] of [
  ["", true], ["hello", true], ["HELLO world", true], ["absent", false], ["kind:item", true], ["kind:it", true], ["kind:end", false], ["dir:out bytes:>10", true],
  ["bytes:<10", false], ["other:1", false], ["https://x", false],
]) same(`filter ${text}`, passes(parseFilter(text), "say hello world", frameValues(frame(1, "out", "item", "say hello world"))), expected);

const numbers = sessionNumbers({
  milliseconds: 1000, usage: { completion_tokens: 50, latency: 2 },
  frames: [frame(0, "in", "request"), frame(100, "out", "item", '{"delta":{"message":{"content": ""}}}'), frame(130, "out", "item", '{"delta":{"message":{"content":"a"}}}'), frame(230, "out", "item"), frame(240, "out", "end")],
});
same("numbers of a session", [numbers.firstItem, numbers.firstToken, numbers.gaps, numbers.longestGap, numbers.tokensPerSecond], [100, 130, [30, 100], 100, 25]);
same("speed without latency", [speed({ usage: { completion_tokens: 10 }, milliseconds: 500 }), speed({ usage: null, milliseconds: 5 })], [20, null]);
same("bins", gapBins([0, 1, 3, 3, 600]).map((bin) => bin.count), [1, 1, 2, 0, 0, 0, 0, 0, 0, 1]);
same("no bins", gapBins([]), []);
same("series: oldest first, without what has no value", seriesOf([{ id: "2", state: "ended", v: 5 }, { id: "1", state: "running", v: 4 }, { id: "0", state: "failed", v: null }, { id: "z", state: "ended", v: 1 }], (one) => one.v).map((one) => one.id), ["z", "2"]);
same("short numbers", [0, 0.000636, 133.333, 12345.6].map(short), ["0", "0.000636", "133", "12,346"]);

for (const [name, files, expected] of [
  ["a document", [{ name: "s.json", text: '{"frames":[],"exchanges":[]}' }], { frames: [], exchanges: [] }],
  ["files of a directory", [{ name: "a.json", text: "{}" }, { name: "b", text: "x" }], { files: { "a.json": "{}", b: "x" } }],
  ["one file of a directory", [{ name: "a.txt", text: "x\ny\n" }], { files: { "a.txt": "x\ny\n" } }],
  ["one line of a log", [{ name: "log", text: "time=1 msg=x\n" }], { line: "time=1 msg=x" }],
]) same(`recording: ${name}`, recordingOf(files).body, expected);
same("no file", recordingOf([]).error !== null, true);
same("a line", lineOf("  a  "), { line: "a" });
same("the name of a file", recordingName({ id: "s1", action: "invoke_llm", model: "a/b:c", started: "2026-11-27T21:00:00Z" }), "invoke_llm-a_b_c-20261127T210000Z.json");

for (const [text, expected] of [
  ['{"delta":{"message":{"content":"hi"}}}', '"hi"'], ['{"delta":{"message":{"content":[{"type":"image"}]}}}', "image"],
  ['{"delta":{"message":{"content":"","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}}}', "f({})"],
  ['{"delta":{"message":{"content":""},"usage":{"total_tokens":5},"finish_reason":"stop"}}', "stop: 5 tokens"], ["not JSON", "not JSON"], ["null", "null"],
]) same(`preview of ${text}`, previewOf(frame(0, "out", "item", text)), expected);
