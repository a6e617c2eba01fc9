// A value that components follow. Not a framework: one value, listeners, and a hook.
import { useEffect, useState } from "./dom.js";

/**
 * @template T
 * @param {T} first
 */
export function store(first) {
  let value = first;
  const listeners = new Set();
  return {
    /** @returns {T} */
    get: () => value,
    /** @param {T} next */
    set(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const listener of [...listeners]) listener(value);
    },
    /** @param {Partial<T>} change  keys that take a new value */
    patch(change) {
      this.set({ ...value, ...change });
    },
    /** @param {(value: T) => void} listener */
    follow(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** The present value of a store; the component is drawn again when it changes. */
export function useStore(source) {
  const [value, set] = useState(source.get());
  useEffect(() => {
    set(source.get());
    return source.follow((next) => set(() => next));
  }, [source]);
  return value;
}
