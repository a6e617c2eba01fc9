// The time axis of a session with its two lanes: frames of the protocol above, exchanges with the upstream below. A click selects
// what is nearest; the lists below are the same for the keyboard.
import { html, useEffect, useMemo, useRef, useState } from "../../app/dom.js";
import { millisecondsText } from "../../app/text.js";
import { sessionNumbers } from "./numbers.js";
import { axisTicks, duration, nearest, phasesOf, strokes } from "./timeline.js";

const LEFT = 84;
const RIGHT = 14;
const FRAMES = { top: 26, height: 44 };
const ROW = 22;
const MIN_WIDTH = 560;

/** Frames that are drawn in their own colour; the others are items. */
const MARKED = { request: "request", callback: "callback", answer: "callback", error: "error", end: "end", log: "log" };

/** The width of an element in pixels, so that texts in the drawing keep their size. */
function useWidth() {
  const element = useRef(null);
  const [width, set] = useState(MIN_WIDTH);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => set(Math.max(Math.floor(entry.contentRect.width), MIN_WIDTH)));
    observer.observe(element.current);
    return () => observer.disconnect();
  }, []);
  return [element, width];
}

/** @param {{session: any, selection: any, linked: any, onSelect: (selection: any) => void}} props */
export function Lanes({ session, selection, linked, onSelect }) {
  const [zoom, setZoom] = useState(1);
  const length = useMemo(() => duration(session), [session]);
  const firstToken = useMemo(() => sessionNumbers(session).firstToken, [session.frames]);
  const [element, shown] = useWidth();
  const width = shown * zoom;
  const scale = (width - LEFT - RIGHT) / length;
  const x = (at) => LEFT + at * scale;
  const bottom = FRAMES.top + FRAMES.height;
  const height = bottom + 14 + Math.max(session.exchanges.length, 1) * ROW + 8;
  const at = (event) => {
    const box = event.currentTarget.ownerSVGElement.getBoundingClientRect();
    return ((event.clientX - box.left) / box.width * width - LEFT) / scale;
  };
  const pickFrame = (event) => {
    const index = nearest(session.frames, at(event), (frame) => frame.at);
    if (index >= 0) onSelect({ frame: index });
  };
  return html`<figure class="timeline" data-part="timeline">
    <figcaption><span>Time axis: ${millisecondsText(length)}</span>
      <span class="legend" aria-hidden="true">${["queue", "connect", "wait", "receive"].map((name) => html`<span key=${name}><i data-phase=${name}></i>${name}</span>`)}</span>
      <span><button type="button" class="small" data-action="zoom-out" aria-label="Zoom out" disabled=${zoom <= 1} onClick=${() => setZoom(zoom / 2)}>−</button>
        <button type="button" class="small" data-action="zoom-in" aria-label="Zoom in" disabled=${zoom >= 64} onClick=${() => setZoom(zoom * 2)}>+</button></span>
    </figcaption>
    <div ref=${element} class="timeline-scroll" tabindex="0" role="region" aria-label="Lanes of the session">
      <svg viewBox=${`0 0 ${width} ${height}`} style=${{ width: `${width}px` }} role="img"
          aria-label=${`${session.frames.length} frames and ${session.exchanges.length} upstream exchanges in ${millisecondsText(length)}`}>
        <${Axis} length=${length} x=${x} height=${height} most=${Math.max(Math.floor(width / 110), 3)} />
        <text x="4" y=${FRAMES.top + 18} class="lane-name">in</text><text x="4" y=${FRAMES.top + 38} class="lane-name">out</text>
        <${FrameMarks} frames=${session.frames} x=${x} width=${width} />
        ${session.exchanges.map((exchange, index) => html`<${ExchangeRow} key=${exchange.id} exchange=${exchange} now=${length} y=${bottom + 14 + index * ROW} x=${x} width=${width}
          chosen=${selection?.exchange === exchange.id} linked=${linked?.exchange === exchange.id} pick=${(event) => onSelect(pickOf(exchange, at(event)))} />`)}
        ${session.exchanges.length === 0 && html`<text x="4" y=${bottom + 30} class="lane-name">no upstream exchange</text>`}
        ${firstToken !== null && html`<g class="first-token" data-part="first-token"><line x1=${x(firstToken)} x2=${x(firstToken)} y1=${FRAMES.top} y2=${height} />
          <text x=${x(firstToken)} y=${bottom + 11} text-anchor=${firstToken > length * 0.8 ? "end" : "start"}>first token</text></g>`}
        <${Marker} session=${session} of=${selection} x=${x} kind="chosen" bottom=${bottom} />
        <${Marker} session=${session} of=${linked} x=${x} kind="linked" bottom=${bottom} />
        <rect class="target" x=${LEFT} y=${FRAMES.top} width=${width - LEFT - RIGHT} height=${FRAMES.height} onClick=${pickFrame} />
      </svg>
    </div>
  </figure>`;
}

/** A click on an exchange selects its nearest chunk, or before the first one the exchange itself. */
function pickOf(exchange, at) {
  const chunks = exchange.response?.chunks ?? [];
  const from = exchange.phases?.first_byte ?? chunks[0]?.[0] ?? Infinity;
  return at < from || chunks.length === 0 ? { exchange: exchange.id } : { exchange: exchange.id, chunk: nearest(chunks, at, ([time]) => time) };
}

function Axis({ length, x, height, most }) {
  return axisTicks(length, most).map((time) => html`<g key=${time} class="axis"><line x1=${x(time)} x2=${x(time)} y1="18" y2=${height} />
    <text x=${x(time)} y="12" text-anchor="middle">${millisecondsText(time)}</text></g>`);
}

function FrameMarks({ frames, x, width }) {
  const paths = useMemo(() => {
    const groups = new Map();
    for (const frame of frames) {
      const key = `${MARKED[frame.kind] ?? "item"} ${frame.direction}`;
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(frame.at);
    }
    return [...groups].map(([key, times]) => {
      const [kind, direction] = key.split(" ");
      const top = FRAMES.top + (direction === "in" ? 4 : 25);
      return { key, kind, path: strokes(times, x, top, top + 16) };
    });
  }, [frames, width]);
  return paths.map(({ key, kind, path }) => html`<path key=${key} d=${path} class="frames" data-kind=${kind} />`);
}

function ExchangeRow({ exchange, now, y, x, width, chosen, linked, pick }) {
  const chunks = exchange.response?.chunks ?? [];
  const path = useMemo(() => strokes(chunks.map(([at]) => at), x, y + 4, y + ROW - 6), [chunks, y, width]);
  const failed = exchange.error || (exchange.status ?? 0) >= 400;
  return html`<g class="exchange" data-chosen=${chosen || linked ? "true" : "false"} data-open=${exchange.open ? "true" : "false"}>
    <text x="4" y=${y + 14} class="lane-name" data-failed=${failed ? "true" : "false"}>${exchange.status ?? "–"} #${exchange.attempt}</text>
    ${phasesOf(exchange, now).map((phase) => html`<rect key=${phase.name} data-phase=${phase.name} x=${x(phase.from)} y=${y + 2} height=${ROW - 6} width=${Math.max(x(phase.to) - x(phase.from), 1)} rx="2">
      <title>${phase.name}: ${millisecondsText(phase.to - phase.from)}${exchange.reused ? ", connection used again" : ""}</title></rect>`)}
    <path d=${path} class="chunks" />
    <rect class="target" x=${LEFT} y=${y} width=${width - LEFT - RIGHT} height=${ROW} onClick=${pick} />
  </g>`;
}

/** The mark of a selection in its lane. */
function Marker({ session, of, x, kind, bottom }) {
  if (!of) return null;
  if (of.frame !== undefined) {
    const frame = session.frames[of.frame];
    if (!frame) return null;
    const y = FRAMES.top + (frame.direction === "in" ? 2 : 23);
    return html`<rect class="marker" data-kind=${kind} x=${x(frame.at) - 3} y=${y} width="6" height="20" rx="2" />`;
  }
  const index = session.exchanges.findIndex((one) => one.id === of.exchange);
  const chunk = session.exchanges[index]?.response?.chunks?.[of.chunk];
  if (index < 0 || !chunk) return null;
  return html`<rect class="marker" data-kind=${kind} x=${x(chunk[0]) - 3} y=${bottom + 14 + index * ROW + 1} width="6" height=${ROW - 4} rx="2" />`;
}
