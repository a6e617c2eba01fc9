// The numbers of a session and of many sessions, for charts and for the line of usage.

const isItem = (frame) => frame.direction === "out" && frame.kind === "item";

/** Whether an item of a language model holds content: its text, a part, or a tool call. */
function holdsContent(text) {
  return /"content":\s*(?:"[^"]|\[\s*\{)|"tool_calls":\s*\[\s*\{/.test(text);
}

/**
 * @param {{frames: import("./timeline.js").Frame[], milliseconds: number, usage: any}} session
 * @returns {{firstItem: number|null, firstToken: number|null, gaps: number[], longestGap: number|null, tokensPerSecond: number|null, bytesOut: number}}
 */
export function sessionNumbers(session) {
  const items = session.frames.filter(isItem);
  const gaps = items.slice(1).map((frame, index) => frame.at - items[index].at);
  const first = items[0]?.at ?? null;
  const token = items.find((frame) => holdsContent(frame.text))?.at ?? null;
  return {
    firstItem: first, firstToken: token, gaps, longestGap: gaps.length ? Math.max(...gaps) : null,
    tokensPerSecond: speed(session), bytesOut: items.reduce((sum, frame) => sum + frame.bytes, 0),
  };
}

/** Completion tokens by the latency of the usage, else by the whole time. @param {any} summary */
export function speed({ usage, milliseconds }) {
  const tokens = usage?.completion_tokens;
  const seconds = usage?.latency || milliseconds / 1000;
  return tokens && seconds ? tokens / seconds : null;
}

/** The series of the charts over sessions, oldest first; sessions without the value are left out. */
export const SERIES = [
  { id: "latency", title: "Duration", unit: "ms", of: (one) => one.milliseconds },
  { id: "tokens", title: "Tokens", unit: "", of: (one) => one.usage?.total_tokens ?? null },
  { id: "speed", title: "Tokens per second", unit: "/s", of: speed },
  { id: "price", title: "Price", unit: "", of: (one) => (one.usage?.total_price === undefined ? null : Number(one.usage.total_price)) },
];

/**
 * @param {any[]} summaries  newest first
 * @param {(summary: any) => number|null} of
 * @param {number} most
 */
export function seriesOf(summaries, of, most = 60) {
  return summaries.filter((one) => one.state !== "running").map((one) => ({ id: one.id, label: one.action, value: of(one) }))
    .filter(({ value }) => typeof value === "number" && Number.isFinite(value)).slice(0, most).reverse();
}

/** Gaps in bins of growing width, so that one long gap is seen beside many short ones. @param {number[]} gaps */
export function gapBins(gaps) {
  const bounds = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, Infinity];
  const bins = bounds.map((to, index) => ({ from: index ? bounds[index - 1] : 0, to, count: 0 }));
  for (const gap of gaps) bins.find((bin) => gap < bin.to || bin.to === Infinity).count += 1;
  const first = bins.findIndex((bin) => bin.count > 0);
  const last = bins.findLastIndex((bin) => bin.count > 0);
  return first < 0 ? [] : bins.slice(first, last + 1);
}

/** A number for people: three significant digits. @param {number} value */
export function short(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(3)));
}
