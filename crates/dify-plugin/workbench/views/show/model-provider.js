// The page of a model provider: card, modal of the key, modal of an own (customizable) model, and the list of models.
import { html } from "../../app/dom.js";
import { firstMissing, useFormValues } from "../../app/forms.js";
import { counted, inLanguage } from "../../app/text.js";
import { FormFields } from "../../parts/form.js";
import { Icon } from "../../parts/icon.js";
import { Notes } from "../../parts/note.js";
import { Badge } from "../../parts/status.js";
import { BothThemes, FormFrame, Section } from "./frame.js";
import { Models } from "./models.js";

const CLOSING = "Dify notes here that the key is encrypted with PKCS1_OAEP.";

export function ModelProviderPage({ provider, language, item, section }) {
  return html`
    <${Section} id="card" title=${inLanguage(provider.label, language) || provider.name} remark="The provider's card in the settings of a workspace.">
      <${BothThemes}>${(theme) => html`<${ProviderCard} provider=${provider} theme=${theme} language=${language} />`}<//>
      <${Notes} notes=${provider.notes} />
    <//>
    ${provider.credentials && html`<${Section} id="credentials" title="API key" remark="The modal of a key for the whole provider.">
      <${FormFrame} name=${`${provider.name}/credentials`} formName="credentials" form=${provider.credentials} filter="model" language=${language}
        title="API Key Authorization Configuration" description="After configuring credentials, all members in the workspace can use this model when orchestrating applications."
        help=${provider.help} closing=${CLOSING} />
    <//>`}
    ${provider.model_credentials && html`<${Section} id="model_credentials" title="Own model" remark="The modal of a customizable model: its name and type above, its credentials below.">
      <${OwnModel} provider=${provider} language=${language} />
    <//>`}
    ${provider.models?.length > 0 && html`<${Section} id="models" title=${counted(provider.models.length, "model")} remark="In Dify's order. Open one to see its parameters.">
      <${Models} provider=${provider} language=${language} open=${section === "models" ? item : undefined} />
    <//>`}`;
}

function ProviderCard({ provider, theme, language }) {
  const icon = theme === "dark" && provider.icon_dark ? provider.icon_dark : provider.icon;
  return html`<div class="provider-card" data-card=${theme}>
    <div class="provider-top">
      <div class="provider-name"><${Icon} path=${icon} size=${24} /><strong data-part="label">${inLanguage(provider.label, language)}</strong></div>
      <div class="badges">${provider.types.map((type) => html`<span key=${type.value} class="badge" data-badge>${type.badge}</span>`)}</div>
    </div>
    ${provider.has_credential_panel && html`<div class="provider-panel" data-part="credential-panel"><span class="quiet">API KEY</span><span class="button-like">Setup</span></div>`}
    <div class="provider-foot"><span>Show Models</span>
      ${provider.has_add_model && html`<span class="provider-add" data-part="add-model">Manage Credentials · Add Model</span>`}</div>
  </div>`;
}

/** Two forms: what is chosen above is copied into the one below only on change, so that nothing depends on a default there. */
function OwnModel({ provider, language }) {
  const { upper, form } = provider.model_credentials;
  const [above, setAbove] = useFormValues(`${provider.name}/upper`, upper);
  const extra = {};
  for (const key of ["__model_name", "__model_type"]) if (above[key] !== undefined) extra[key] = above[key];
  return html`<${FormFrame} name=${`${provider.name}/model_credentials`} formName="model_credentials" form=${form} filter="model" language=${language} save="Add"
    title="Add Model" help=${provider.help} closing=${CLOSING} extra=${extra} onMissing=${() => firstMissing(upper, above)}
    above=${html`<div class="upper"><${FormFields} form=${upper} name="upper" values=${above} onInput=${setAbove} language=${language} /></div>`} />`;
}
