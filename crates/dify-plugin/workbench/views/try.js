// The view "Try it": a provider of the plugin, its credentials, and what its kind can do. Its parts are in `try/`.
import { html, useEffect, useState } from "../app/dom.js";
import { go, useRoute } from "../app/route.js";
import { useLanguage } from "../app/settings.js";
import { inLanguage } from "../app/text.js";
import { Icon } from "../parts/icon.js";
import { Banner, Empty } from "../parts/status.js";
import { Datasource, DatasourceCredentials } from "./try/datasource.js";
import { Endpoint, EndpointSettings } from "./try/endpoint.js";
import { ProviderCredentials } from "./try/model_setup.js";
import { Models } from "./try/models.js";
import { Strategy } from "./try/strategy.js";
import { Tool, ToolCredentials } from "./try/tool.js";
import { Trigger, TriggerCredentials } from "./try/trigger.js";

const KINDS = {
  "model": { word: "models", view: Models, credentials: ProviderCredentials },
  "tool": { word: "tools", view: Tool, credentials: ToolCredentials },
  "agent-strategy": { word: "agent strategies", view: Strategy, credentials: null },
  "endpoint": { word: "endpoints", view: Endpoint, credentials: EndpointSettings },
  "datasource": { word: "datasources", view: Datasource, credentials: DatasourceCredentials },
  "trigger": { word: "triggers", view: Trigger, credentials: TriggerCredentials },
};

/** Endpoints have no name; they are one provider here. */
const nameOf = (provider) => provider.name ?? provider.kind;

/** What the address wants (kind, name, and what is chosen in it), kept while another view is shown. @returns {string[]} */
function useWanted() {
  const { view, parts } = useRoute();
  const [wanted, setWanted] = useState(view === "try" ? parts : []);
  useEffect(() => { if (view === "try" && parts.length) setWanted(parts); }, [view, parts.join("/")]);
  return wanted;
}

/** @param {{plugin: any, active: boolean}} props */
export function Try({ plugin }) {
  const language = useLanguage();
  const wanted = useWanted();
  const providers = (plugin.view?.providers ?? []).filter((provider) => KINDS[provider.kind]);
  if (plugin.state === "loading") return html`<${Empty} title="Reading the declarations…" />`;
  if (!plugin.view) return html`<${Empty} title="The declarations cannot be read">See “Problems”: as soon as they are fixed, the plugin can be tried.<//>`;
  if (!providers.length) return html`<${Empty} title="The plugin declares nothing that can be called" />`;
  const provider = providers.find((one) => one.kind === wanted[0] && nameOf(one) === wanted[1]) ?? providers[0];
  const { view: View, credentials: ItsCredentials } = KINDS[provider.kind];
  const key = `${provider.kind}/${nameOf(provider)}`;
  return html`<div class="try" data-kind=${provider.kind} data-provider=${nameOf(provider)}>
    <h2 class="unseen">Try ${KINDS[provider.kind].word}</h2>
    <aside class="try-side" aria-label="Provider and credentials">
      <${Providers} providers=${providers} chosen=${provider} language=${language} />
      ${ItsCredentials && html`<${ItsCredentials} key=${key} provider=${provider} language=${language} />`}
    </aside>
    <div class="try-main">
      ${plugin.target?.state === "failed" && html`<${Banner} kind="error" hint="It is started again at the next call.">The plugin's process failed: ${plugin.target.message}<//>`}
      <${View} key=${key} provider=${provider} view=${plugin.view} wanted=${wanted.slice(2)} language=${language} />
    </div>
  </div>`;
}

function Providers({ providers, chosen, language }) {
  return html`<div class="providers" role="group" aria-label="Provider">
    ${providers.map((provider) => html`<button key=${`${provider.kind}/${nameOf(provider)}`} type="button" data-action="provider" data-value=${nameOf(provider)} data-kind=${provider.kind}
        aria-pressed=${provider === chosen ? "true" : "false"} onClick=${() => go("try", provider.kind, nameOf(provider))}>
      ${provider.icon && html`<${Icon} path=${provider.icon} size=${20} />`}
      <span>${inLanguage(provider.label, language) || (provider.kind === "endpoint" ? "Endpoints" : nameOf(provider))}</span> <span class="quiet">${KINDS[provider.kind].word}</span>
    </button>`)}
  </div>`;
}
