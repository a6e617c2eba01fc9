// A tool: parameters, run, messages.
import { html, useCallback, useState } from "../../app/dom.js";
import { Credentials } from "./credentials.js";
import { ToolMessages } from "./messages_drawn.js";
import { OAuth } from "./oauth.js";
import { Outcome, RunButtons, useAnswers } from "./outcome.js";
import { PartForms, PartPicker, optionsBy, useMessages, usePart, usePartValues, useSingle } from "./parts.js";
import { options, tool as requests } from "./requests.js";
import { JsonTree } from "../../parts/json.js";

/** @param {{provider: any, wanted: string[], language: string}} props */
export function ToolCredentials({ provider, language }) {
  return html`
    ${provider.credentials && html`<${Credentials} storeKey=${`tool/${provider.name}`} form=${provider.credentials} name="credentials"
      validate=${requests.validate(provider.name)} language=${language} />`}
    <${OAuth} provider=${provider} kind="tool" language=${language} />
    ${!provider.credentials && !provider.oauth && html`<p class="quiet">The provider needs no credentials.</p>`}`;
}

export function Tool({ provider, wanted, language }) {
  const [part, choose] = usePart(provider, wanted);
  if (!part) return html`<p class="quiet">The provider declares no tools.</p>`;
  return html`<div class="part" data-part-name=${part.name} data-provider=${provider.name}>
    <${PartPicker} parts=${provider.parts} part=${part} onChoose=${choose} label="Tool" language=${language} />
    <${Run} key=${part.name} provider=${provider} part=${part} language=${language} />
  </div>`;
}

function Run({ provider, part, language }) {
  const values = usePartValues(`${provider.name}/${part.name}`, part);
  const { answers, choice } = useAnswers();
  const [tried, setTried] = useState(false);
  const { run, start, stop, answer } = useMessages();
  const declared = useSingle();
  const loadOptions = useCallback(optionsBy((parameter) => options("tool", provider.name, part.name, parameter)), [provider.name, part.name]);
  const onRun = () => {
    setTried(true);
    if (!values.sent.errors.length) start({ ...requests.invoke(provider.name, part.name, values.sent.values), answers });
  };
  return html`
    <${PartForms} of=${values} language=${language} loadOptions=${loadOptions} showErrors=${tried} />
    <div class="actions">
      <${RunButtons} run=${run} onRun=${onRun} onStop=${stop} />
      ${choice}
      <button type="button" class="plain" data-action="runtime-parameters" onClick=${() => declared.start(requests.parameters(provider.name, part.name))}>Ask for runtime parameters</button>
    </div>
    <${Outcome} run=${declared.run}>${declared.run.result.last && html`<${JsonTree} value=${declared.run.result.last} label="Runtime parameters" />`}<//>
    <${Outcome} run=${run} onAnswer=${answer}><${ToolMessages} messages=${run.result} running=${run.state === "running"} /><//>`;
}
