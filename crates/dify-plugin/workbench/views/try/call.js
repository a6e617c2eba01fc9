// One call at a time: start, events, stop. Events are taken in as they arrive and drawn once per animation frame, so that a fast
// stream does not draw more often than the screen shows. What a call means is for its view.
import { useCallback, useEffect, useReducer, useRef } from "../../app/dom.js";
import { postJson, request } from "../../app/api.js";
import { eventsOf } from "../../app/stream.js";

/** Items beyond these are counted and not kept; "See what happened" has them. */
const MAX_KEPT_ITEMS = 2000;
const MAX_KEPT_CHARACTERS = 4_000_000;

/**
 * @template T
 * @typedef {object} Run
 * @property {"idle"|"running"|"ended"|"failed"|"cancelled"} state
 * @property {string|null} session
 * @property {T} result        what the items were folded into
 * @property {{at: number, item: any}[]} items
 * @property {number} count    of all items
 * @property {number} characters  of all events
 * @property {{call: string, type: string, request: any, at: number, state: "open"|"answered"|"scripted", error: string|null}[]} callbacks
 * @property {{kind: string, message: string, hint?: string|null}|null} error
 * @property {number} milliseconds
 */

/** @template T @param {T} result @param {Run<T>["state"]} [state] @returns {Run<T>} */
export const newRun = (result, state = "idle") => ({
  state, session: null, result, items: [], count: 0, characters: 0, callbacks: [], error: null, milliseconds: 0,
});

/** Calls `draw` once in the next frame; a hidden tab has no frames, so a timer does it there. */
function nextFrame(draw) {
  if (document.hidden) setTimeout(draw, 100);
  else requestAnimationFrame(draw);
}

/**
 * @template T
 * @param {() => T} begin                                 what items are folded into
 * @param {(result: T, item: any, at: number) => unknown} take  changes it in place
 */
export function useCall(begin, take) {
  const [, redraw] = useReducer((count) => count + 1, 0);
  const run = useRef(/** @type {Run<T>} */ (null));
  run.current ??= newRun(begin());
  const abort = useRef(/** @type {AbortController|null} */ (null));
  const waiting = useRef(false);
  const draw = useCallback(() => {
    if (waiting.current) return;
    waiting.current = true;
    nextFrame(() => {
      waiting.current = false;
      redraw();
    });
  }, []);
  useEffect(() => () => abort.current?.abort(), []);

  const start = useCallback(async (call) => {
    abort.current?.abort();
    const controller = new AbortController();
    const own = newRun(begin(), "running");
    abort.current = controller;
    run.current = own;
    redraw();
    await perform(call, own, take, controller.signal, draw);
    redraw();
    return own;
  }, []);

  const stop = useCallback(() => abort.current?.abort(), []);

  const answer = useCallback(async (id, events) => {
    const own = run.current;
    const callback = own.callbacks.find((one) => one.call === id);
    if (!callback || !own.session) return;
    callback.state = "answered";
    redraw();
    try {
      await postJson(`/api/sessions/${encodeURIComponent(own.session)}/answers`, { call: id, events });
    } catch (error) {
      Object.assign(callback, { state: "open", error: error?.message ?? String(error) });
    }
    redraw();
  }, []);

  return { run: run.current, start, stop, answer };
}

/**
 * Makes a call and takes its events into `run`, until it is over.
 * @param {any} call
 * @param {Run<any>} run       whose state is `running`
 * @param {(result: any, item: any, at: number) => unknown} take
 * @param {AbortSignal} signal  aborting it cancels the call
 * @param {() => void} draw     called after each event
 */
export async function perform(call, run, take, signal, draw) {
  const started = performance.now();
  const typed = call.answers === "typed";
  try {
    const response = await request("/api/calls", { method: "POST", body: call, signal, accept: "text/event-stream" });
    for await (const { event, data } of eventsOf(response)) {
      run.characters += data.length;
      receive(run, event, JSON.parse(data), take, typed);
      draw();
    }
    if (run.state === "running") fail(run, { kind: "Workbench", message: "The stream ended before the call did.", hint: "Is the workbench still running?" });
  } catch (error) {
    if (signal.aborted) run.state = "cancelled";
    else fail(run, { kind: "Workbench", message: error?.message ?? String(error), hint: error?.hint });
  }
  run.milliseconds = performance.now() - started;
}

export function fail(run, error) {
  run.state = "failed";
  run.error = error;
}

function receive(run, event, data, take, typed) {
  switch (event) {
    case "begun": run.session = data.session; break;
    case "item":
      run.count += 1;
      if (run.items.length < MAX_KEPT_ITEMS && run.characters < MAX_KEPT_CHARACTERS) run.items.push(data);
      take(run.result, data.item, data.at);
      break;
    case "callback":
      run.callbacks.push({ call: data.call, type: data.type, request: data.request, at: data.at, state: typed ? "open" : "scripted", error: null });
      break;
    case "failed": fail(run, { kind: data.kind, message: data.message }); break;
    case "ended": run.state = "ended"; break;
    default: break;
  }
}
