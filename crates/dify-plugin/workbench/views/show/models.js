// The list of models as on Dify's card: order, badges, context; the opened one shows its parameter panel below its row.
import { html, useState } from "../../app/dom.js";
import { address } from "../../app/route.js";
import { counted, inLanguage } from "../../app/text.js";
import { Icon } from "../../parts/icon.js";
import { JsonTree } from "../../parts/json.js";
import { Notes } from "../../parts/note.js";
import { Status } from "../../parts/status.js";
import { ParameterPanel } from "./parameters.js";

const FEATURE_WORDS = { vision: "Vision", document: "Document", audio: "Audio", video: "Video" };

export function Models({ provider, language, open }) {
  const [search, setSearch] = useState("");
  const wanted = search.trim().toLowerCase();
  const models = provider.models.filter((model) => !wanted || `${model.name} ${inLanguage(model.label, language)} ${model.badge}`.toLowerCase().includes(wanted));
  return html`<div class="models">
    <div class="filter"><label class="grow"><span class="unseen">Search models</span>
      <input type="search" data-action="search-models" placeholder="Search models" value=${search} onInput=${(event) => setSearch(event.currentTarget.value)} /></label></div>
    <${Status}>${wanted ? `${counted(models.length, "model")} of ${provider.models.length}` : null}<//>
    <div class="rows">${models.map((model) => html`<${Row} key=${`${model.type} ${model.name}`} provider=${provider} model=${model} language=${language} open=${open === model.name} />`)}</div>
  </div>`;
}

function Row({ provider, model, language, open }) {
  const label = inLanguage(model.label, language) || model.name;
  const notes = (model.notes?.length ?? 0) + (model.parameters?.fields ?? []).reduce((sum, field) => sum + (field.notes?.length ?? 0), 0);
  return html`<div class="row-group" data-model-group=${model.name}>
    <a class="row" data-row="model" data-action="parameters" data-model=${model.name} data-type=${model.type} data-state=${model.deprecated ? "deprecated" : "ready"}
        href=${open ? address("drawn", "model", provider.name, "models") : address("drawn", "model", provider.name, "models", model.name)} aria-expanded=${open ? "true" : "false"} role="button"
        onKeyDown=${(event) => { if (event.key === " ") { event.preventDefault(); event.currentTarget.click(); } }}
        title=${model.deprecated ? "This model has been deprecated" : undefined}>
      <${Icon} path=${provider.icon} size=${20} />
      <span class="row-name" data-part="label">${label}</span>
      <span class="badges">
        <span class="badge" data-badge="type">${model.badge}</span>
        ${model.mode && html`<span class="badge" data-badge="mode">${model.mode}</span>`}
        ${model.context && html`<span class="badge" data-badge="context">${model.context}</span>`}
        ${(model.features ?? []).map((feature) => html`<span key=${feature} class="badge" data-badge="feature">${FEATURE_WORDS[feature] ?? feature}</span>`)}
      </span>
      <span class="row-end">
        ${notes > 0 && html`<span class="count" data-severity="warning" title=${`${notes} notes`}>${notes}<span class="unseen"> notes</span></span>`}
        <span class="fake-switch" data-on=${model.deprecated ? "false" : "true"} aria-hidden="true"></span>
        <span class="chevron" aria-hidden="true">${open ? "▾" : "▸"}</span>
      </span>
    </a>
    ${open && html`<${Details} provider=${provider} model=${model} language=${language} />`}
  </div>`;
}

function Details({ provider, model, language }) {
  const facts = { ...(model.properties ?? {}) };
  if (model.pricing) facts.pricing = model.pricing;
  return html`<div class="details" data-model=${model.name} data-panel=${model.name}>
    <p class="quiet small-text"><code>${model.name}</code> · ${model.file}${model.line ? `:${model.line}` : ""}
      ${model.in_picker === false && " · left out of every picker"}
      ${(model.all_features ?? []).length > 0 && html` · declares ${model.all_features.join(", ")}`}</p>
    <${Notes} notes=${model.notes} />
    <${ParameterPanel} provider=${provider} model=${model} language=${language} />
    ${(model.voices ?? []).length > 0 && html`<h4>Voices</h4><p class="voices">${model.voices.map((voice) => html`<span key=${voice.value} class="badge" data-option=${voice.value}
      title=${(voice.languages ?? []).join(", ")}>${inLanguage(voice.label, language) || voice.value}</span>`)}</p>`}
    ${Object.keys(facts).length > 0 && html`<details class="more"><summary>Properties and price</summary><${JsonTree} value=${facts} label=${`Properties of ${model.name}`} /></details>`}
  </div>`;
}
