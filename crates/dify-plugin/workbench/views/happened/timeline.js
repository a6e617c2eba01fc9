// The two lanes of a session on one time axis, as numbers: where frames, phases and chunks lie, and which belong together. Drawing
// is in lanes.js.

/** @typedef {{at: number, direction: "in"|"out", kind: string, bytes: number, redacted: boolean, text: string, truncated: boolean}} Frame */
/**
 * @typedef {{id: string, attempt: number, method: string, url: string, status: number|null, at: number,
 *   phases: {queued: number|null, connected: number|null, first_byte: number|null, ended: number|null},
 *   request: any, response: any, error: string|null, redacted: boolean, reused?: boolean|null, open?: boolean}} Exchange
 */
/** What is selected: a frame, an exchange, or one of its chunks. @typedef {{frame?: number, exchange?: string, chunk?: number}} Selection */

const chunksOf = (exchange) => exchange.response?.chunks ?? [];

/** When an exchange ended, or the last that is known of it. @param {Exchange} exchange */
export function endOf(exchange) {
  const { queued, connected, first_byte: firstByte, ended } = exchange.phases ?? {};
  return Math.max(exchange.at, queued ?? 0, connected ?? 0, firstByte ?? 0, ended ?? 0, chunksOf(exchange).at(-1)?.[0] ?? 0);
}

/** The length of the axis in ms, at least 1. @param {{frames: Frame[], exchanges: Exchange[], milliseconds?: number}} session */
export function duration(session) {
  let end = Math.max(session.milliseconds ?? 0, 1);
  for (const frame of session.frames) end = Math.max(end, frame.at);
  for (const exchange of session.exchanges) end = Math.max(end, endOf(exchange));
  return end;
}

const PHASES = [["queue", "queued"], ["connect", "connected"], ["wait", "first_byte"]];

/**
 * The phases of an exchange one after the other; a phase without a time is part of the next one. The last one lasts to the end.
 * @param {Exchange} exchange
 * @param {number} [now]  where one that goes on ends for the time being
 * @returns {{name: string, from: number, to: number}[]}
 */
export function phasesOf(exchange, now = 0) {
  const found = [];
  let from = exchange.at;
  for (const [name, key] of PHASES) {
    const to = exchange.phases?.[key];
    if (to === null || to === undefined) continue;
    if (to > from) found.push({ name, from, to });
    from = Math.max(from, to);
  }
  const end = Math.max(endOf(exchange), exchange.open ? now : 0);
  if (end > from) found.push({ name: lastPhaseOf(exchange), from, to: end });
  return found;
}

function lastPhaseOf({ phases, reused }) {
  if (phases?.first_byte != null) return "receive";
  const wasConnecting = reused === false && phases?.queued != null && phases.connected == null;
  return wasConnecting ? "connect" : "wait";
}

/** Round times for the labels of an axis: at most `most` of them. @param {number} length @param {number} most */
export function axisTicks(length, most = 8) {
  const raw = length / most;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= raw) ?? raw;
  const ticks = [];
  for (let at = 0; at <= length + step * 1e-9; at += step) ticks.push(at);
  return ticks;
}

/** The index of the last time that is not later than `at`, or -1. @param {ArrayLike<any>} list @param {(entry: any) => number} timeOf */
function lastAt(list, at, timeOf) {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (timeOf(list[middle]) <= at) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Clocks of the two lanes are read one after the other. */
const TOLERANCE_MS = 1;

/**
 * What belongs to a selection in the other lane: to an item the chunk that it was made of, to a chunk the next item, to a request
 * the first exchange, and to an exchange the frame before it.
 * @param {{frames: Frame[], exchanges: Exchange[]}} session
 * @param {Selection|null} selection
 * @returns {Selection|null}
 */
export function counterpart(session, selection) {
  if (!selection) return null;
  if (selection.frame !== undefined) return ofFrame(session, session.frames[selection.frame]);
  const exchange = session.exchanges.find((one) => one.id === selection.exchange);
  if (!exchange) return null;
  if (selection.chunk === undefined) {
    const before = lastAt(session.frames, exchange.at + TOLERANCE_MS, (frame) => frame.at);
    return before < 0 ? null : { frame: before };
  }
  const at = chunksOf(exchange)[selection.chunk]?.[0];
  const next = session.frames.findIndex((frame) => frame.at >= at - TOLERANCE_MS && frame.direction === "out" && frame.kind !== "log");
  return next < 0 ? null : { frame: next };
}

function ofFrame(session, frame) {
  if (!frame || session.exchanges.length === 0) return null;
  if (frame.direction === "in") {
    const next = session.exchanges.find((exchange) => exchange.at >= frame.at - TOLERANCE_MS);
    return next ? { exchange: next.id } : null;
  }
  let best = null;
  for (const exchange of session.exchanges) {
    const chunks = chunksOf(exchange);
    const chunk = lastAt(chunks, frame.at + TOLERANCE_MS, ([at]) => at);
    if (chunk >= 0 && (!best || chunks[chunk][0] >= best.at)) best = { at: chunks[chunk][0], exchange: exchange.id, chunk };
  }
  if (best) return { exchange: best.exchange, chunk: best.chunk };
  const begun = session.exchanges.findLast((exchange) => exchange.at <= frame.at + TOLERANCE_MS);
  return begun ? { exchange: begun.id } : null;
}

/** The frame or chunk that is nearest to a time. @param {ArrayLike<any>} list @param {number} at @param {(entry: any) => number} timeOf */
export function nearest(list, at, timeOf) {
  if (list.length === 0) return -1;
  const before = lastAt(list, at, timeOf);
  if (before < 0) return 0;
  if (before + 1 >= list.length) return before;
  return at - timeOf(list[before]) <= timeOf(list[before + 1]) - at ? before : before + 1;
}

/**
 * Vertical strokes as one path: at most one a pixel, so that ten thousand ticks are drawn as quickly as a hundred.
 * @param {number[]} times
 * @param {(at: number) => number} x
 */
export function strokes(times, x, top, bottom) {
  let path = "";
  let last = null;
  for (const at of times) {
    const pixel = Math.round(x(at) * 2) / 2;
    if (pixel !== last) path += `M${pixel} ${top}V${bottom}`;
    last = pixel;
  }
  return path;
}
