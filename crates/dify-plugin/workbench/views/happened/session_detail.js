// One session: its numbers, its lanes, and what is selected in them.
import { html, useEffect, useMemo, useRef, useState } from "../../app/dom.js";
import { getJson } from "../../app/api.js";
import { millisecondsText } from "../../app/text.js";
import { Banner, Empty } from "../../parts/status.js";
import { SessionNumbers } from "./charts.js";
import { CopyAs, SaveRecording } from "./copy_as.js";
import { ExchangeDetail, Exchanges } from "./exchanges.js";
import { FrameDetail, Frames } from "./frames.js";
import { goesOn, pathOfNews, withNews } from "./growth.js";
import { SessionLog } from "./log.js";
import { Lanes } from "./lanes.js";
import { counterpart } from "./timeline.js";

const REFRESH_MS = 400;

/** The session, of which what is new is fetched while it goes on. @param {string} id @param {string} state  by the list */
function useSession(id, state) {
  const [found, set] = useState({ state: "loading", session: null, error: null });
  const known = useRef(null);
  useEffect(() => {
    let current = true;
    let timer;
    if (known.current?.id !== id) known.current = null;
    const read = async () => {
      try {
        const news = await getJson(pathOfNews(id, known.current));
        if (!current) return;
        known.current = withNews(known.current, news);
        set({ state: "ready", session: known.current, error: null });
        if (goesOn(known.current)) timer = setTimeout(read, REFRESH_MS);
      } catch (error) {
        if (current) set({ state: "error", session: null, error });
      }
    };
    read();
    return () => { current = false; clearTimeout(timer); };
  }, [id, state]);
  return found;
}

/** @param {{id: string, state: string}} props */
export function SessionDetail({ id, state }) {
  const found = useSession(id, state);
  const [selection, select] = useState(null);
  useEffect(() => select(null), [id]);
  const { session } = found;
  const linked = useMemo(() => (session ? counterpart(session, selection) : null), [session, selection]);
  if (found.state === "error") return html`<${Banner} kind="error" hint=${found.error.hint}>${found.error.message}<//>`;
  if (!session) return html`<${Empty} title="Reading the session…" />`;
  const shared = { session, selection, linked, onSelect: select };
  return html`<article class="session" data-session-detail=${session.id} data-state=${session.state}>
    <header class="session-head">
      <h2>${session.action} <span class="quiet">${[session.provider, session.model].filter(Boolean).join(" / ")}</span></h2>
      <p class="state-line quiet"><span class="dot" data-state=${session.state} aria-hidden="true"></span><span>${session.state}</span><span>${millisecondsText(session.milliseconds)}</span>
        <span>${new Date(session.started).toLocaleString()}</span></p>
      <${SaveRecording} session=${session} />
    </header>
    ${session.error && html`<${Banner} kind="error"><strong>${session.error.kind}</strong> ${session.error.message}<//>`}
    <${SessionNumbers} session=${session} />
    <${Lanes} ...${shared} />
    <div class="lanes"><${Frames} ...${shared} /><${Exchanges} ...${shared} /></div>
    <div class="lanes" aria-live="off">
      <${Detail} session=${session} of=${selection?.frame !== undefined ? selection : linked} kind="frame" onSelect=${select} />
      <${Detail} session=${session} of=${selection?.exchange !== undefined ? selection : linked} kind="exchange" onSelect=${select} />
    </div>
    <${SessionLog} session=${session.id} />
    <${CopyAs} key=${session.id} session=${session} />
  </article>`;
}

/** What is selected in one lane, or what belongs to the selection in the other. */
function Detail({ session, of, kind, onSelect }) {
  if (kind === "frame") {
    const frame = of?.frame === undefined ? null : session.frames[of.frame];
    return frame ? html`<${FrameDetail} frame=${frame} index=${of.frame} />` : html`<p class="quiet hint">Select a frame: what belongs to it upstream is marked.</p>`;
  }
  const exchange = of?.exchange === undefined ? null : session.exchanges.find((one) => one.id === of.exchange);
  return exchange ? html`<${ExchangeDetail} exchange=${exchange} chunk=${of.chunk} onSelect=${onSelect} />` : html`<p class="quiet hint"></p>`;
}
