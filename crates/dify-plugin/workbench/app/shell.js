// The frame around the views: name, state, navigation, choices. A view is kept once it was seen, so that nothing typed in it is lost.
import { html, useEffect, useErrorBoundary, useRef, useState } from "./dom.js";
import { usePlugin } from "./plugin.js";
import { address, useRoute } from "./route.js";
import { chooseLanguage, chooseTheme, useLanguage, useTheme } from "./settings.js";
import { counted, inLanguage, languageName } from "./text.js";
import { Banner } from "../parts/status.js";
import { Show } from "../views/show.js";
import { Try } from "../views/try.js";
import { Happened } from "../views/happened.js";
import { Problems } from "../views/problems.js";

const TITLES = { drawn: "As Dify shows it", try: "Try it", happened: "See what happened", problems: "Problems" };
const COMPONENTS = { drawn: Show, try: Try, happened: Happened, problems: Problems };

export function Shell() {
  const known = usePlugin();
  const { view } = useRoute();
  const [seen, see] = useState(new Set([view]));
  const first = useRef(true);
  useEffect(() => {
    document.documentElement.dataset.state = known.state;
    document.documentElement.dataset.revision = String(known.revision);
  }, [known]);
  useEffect(() => {
    if (!seen.has(view)) see(new Set([...seen, view]));
    document.title = `${TITLES[view]} – Workbench`;
    if (first.current) first.current = false;
    else document.getElementById("main")?.focus({ preventScroll: true });
  }, [view]);
  return html`
    <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.getElementById("main")?.focus(); }}>Skip to the content</a>
    <${Top} known=${known} view=${view} />
    ${known.connection === "lost" && html`<${Banner} kind="warning">
      The workbench does not answer; trying again. Is its process still running?<//>`}
    ${known.target?.state === "failed" && html`<${Banner} kind="warning">
      ${known.target.kind === "command" ? "The command does not run" : "The plugin does not start"}: ${known.target.message ?? "no reason is known"}<//>`}
    ${known.state === "error" && html`<${Banner} kind="error" hint=${known.error?.hint}>${known.error?.message}<//>`}
    ${Object.keys(COMPONENTS).filter((name) => name === view || seen.has(name)).map((name) => html`
      <main key=${name} id=${name === view ? "main" : undefined} tabindex="-1" hidden=${name !== view}
          data-view=${name} data-state=${known.state}>
        <h1 class="unseen">${TITLES[name]}</h1>
        <${Guarded} title=${TITLES[name]} view=${COMPONENTS[name]} known=${known} active=${name === view} />
      </main>`)}
    <${Foot} known=${known} />`;
}

/** A view that fails to draw does not take the others with it. */
function Guarded({ view: View, known, active, title }) {
  const [error, reset] = useErrorBoundary();
  if (error) {
    return html`<${Banner} kind="error" hint="The other views still work. Please report this with the message.">
      “${title}” could not be drawn: ${String(error?.message ?? error)}
      <button type="button" class="plain" data-action="draw-again" onClick=${reset}>Draw it again</button><//>`;
  }
  return html`<${View} plugin=${known} active=${active} />`;
}

function Top({ known, view }) {
  const chosen = useLanguage();
  const card = known.view?.card;
  return html`<header class="top">
    <div class="brand">
      <strong>${card ? inLanguage(card.label, chosen) || card.name : "Workbench"}</strong>
      ${card && html`<span class="quiet">${card.version}</span>`}
      <${TargetState} target=${known.target} />
    </div>
    <nav aria-label="Views">
      ${Object.entries(TITLES).map(([name, title]) => html`
        <a key=${name} href=${address(name)} aria-current=${name === view ? "page" : undefined} data-action="view" data-value=${name}>
          ${title}${name === "problems" && known.problems.length > 0 && html`<${Count} problems=${known.problems} />`}
        </a>`)}
    </nav>
    <div class="choices"><${Language} known=${known} /><${Theme} /></div>
  </header>`;
}

function Count({ problems }) {
  const asked = problems.filter((problem) => !problem.advice);
  if (asked.length === 0) return null;
  const errors = asked.filter((problem) => problem.severity === "error").length;
  const title = errors ? counted(errors, "error") : counted(asked.length, "warning");
  return html` <span class="count" data-severity=${errors ? "error" : "warning"} title=${title}>${asked.length}<span class="unseen"> (${title})</span></span>`;
}

function TargetState({ target }) {
  if (!target) return null;
  const what = target.kind === "command" ? (target.command ?? []).join(" ") : "this executable";
  const words = { ready: "ready", starting: "starting…", failed: "failed" };
  return html`<span class="target" role="status" data-state=${target.state} data-target=${target.kind} title=${target.message ?? what}>
    <span class="dot" aria-hidden="true"></span>${words[target.state] ?? target.state}
    ${target.message && html`<span class="unseen">: ${target.message}</span>`}
  </span>`;
}

function Language({ known }) {
  const chosen = useLanguage();
  const languages = known.view?.languages ?? [];
  useEffect(() => {
    if (languages.length && !languages.includes(chosen)) chooseLanguage(languages.includes("en_US") ? "en_US" : languages[0]);
  }, [languages.join(), chosen]);
  if (languages.length < 2) return null;
  return html`<label><span class="unseen">Language of the texts</span>
    <select data-action="language" value=${chosen} onChange=${(event) => chooseLanguage(event.currentTarget.value)}>
      ${languages.map((name) => html`<option key=${name} value=${name} selected=${name === chosen}>${languageName(name)}</option>`)}
    </select></label>`;
}

function Theme() {
  const chosen = useTheme();
  return html`<label><span class="unseen">Theme</span>
    <select data-action="theme" value=${chosen} onChange=${(event) => chooseTheme(event.currentTarget.value)}>
      ${[["system", "System theme"], ["light", "Light"], ["dark", "Dark"]].map(([name, title]) => html`
        <option key=${name} value=${name} selected=${name === chosen}>${title}</option>`)}
    </select></label>`;
}

function Foot({ known }) {
  return html`<footer>
    ${known.view && html`<span>As Dify ${known.view.dify} draws it.</span>`}
    ${known.target && html`<span class="path" title=${known.target.directory}>${known.target.directory}</span>`}
    <span>Credentials stay in the memory of the workbench.</span>
  </footer>`;
}

/** What is shown when the page was opened without the token of this start. */
export function NoToken() {
  return html`<main class="lonely" data-view="no-token" data-state="error">
    <h1>This address has no token</h1>
    <p>The workbench prints its address, with a token, when it starts. Open the whole line:</p>
    <pre>workbench: http://127.0.0.1:…/#token=…</pre>
    <p class="quiet">The token keeps other pages and other users of this machine out. It is new at each start.</p>
  </main>`;
}
