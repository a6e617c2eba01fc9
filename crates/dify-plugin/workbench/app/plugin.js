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

const sessionListeners = new Set();

/**
 * Calls `listener` with the summary of each session that begins or ends, and with `null` when some were missed; returns how to stop.
 * @param {(summary: any) => void} listener
 */
export function onSession(listener) {
  sessionListeners.add(listener);
  return () => sessionListeners.delete(listener);
}

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
  const tell = (summary) => { for (const listener of [...sessionListeners]) listener(summary); };
  const readAgain = () => { refresh(); tell(null); };
  follow("/api/events", (event, data) => {
    if (event === "plugin") refresh();
    if (event === "session") tell(data);
    if (event === "behind") readAgain();
  }, (state) => {
    if (state === "open" && lost) readAgain();
    lost = state !== "open";
    if (state !== "refused") plugin.patch({ connection: state });
  });
}

/** @returns {Known} */
export const usePlugin = () => useStore(plugin);
