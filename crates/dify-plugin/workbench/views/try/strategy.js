// An agent strategy: its parameters, with a scripted model and a tool to begin from, and the messages of its run.
import { html, useState } from "../../app/dom.js";
import { ToolMessages } from "./messages_drawn.js";
import { Outcome, RunButtons, useAnswers } from "./outcome.js";
import { PartForms, PartPicker, useMessages, usePart, usePartValues } from "./parts.js";
import { strategy as request } from "./requests.js";

/** @param {{provider: any, wanted: string[], language: string}} props */
export function Strategy({ provider, wanted, language }) {
  const [part, choose] = usePart(provider, wanted);
  if (!part) return html`<p class="quiet">The provider declares no strategies.</p>`;
  return html`<div class="part" data-part-name=${part.name} data-provider=${provider.name}>
    <${PartPicker} parts=${provider.parts} part=${part} onChoose=${choose} label="Strategy" language=${language} />
    <${Run} key=${part.name} provider=${provider} part=${part} language=${language} />
  </div>`;
}

/** Strategies have one form, whichever member of the view holds it. */
const withForm = (part) => ({ ...part, inputs: part.inputs?.fields?.length ? part.inputs : part.agent_form, settings: null });

function Run({ provider, part, language }) {
  const [own] = useState(() => withForm(part));
  const values = usePartValues(`${provider.name}/${part.name}`, own);
  const { answers, choice } = useAnswers();
  const [tried, setTried] = useState(false);
  const { run, start, stop, answer } = useMessages();
  const onRun = () => {
    setTried(true);
    if (!values.sent.errors.length) start({ ...request(provider.name, part.name, values.sent.values), answers });
  };
  return html`
    <p class="quiet">Models, tools and apps are JSON here, as the strategy receives them: the workbench has no workspace to pick from. The
      calls of the strategy are answered by a script, or by you.</p>
    <${PartForms} of=${values} language=${language} showErrors=${tried} />
    <div class="actions"><${RunButtons} run=${run} onRun=${onRun} onStop=${stop} />${choice}</div>
    <${Outcome} run=${run} onAnswer=${answer}><${ToolMessages} messages=${run.result} running=${run.state === "running"} /><//>`;
}
