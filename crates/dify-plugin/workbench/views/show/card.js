// The plugin's card in Dify's marketplace and in the list of installed plugins, on both grounds.
import { html } from "../../app/dom.js";
import { address } from "../../app/route.js";
import { counted, inLanguage, languageName } from "../../app/text.js";
import { Icon } from "../../parts/icon.js";
import { Badge, Banner } from "../../parts/status.js";
import { Notes } from "../../parts/note.js";
import { BothThemes, Section } from "./frame.js";

const CATEGORIES = {
  "model": "Model", "tool": "Tool", "agent-strategy": "Agent strategy", "extension": "Extension", "datasource": "Data source", "trigger": "Trigger",
};

export function CardPage({ view, plugin, language }) {
  const { card } = view;
  const errors = plugin.problems.filter((problem) => problem.severity === "error").length;
  const warnings = plugin.problems.length - errors;
  return html`<${Section} id="card" title="Plugin card" remark="In the marketplace and in the list of installed plugins.">
      <${BothThemes}>${(theme) => html`<${PluginCard} card=${card} theme=${theme} language=${language} />`}<//>
      <${Notes} notes=${card.notes} />
    <//>
    <${Section} id="start" title="At a glance">
      ${errors > 0 && html`<${Banner} kind="error">Dify would refuse this plugin: <a href="#/problems">${counted(errors, "error")}</a>.<//>`}
      <ul class="glance">
        <li><strong>Languages that reach the browser:</strong> ${view.languages.map(languageName).join(", ")}</li>
        <li><strong>Declared:</strong> ${view.providers.map((provider, index) => html`${index > 0 ? ", " : ""}<a href=${address("drawn", provider.kind, provider.name ?? provider.kind)}>
          ${inLanguage(provider.label, language) || provider.name || provider.kind}</a>`)}</li>
        <li>${warnings > 0
          ? html`<a href="#/problems">${counted(warnings, "place")}</a> where Dify shows something else than declared; each is marked at its field.`
          : "Dify shows everything as it is declared."}</li>
        <li>Next: <a href="#/try">try it</a>. A saved file is drawn again at once; what you typed stays.</li>
      </ul>
    <//>`;
}

function PluginCard({ card, theme, language }) {
  const icon = theme === "dark" && card.icon_dark ? card.icon_dark : card.icon;
  return html`<div class="plugin-card" data-part="card" data-card=${theme}>
    <span class="corner">${CATEGORIES[card.category] ?? card.category}</span>
    <div class="plugin-head">
      <${Icon} path=${icon} size=${40} />
      <div><div class="plugin-title"><strong data-part="label">${inLanguage(card.label, language)}</strong> <${Badge}>${card.version}<//></div>
        <div class="quiet small-text">${card.author} / ${card.name}</div></div>
    </div>
    <p class="two-lines" data-part="description" title=${inLanguage(card.description, language)}>${inLanguage(card.description, language)}</p>
    <div class="badges">${(card.tags ?? []).map((tag) => html`<${Badge} key=${tag}>${tag}<//>`)}
      ${card.minimum_dify_version && html`<${Badge} title="A warning icon when the workspace's Dify is older">Dify ≥ ${card.minimum_dify_version}<//>`}</div>
  </div>`;
}
