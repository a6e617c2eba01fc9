// Models that answer later: a task is started and checked until it ends, by the limits of the Dify API. What a response means is
// decided here; nothing is drawn.
import { useCallback, useEffect, useReducer, useRef } from "../../app/dom.js";
import { fail, newRun, perform } from "./call.js";
import { newAnswer, takeChunk } from "./collect.js";

/** The limits of the Dify API: the pause in seconds, the time in seconds, and the number of checks. */
const [MIN_PAUSE, MAX_PAUSE, MAX_SECONDS, MAX_CHECKS] = [1, 30, 7200, 240];

/** The pause where the plugin asks for none. */
const PAUSE = 5;

/**
 * What follows from a response of `start_polling` or `check_polling`.
 * @param {any} response
 * @param {number} checks   how many there were
 * @param {number} seconds  since the start
 * @returns {{kind: "wait", seconds: number, state: object} | {kind: "done", chunk: any} | {kind: "failed", message: string}}
 */
export function afterPoll(response, checks, seconds) {
  const failed = (message) => ({ kind: "failed", message });
  switch (response?.status) {
    case "running": {
      const state = response.plugin_state;
      if (state === null || typeof state !== "object" || !Object.keys(state).length) return failed("`running` without a `plugin_state`: Dify cannot check the task.");
      const most = Math.min(response.max_attempts ?? MAX_CHECKS, MAX_CHECKS);
      if (checks >= most) return failed(`The task still runs after ${most} checks: Dify ends it here.`);
      const last = Math.min(response.expires_after_seconds ?? MAX_SECONDS, MAX_SECONDS);
      if (seconds >= last) return failed(`The task still runs after ${last} s: Dify ends it here.`);
      return { kind: "wait", state, seconds: Math.min(Math.max(response.next_check_after_seconds ?? PAUSE, MIN_PAUSE), MAX_PAUSE) };
    }
    case "succeeded": {
      const { result } = response;
      if (!result?.message) return failed("`succeeded` without a `result`: Dify has no answer.");
      return { kind: "done", chunk: { model: result.model, delta: { index: 0, message: result.message, usage: result.usage, finish_reason: result.finish_reason ?? "stop" } } };
    }
    case "failed": return failed(response.error || "`failed` without an `error`.");
    default: return failed(`The status is none of \`running\`, \`succeeded\` and \`failed\`: ${JSON.stringify(response?.status ?? null)}`);
  }
}

/**
 * @typedef {{checks: number, until: number|null}} Polling  `until`: when the next check comes, by `performance.now()`
 */

/** Like `useCall`, over the sessions of one task; `checkNow` ends the pause. */
export function usePolling() {
  const [, redraw] = useReducer((count) => count + 1, 0);
  const run = useRef(null);
  run.current ??= { ...newRun(newAnswer()), polling: null };
  const abort = useRef(/** @type {AbortController|null} */ (null));
  const wake = useRef(() => {});
  useEffect(() => () => abort.current?.abort(), []);

  const start = useCallback(async (first, check) => {
    abort.current?.abort();
    const controller = new AbortController();
    const { signal } = controller;
    const own = { ...newRun(newAnswer(), "running"), polling: { checks: 0, until: null } };
    abort.current = controller;
    run.current = own;
    redraw();
    const started = performance.now();
    const elapsed = () => performance.now() - started;
    for (let call = first; own.state === "running";) {
      const step = newRun({ last: null }, "running");
      await perform(call, step, (result, item) => { result.last = item; }, signal, redraw);
      own.session = step.session;
      own.count += step.count;
      own.items.push(...step.items.map(({ item }) => ({ at: elapsed(), item })));
      if (step.state !== "ended") {
        Object.assign(own, { state: step.state, error: step.error });
        break;
      }
      const next = afterPoll(step.result.last, own.polling.checks, elapsed() / 1000);
      if (next.kind === "failed") fail(own, { kind: "Polling", message: next.message });
      if (next.kind === "done") {
        takeChunk(own.result, next.chunk, elapsed());
        own.state = "ended";
      }
      if (next.kind !== "wait") break;
      own.polling = { ...own.polling, until: performance.now() + next.seconds * 1000 };
      redraw();
      await pause(next.seconds, signal, wake);
      if (signal.aborted) own.state = "cancelled";
      own.polling = { checks: own.polling.checks + 1, until: null };
      redraw();
      call = check(next.state);
    }
    own.milliseconds = elapsed();
    redraw();
    return own;
  }, []);

  const stop = useCallback(() => abort.current?.abort(), []);
  const checkNow = useCallback(() => wake.current(), []);
  return { run: run.current, start, stop, checkNow };
}

/** Ends with the time, by `wake`, or with the signal. */
const pause = (seconds, signal, wake) => new Promise((go) => {
  const timer = setTimeout(go, seconds * 1000);
  const end = () => { clearTimeout(timer); go(); };
  wake.current = end;
  signal.addEventListener("abort", end, { once: true });
});
