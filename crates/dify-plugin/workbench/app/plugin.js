// What the server knows of the plugin, kept up to date: fetched at the start and whenever the server reports a change.
import { getJson } from "./api.js";
import { follow } from "./stream.js";
import { store, useStore } from "./store.js";

/**
 * @typedef {import("./types.js").Plugin & {state: "loading"|"ready"|"error", error: any, connection: "open"|"lost"}} Known
 */

/** @type {ReturnType<typeof store<Known>>} */
export const plugin = store({
  state: "loading", error: null, connection: "open", revision: 0, view: null, problems: [], target: null,
});

/** Who hears of what the server reports, by event. */
const listeners = { session: new Set(), log: new Set() };

function listen(event, listener) {
  listeners[event].add(listener);
  return () => listeners[event].delete(listener);
}

/**
 * Calls `listener` with the summary of each session that begins or ends, and with `null` when some were missed; returns how to stop.
 * @param {(summary: any) => void} listener
 */
export const onSession = (listener) => listen("session", listener);

/**
 * Calls `listener` with each line that the plugin logs, and with `null` when some were missed; returns how to stop.
 * @param {(line: import("./logs.js").LogLine|null) => void} listener
 */
export const onLog = (listener) => listen("log", listener);

/** Fetches the plugin again. What is typed on the page is kept: forms hold their values by the name of the form. */
export async function refresh() {
  try {
    plugin.patch({ ...(await getJson("/api/plugin")), state: "ready", error: null });
  } catch (error) {
    plugin.patch({ state: "error", error });
  }
}

/** Begins to follow the server. */
export function start() {
  refresh();
  let lost = false;
  const tell = (event, data) => { for (const listener of [...(listeners[event] ?? [])]) listener(data); };
  const readAgain = () => { refresh(); tell("session", null); tell("log", null); };
  follow("/api/events", (event, data) => {
    if (event === "plugin") refresh();
    if (event === "behind") readAgain();
    tell(event, data);
  }, (state) => {
    if (state === "open" && lost) readAgain();
    lost = state !== "open";
    if (state !== "refused") plugin.patch({ connection: state });
  });
}

/** @returns {Known} */
export const usePlugin = () => useStore(plugin);
