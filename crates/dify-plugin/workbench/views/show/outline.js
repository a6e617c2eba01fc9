// The list of everything that the plugin declares, as links. On narrow screens it folds.
import { html, useEffect, useRef } from "../../app/dom.js";
import { address } from "../../app/route.js";
import { inLanguage } from "../../app/text.js";
import { Icon } from "../../parts/icon.js";

export const KIND_TITLES = {
  "model": "Model provider", "tool": "Tools", "agent-strategy": "Agent strategies", "endpoint": "Endpoint", "datasource": "Datasources", "trigger": "Trigger",
};

/** The sections of a provider's page, by what it declares. */
export function sectionsOf(provider) {
  if (provider.kind === "model") {
    return [
      ["card", "Card", true],
      ["credentials", "API key", provider.credentials],
      ["model_credentials", "Own model", provider.model_credentials],
      ["models", `Models (${provider.models?.length ?? 0})`, provider.models?.length],
    ].filter(([, , there]) => there);
  }
  if (provider.kind === "endpoint") return [["settings", "Settings"], ["routes", "Routes"]];
  return [
    ["credentials", "Authorization", provider.credentials], ["oauth", "OAuth client", provider.oauth],
    ["subscription-parameters", "Subscription", provider.subscription_parameters],
    ["subscription", "Manual subscription", provider.subscription],
    ...(provider.parts ?? []).map((part) => ["parts", part.label, true, part.name]),
  ].filter(([, , there]) => there);
}

/** Notes of a provider and all below it. */
function notesWithin(value) {
  if (!value || typeof value !== "object") return 0;
  if (Array.isArray(value)) return value.reduce((sum, one) => sum + notesWithin(one), 0);
  return Object.entries(value).reduce((sum, [key, one]) => sum + (key === "notes" ? one?.length ?? 0 : notesWithin(one)), 0);
}

export function Outline({ view, kind, name, section, item, language }) {
  const element = useRef(null);
  // Beside the page it is open; above it, it closes once something is chosen.
  useEffect(() => {
    const narrow = matchMedia("(max-width: 900px)");
    const fit = () => { element.current.open = !narrow.matches; };
    fit();
    narrow.addEventListener("change", fit);
    return () => narrow.removeEventListener("change", fit);
  }, [kind, name, section, item]);
  return html`<details class="outline" ref=${element}>
    <summary>What is declared</summary>
    <nav aria-label="What is declared">
      <a class="outline-provider" href=${address("drawn", "card")} aria-current=${!kind || kind === "card" ? "page" : undefined} data-action="provider" data-value="card">Plugin card</a>
      ${view.providers.map((provider) => {
        const own = provider.name ?? provider.kind;
        const here = provider.kind === kind && own === name;
        const notes = notesWithin(provider);
        return html`<div key=${`${provider.kind}/${own}`} class="outline-group">
          <a class="outline-provider" href=${address("drawn", provider.kind, own)} data-action="provider" data-value=${own} data-kind=${provider.kind}
            aria-current=${here && !section ? "page" : undefined}>
            <${Icon} path=${provider.icon ?? (provider.kind === "endpoint" ? view.card.icon : null)} size=${18} />
            <span class="grow-text">${inLanguage(provider.label, language) || provider.name || KIND_TITLES[provider.kind]}</span>
            ${notes > 0 && html`<span class="count" data-severity="warning" title=${`${notes} notes`}>${notes}<span class="unseen"> notes</span></span>`}
          </a>
          ${provider.name && html`<div class="outline-kind">${KIND_TITLES[provider.kind] ?? provider.kind}</div>`}
          <ul>${sectionsOf(provider).map(([id, title, , part]) => html`<li key=${`${id} ${part ?? ""}`}>
            <a href=${address("drawn", provider.kind, own, id, ...(part ? [part] : []))} data-action="section" data-value=${part ?? id}
              aria-current=${here && section === id && (!part || part === item) ? "page" : undefined}>${inLanguage(title, language) || part}</a></li>`)}</ul>
        </div>`;
      })}
    </nav>
  </details>`;
}
