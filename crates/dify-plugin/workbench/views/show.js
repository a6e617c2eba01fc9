// The view "As Dify shows it": an outline of what the plugin declares, and beside it one page per provider. Pages are in `show/`.
import { html, useLayoutEffect, useRef } from "../app/dom.js";
import { useRoute } from "../app/route.js";
import { useLanguage } from "../app/settings.js";
import { counted } from "../app/text.js";
import { Banner, Empty } from "../parts/status.js";
import { CardPage } from "./show/card.js";
import { EndpointPage } from "./show/endpoint.js";
import { ModelProviderPage } from "./show/model-provider.js";
import { Outline } from "./show/outline.js";
import { PartsPage } from "./show/parts-page.js";

const PAGES = {
  "model": ModelProviderPage, "endpoint": EndpointPage, "tool": PartsPage, "agent-strategy": PartsPage, "datasource": PartsPage,
  "trigger": PartsPage,
};

/** The key of a provider in addresses: one name may be used by two kinds. */
export const nameOf = (provider) => provider.name ?? provider.kind;

/** @param {{plugin: import("../app/plugin.js").Known}} props */
export function Show({ plugin }) {
  const { view, parts: [kind, name, section, item] } = useRoute();
  const last = useRef([kind, name, section, item]);
  if (view === "drawn") last.current = [kind, name, section, item];
  const [chosenKind, chosenName, chosenSection, chosenItem] = last.current;
  const language = useLanguage();
  const pane = useRef(null);
  useScrollToSection(pane, chosenSection, chosenItem, `${chosenKind}/${chosenName}/${chosenSection}/${chosenItem}`);

  if (plugin.state === "loading") return html`<${Empty} title="Reading the declarations…" />`;
  if (!plugin.view) return html`<${Undrawable} plugin=${plugin} />`;
  const { providers } = plugin.view;
  const provider = providers.find((one) => one.kind === chosenKind && nameOf(one) === chosenName);
  const Page = provider && PAGES[provider.kind];
  return html`<div class="show">
    <${Outline} view=${plugin.view} kind=${chosenKind} name=${chosenName} section=${chosenSection} item=${chosenItem} language=${language} />
    <div class="pane" ref=${pane}>
      ${Page
        ? html`<div key=${`${provider.kind}/${nameOf(provider)}`} data-provider=${nameOf(provider)} data-kind=${provider.kind}>
            <${Page} provider=${provider} view=${plugin.view} language=${language} item=${chosenItem} section=${chosenSection} /></div>`
        : html`<${CardPage} view=${plugin.view} plugin=${plugin} language=${language} />`}
    </div>
  </div>`;
}

/** Brings what is chosen into sight when it is chosen, not when the declarations are drawn again. */
function useScrollToSection(pane, section, item, place) {
  const before = useRef(null);
  useLayoutEffect(() => {
    if (!pane.current || before.current === place) return;
    const first = before.current === null;
    before.current = place;
    const within = (selector) => pane.current.querySelector(selector);
    const target = (item && within(`.row[data-model="${CSS.escape(item)}"], .row[data-value="${CSS.escape(item)}"]`))
      || (section && within(`[data-section="${CSS.escape(section)}"]`));
    // A row that was opened by a click is in sight already.
    const { top } = target?.getBoundingClientRect() ?? { top: 0 };
    if (target && !(target.matches(".row") && top > 60 && top < innerHeight - 200)) target.scrollIntoView({ block: "start" });
    else if (!target && !first) scrollTo({ top: 0 });
  });
}

function Undrawable({ plugin }) {
  const errors = plugin.problems.filter((problem) => problem.severity === "error");
  return html`<div class="problems"><${Banner} kind="error">
      The declarations cannot be drawn yet: ${counted(errors.length, "error")}. <a href="#/problems">See the problems</a><//>
    ${errors.slice(0, 5).map((problem, index) => html`<pre key=${index} tabindex="0" data-code=${problem.code}>${problem.rendered || problem.message}</pre>`)}
    <p class="quiet">The files are watched: this page follows as soon as they can be read.</p></div>`;
}
