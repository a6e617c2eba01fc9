// Cases for tasks that are polled and for the lines of the log: what follows from a response, and which lines are kept. Run by
// ../modules.rs.
const { afterPoll } = await import("/views/try/polling.js");
const { merged } = await import("/app/logs.js");
const requests = await import("/views/try/requests.js");

const running = { status: "running", plugin_state: { task: "t" }, result: null, error: null };
const pauses = [[{}, 5], [{ next_check_after_seconds: 15 }, 15], [{ next_check_after_seconds: 0.1 }, 1], [{ next_check_after_seconds: 1 }, 1],
  [{ next_check_after_seconds: 30 }, 30], [{ next_check_after_seconds: 31 }, 30], [{ next_check_after_seconds: null }, 5], [{ next_check_after_seconds: 9999 }, 30]];
for (const [more, seconds] of pauses) {
  same(`pause of ${JSON.stringify(more)}`, afterPoll({ ...running, ...more }, 0, 0), { kind: "wait", state: { task: "t" }, seconds });
}
// The limits: those of the Dify API, and lower ones of the plugin. Each: response, checks, seconds, whether it goes on.
for (const [more, checks, seconds, goesOn] of [
  [{}, 239, 0, true], [{}, 240, 0, false], [{ max_attempts: 3 }, 2, 0, true], [{ max_attempts: 3 }, 3, 0, false], [{ max_attempts: 999 }, 240, 0, false],
  [{}, 0, 7199, true], [{}, 0, 7200, false], [{ expires_after_seconds: 60 }, 0, 59.9, true], [{ expires_after_seconds: 60 }, 0, 60, false],
  [{ expires_after_seconds: 99999 }, 0, 7200, false], [{ max_attempts: null, expires_after_seconds: null }, 1, 1, true],
]) {
  same(`${JSON.stringify(more)} after ${checks} checks and ${seconds} s`, afterPoll({ ...running, ...more }, checks, seconds).kind, goesOn ? "wait" : "failed");
}
for (const state of [null, undefined, {}, "t", 7]) {
  same(`running with the state ${JSON.stringify(state)}`, afterPoll({ ...running, plugin_state: state }, 0, 0).kind, "failed");
}
const usage = { total_tokens: 3 };
same("a result is one chunk", afterPoll({ status: "succeeded", result: { model: "m", message: { content: "Done" }, usage } }, 1, 1),
  { kind: "done", chunk: { model: "m", delta: { index: 0, message: { content: "Done" }, usage, finish_reason: "stop" } } });
same("a success without a result", afterPoll({ status: "succeeded", result: null }, 1, 1).kind, "failed");
same("a failure says why", afterPoll({ status: "failed", error: "no budget" }, 1, 1), { kind: "failed", message: "no budget" });
same("a failure without a reason", afterPoll({ status: "failed", error: "" }, 1, 1).kind, "failed");
for (const response of [null, undefined, {}, { status: "queued" }]) same(`no status: ${JSON.stringify(response)}`, afterPoll(response, 0, 0).kind, "failed");

const model = { provider: "p", model: "m", type: "llm", own: false };
const prompt = { messages: [{ role: "user" }], parameters: { temperature: 1 }, tools: [], stop: [], schema: null };
const started = requests.model.startPolling(model, prompt);
const chat = requests.model.chat(model, prompt);
same("a start is a chat that does not stream", { ...started, action: "invoke_llm", data: { ...started.data, stream: true } }, chat);
same("its action", [started.action, started.data.stream], ["start_polling", false]);
const check = requests.model.checkPolling(model, { task: "t" });
same("a check brings the state", [check.action, check.data.plugin_state, check.credentials], ["check_polling", { task: "t" }, chat.credentials]);

const line = (number) => ({ number });
same("lines in order, each once", merged([line(1), line(3)], [line(2), line(3), line(4)]), [line(1), line(2), line(3), line(4)]);
same("the newest are kept", merged([], Array.from({ length: 1500 }, (_, at) => line(at))).length, 1000);
same("none", merged([], []), []);
