// The view "See what happened": the sessions of the workbench with their frames and exchanges, charts, recordings, the doctor. Its
// parts are in `happened/`.
import { html, useCallback, useEffect, useState } from "../app/dom.js";
import { getJson } from "../app/api.js";
import { onSession } from "../app/plugin.js";
import { go, useRoute } from "../app/route.js";
import { Banner, Empty } from "../parts/status.js";
import { Tabs } from "../parts/tabs.js";
import { SessionCharts } from "./happened/charts.js";
import { Doctor } from "./happened/doctor.js";
import { Log } from "./happened/log.js";
import { OpenRecording } from "./happened/open_recording.js";
import { SessionDetail } from "./happened/session_detail.js";
import { SessionList } from "./happened/session_list.js";

/** The summaries, newest first, kept up to date by the server's events. */
function useSummaries() {
  const [found, set] = useState({ state: "loading", summaries: [], error: null });
  const take = useCallback((summary) => set((before) => ({
    ...before,
    summaries: before.summaries.some((one) => one.id === summary.id)
      ? before.summaries.map((one) => (one.id === summary.id ? summary : one)) : [summary, ...before.summaries],
  })), []);
  useEffect(() => {
    const read = () => getJson("/api/sessions").then(
      (answer) => set({ state: "ready", summaries: (Array.isArray(answer) ? answer : answer?.sessions) ?? [], error: null }),
      (error) => set({ state: "error", summaries: [], error }),
    );
    const stop = onSession((summary) => (summary ? take(summary) : read()));
    read();
    return stop;
  }, []);
  return { ...found, take };
}

/** @param {{plugin: any, active: boolean}} props */
export function Happened({ plugin }) {
  const { view, parts } = useRoute();
  const { state, summaries, error, take } = useSummaries();
  const [wanted, setWanted] = useState(view === "happened" ? parts[0] ?? null : null);
  useEffect(() => { if (view === "happened" && parts[0]) setWanted(parts[0]); }, [view, parts[0]]);
  const tab = ["doctor", "log"].includes(wanted) ? wanted : "sessions";
  const chosen = tab !== "sessions" ? null : wanted ?? summaries[0]?.id ?? null;
  const choose = (id) => { setWanted(id); go("happened", id); };
  const opened = (summary) => { take(summary); choose(summary.id); };
  return html`<div class="happened" data-state=${state}>
    ${error && html`<${Banner} kind="error" hint=${error.hint}>${error.message}<//>`}
    <${Tabs} label="What happened" tabs=${[{ id: "sessions", title: "Sessions" }, { id: "log", title: "Log" }, { id: "doctor", title: "Doctor" }]} chosen=${tab}
      onChoose=${(id) => choose(id === "sessions" ? summaries[0]?.id ?? "" : id)}>
      ${tab === "doctor" ? html`<${Doctor} view=${plugin.view} />` : tab === "log" ? html`<${Log} />` : html`
        ${summaries.length > 1 && html`<${SessionCharts} summaries=${summaries} chosen=${chosen} onChoose=${choose} />`}
        <div class="happened-columns">
          <div class="happened-side">
            <${OpenRecording} onOpened=${opened} />
            ${summaries.length > 0 && html`<${SessionList} summaries=${summaries} chosen=${chosen} onChoose=${choose} />`}
          </div>
          <div class="happened-main">
            ${chosen ? html`<${SessionDetail} id=${chosen} state=${summaries.find((one) => one.id === chosen)?.state ?? ""} />`
              : html`<${Empty} title="Nothing has happened yet">Try a model or a tool in “Try it”, or open a recording.<//>`}
          </div>
        </div>`}
    <//>
  </div>`;
}
