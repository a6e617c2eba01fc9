// What the plugin logs, kept up to date: fetched once, then line by line as the server reports it. How lines are drawn is in
// views/happened/log.js.
import { getJson } from "./api.js";
import { useEffect } from "./dom.js";
import { onLog } from "./plugin.js";
import { store, useStore } from "./store.js";

/** Lines that are kept here; the server keeps no more. */
const MAX_LINES = 1000;

/**
 * @typedef {{number: number, time: string, source: "stderr"|"protocol", level: string, text: string, sessions: string[]}} LogLine
 */

/** @type {ReturnType<typeof store<LogLine[]>>} the oldest first */
const lines = store([]);

/** Both lists in order, each line once. @param {LogLine[]} known @param {LogLine[]} more */
export function merged(known, more) {
  const byNumber = new Map([...known, ...more].map((line) => [line.number, line]));
  return [...byNumber.values()].sort((a, b) => a.number - b.number).slice(-MAX_LINES);
}

const take = (more) => lines.set(merged(lines.get(), more));
const read = () => getJson("/api/logs").then((found) => take(found ?? []), () => {});
onLog((line) => (line ? take([line]) : read()));

/** The lines of the run. @returns {LogLine[]} */
export function useLogs() {
  useEffect(() => { read(); }, []);
  return useStore(lines);
}
