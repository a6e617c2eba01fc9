// The one place that knows which library draws: Preact with its hooks, and htm in the place of JSX. Views import from here.
import { createElement, Fragment, render, createContext } from "../vendor/preact.js";
import htm from "../vendor/htm.js";

export { createElement, Fragment, render, createContext };
export {
  useCallback, useContext, useEffect, useErrorBoundary, useId, useLayoutEffect, useMemo, useReducer, useRef, useState,
} from "../vendor/hooks.js";

/** A template literal that yields Preact nodes. Values in it are text or attributes, never markup. */
export const html = htm.bind(createElement);
