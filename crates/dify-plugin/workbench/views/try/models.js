// A provider of models: its credentials, the type and the model to try, and the view for that type.
import { html, useEffect, useState } from "../../app/dom.js";
import { go } from "../../app/route.js";
import { Chat } from "./chat.js";
import { ModelPicker, chosenModel, firstModel, modelProviders } from "./model_picker.js";
import { OwnCredentials, ParameterPanel, useParameters } from "./model_setup.js";
import { Embedding, Moderation, Rerank, Speech } from "./other_models.js";
import { Transcribe } from "./transcribe.js";

const VIEWS = { "text-embedding": Embedding, rerank: Rerank, tts: Speech, speech2text: Transcribe, moderation: Moderation };

/** @param {{provider: any, view: any, wanted: string[], language: string}} props  `wanted`: type and model of the address */
export function Models({ provider, view, wanted, language }) {
  const types = provider.types ?? [];
  const [type, setType] = useState(types.some((one) => one.value === wanted[0]) ? wanted[0] : types[0]?.value ?? "llm");
  const [byType, setByType] = useState(() => (wanted[1] ? { [wanted[0]]: chosenModel(provider, wanted[0], wanted[1]) } : {}));
  useEffect(() => {
    if (!wanted[0] || !types.some((one) => one.value === wanted[0])) return;
    setType(wanted[0]);
    if (wanted[1]) setByType((before) => ({ ...before, [wanted[0]]: chosenModel(provider, wanted[0], wanted[1]) }));
  }, [wanted.join("/")]);
  const chosen = current(view, provider, type, byType[type]);
  const choose = (next) => {
    setByType({ ...byType, [type]: next });
    if (next.declared) go("try", "model", next.provider, next.type, next.model);
  };
  const Other = VIEWS[type];
  return html`<div class="models" data-provider=${provider.name} data-type=${type}>
    <label class="inline type-choice">Type <select data-action="model-type" value=${type} onChange=${(event) => setType(event.currentTarget.value)}>
      ${types.map((one) => html`<option key=${one.value} value=${one.value} selected=${one.value === type}>${one.badge}</option>`)}</select></label>
    ${type === "llm"
      ? html`<${Chat} view=${view} chosen=${chosen} onChoose=${choose} language=${language} />`
      : Other
        ? html`<${OneModel} key=${type} view=${view} provider=${provider} chosen=${chosen} onChoose=${choose} language=${language} of=${Other} />`
        : html`<p class="quiet">Models of type ${type} cannot be called.</p>`}
  </div>`;
}

/** A chosen model in the present declarations: a file may have changed since it was chosen. */
function current(view, provider, type, chosen) {
  if (!chosen) return firstModel(provider, type);
  const owner = modelProviders(view).find((one) => one.name === chosen.provider) ?? provider;
  return chosenModel(owner, type, chosen.model);
}

function OneModel({ view, provider, chosen, onChoose, language, of: View }) {
  const parameters = useParameters(chosen, 1);
  return html`<section class="column" data-column="1" data-provider=${chosen.provider} data-model=${chosen.model} aria-label=${chosen.model}>
    <header class="column-head"><${ModelPicker} view=${view} type=${chosen.type} chosen=${chosen} onChoose=${onChoose} language=${language} only=${provider.name} /></header>
    <${OwnCredentials} provider=${provider} chosen=${chosen} language=${language} />
    <${ParameterPanel} parameters=${parameters} chosen=${chosen} language=${language} />
    <${View} chosen=${chosen} language=${language} />
  </section>`;
}
