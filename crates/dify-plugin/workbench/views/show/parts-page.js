// The page of tools, agent strategies, datasources and triggers: authorization, then each part with its forms.
import { html } from "../../app/dom.js";
import { address } from "../../app/route.js";
import { inLanguage } from "../../app/text.js";
import { Icon } from "../../parts/icon.js";
import { Notes } from "../../parts/note.js";
import { BothThemes, FormFrame, Section } from "./frame.js";
import { Part } from "./part.js";

const PART_TITLES = { "tool": "Tools", "agent-strategy": "Strategies", "datasource": "Datasources", "trigger": "Events" };

export function PartsPage({ provider, language, item, section }) {
  const title = inLanguage(provider.label, language) || provider.name;
  const frame = { language };
  return html`
    <${Section} id="card" title=${title} remark=${inLanguage(provider.description, language)}>
      <${BothThemes}>${(theme) => html`<div class="provider-card" data-card=${theme}><div class="provider-name">
        <${Icon} path=${theme === "dark" && provider.icon_dark ? provider.icon_dark : provider.icon} size=${36} />
        <span><strong data-part="label">${title}</strong><span class="quiet small-text two-lines">${inLanguage(provider.description, language)}</span></span></div></div>`}<//>
      <${Notes} notes=${provider.notes} />
    <//>
    ${provider.credentials && html`<${Section} id="credentials" title="Authorization" remark="The modal behind “API Key Authorization”.">
      <${FormFrame} ...${frame} name=${`${provider.name}/credentials`} formName="credentials" form=${provider.credentials} title="API Key Authorization" /><//>`}
    ${provider.oauth && html`<${Section} id="oauth" title="OAuth client" remark="The settings of the client behind a second button.">
      <${FormFrame} ...${frame} name=${`${provider.name}/oauth`} formName="oauth" form=${provider.oauth} title="OAuth Client Settings" save="Save and Authorize" /><//>`}
    ${provider.subscription_parameters && html`<${Section} id="subscription-parameters" title="Subscription" remark="What a subscription with an authorization asks for: the plugin creates it.">
      <${FormFrame} ...${frame} name=${`${provider.name}/subscription_parameters`} formName="subscription_parameters" form=${provider.subscription_parameters} title="New subscription" save="Create" /><//>`}
    ${provider.subscription && html`<${Section} id="subscription" title="Manual subscription" remark="What a subscription asks for that the user creates at the service.">
      <${FormFrame} ...${frame} name=${`${provider.name}/subscription`} formName="subscription" form=${provider.subscription} title="Manual setup" save="Create" /><//>`}
    ${provider.parts?.length > 0 && html`<${Section} id="parts" title=${PART_TITLES[provider.kind] ?? "Parts"}>
      <div class="rows">${provider.parts.map((part) => {
        const open = (section === "parts" && item === part.name) || (provider.parts.length === 1 && section !== "closed");
        return html`<div key=${part.name} class="row-group">
          <a class="row" data-row="part" data-action="part" data-value=${part.name} role="button" aria-expanded=${open ? "true" : "false"}
              href=${open ? address("drawn", provider.kind, provider.name, provider.parts.length === 1 ? "closed" : "parts") : address("drawn", provider.kind, provider.name, "parts", part.name)}
              onKeyDown=${(event) => { if (event.key === " ") { event.preventDefault(); event.currentTarget.click(); } }}>
            <span class="row-name"><span data-part="label">${inLanguage(part.label, language) || part.name}</span>
              <span class="quiet small-text row-text">${inLanguage(part.description, language)}</span></span>
            <span class="row-end"><span class="chevron" aria-hidden="true">${open ? "▾" : "▸"}</span></span>
          </a>
          ${open && html`<${Part} provider=${provider} part=${part} language=${language} />`}
        </div>`;
      })}</div>
    <//>`}`;
}
