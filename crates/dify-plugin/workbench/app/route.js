// The place in the page: `#/view/part/part`. A route selects what is shown; it never runs anything.
import { store, useStore } from "./store.js";

export const VIEWS = ["drawn", "try", "happened", "problems"];

/** @returns {{view: string, parts: string[]}} */
function read() {
  const [view, ...parts] = location.hash.replace(/^#\/?/, "").split("/");
  const decode = (part) => { try { return decodeURIComponent(part); } catch { return part; } };
  return VIEWS.includes(view) ? { view, parts: parts.map(decode) } : { view: "drawn", parts: [] };
}

export const route = store({ view: "drawn", parts: [] });

/** Begins to follow the address. */
export function followAddress() {
  route.set(read());
  addEventListener("hashchange", () => route.set(read()));
}

/** The address of a place. @param {string} view @param {...string} parts */
export const address = (view, ...parts) => `#/${[view, ...parts.map(encodeURIComponent)].join("/")}`;

/** Goes to a place. @param {string} view @param {...string} parts */
export function go(view, ...parts) {
  location.hash = address(view, ...parts);
}

export const useRoute = () => useStore(route);
