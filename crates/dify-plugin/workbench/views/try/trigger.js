// A trigger: a subscription, a request to its address, and the events that the plugin finds in it.
import { html, useCallback, useMemo, useState } from "../../app/dom.js";
import { useFormValues } from "../../app/forms.js";
import { FormFields } from "../../parts/form.js";
import { JsonTree } from "../../parts/json.js";
import { fromHex } from "./bytes.js";
import { Credentials } from "./credentials.js";
import { HttpForm, HttpResponse, useHttpRequest } from "./http_form.js";
import { OAuth } from "./oauth.js";
import { Outcome, RunButtons, useAnswers } from "./outcome.js";
import { PartForms, optionsBy, usePartValues, useSingle } from "./parts.js";
import { parseResponse } from "./raw_http.js";
import { options, trigger as requests } from "./requests.js";
import { JSON_CONTROLS } from "./values.js";

/** @param {{provider: any, language: string}} props */
export function TriggerCredentials({ provider, language }) {
  return html`
    ${provider.credentials && html`<${Credentials} storeKey=${`trigger/${provider.name}`} form=${provider.credentials} name="credentials"
      validate=${requests.validate(provider.name)} language=${language} />`}
    <${OAuth} provider=${provider} kind="trigger" language=${language} />`;
}

const ADDRESS = "https://example.com/triggers/plugin/workbench";
const NO_FORM = { engine: "new", fields: [] };

/** What the server gives for a secret that it keeps, and puts in its place. */
const HIDDEN = "[__HIDDEN__]";

/** Hides the secret properties of a subscription where it is shown. @param {any} subscription @param {any} form */
function masked(subscription, form) {
  const secret = new Set((form?.fields ?? []).filter((field) => field.type === "secret-input").map((field) => field.variable));
  const properties = Object.fromEntries(Object.entries(subscription?.properties ?? {}).map(([name, value]) => [name, value === HIDDEN || (secret.has(name) && value) ? "********" : value]));
  return { ...subscription, properties };
}

/** @param {{provider: any, language: string}} props */
export function Trigger({ provider, language }) {
  const form = provider.subscription ?? NO_FORM;
  const [properties, setProperty] = useFormValues(`${provider.name}/subscription`, form);
  const [made, setMade] = useState(null);
  const subscription = useMemo(() => ({
    expires_at: made?.expires_at ?? -1, endpoint: made?.endpoint ?? ADDRESS, parameters: made?.parameters ?? {}, properties: { ...made?.properties, ...properties },
  }), [made, properties]);
  return html`<div class="part" data-provider=${provider.name}>
    <${Subscription} provider=${provider} form=${form} subscription=${subscription} properties=${properties} setProperty=${setProperty} onMade=${setMade} language=${language} />
    <${Dispatch} provider=${provider} subscription=${subscription} language=${language} />
  </div>`;
}

function Subscription({ provider, form, subscription, properties, setProperty, onMade, language }) {
  const { run, start, stop, answer } = useSingle();
  const { answers, choice } = useAnswers();
  const loadOptions = useCallback(optionsBy((parameter) => options("trigger", provider.name, "provider", parameter)), [provider.name]);
  const constructor = provider.subscription_parameters ?? null;
  const [parameters, setParameter] = useFormValues(`${provider.name}/subscription_parameters`, constructor ?? NO_FORM);
  const go = async (call) => {
    const done = await start({ ...call, answers });
    const found = done.result.last?.subscription;
    if (done.state === "ended" && found?.endpoint !== undefined) onMade(found);
  };
  return html`<details class="panel" data-part="subscription" open=${false}>
    <summary>Subscription</summary>
    <${FormFields} form=${form} name="subscription" values=${properties} onInput=${setProperty} language=${language} notes=${false} controls=${JSON_CONTROLS} loadOptions=${loadOptions} />
    ${constructor && html`<${FormFields} form=${constructor} name="subscription_parameters" values=${parameters} onInput=${setParameter} language=${language} notes=${false} loadOptions=${loadOptions} />`}
    <div class="actions">
      <${RunButtons} run=${run} name="subscribe" label="Subscribe" onStop=${stop} onRun=${() => go(requests.subscribe(provider.name, ADDRESS, parameters))} />
      <button type="button" data-action="refresh" onClick=${() => go(requests.refresh(provider.name, subscription))}>Refresh</button>
      <button type="button" data-action="unsubscribe" onClick=${() => go(requests.unsubscribe(provider.name, subscription))}>Unsubscribe</button>
      ${choice}
    </div>
    <${Outcome} run=${run} raw=${false} onAnswer=${answer}>${run.result.last && html`<${JsonTree} value=${run.result.last.subscription?.properties ? masked(run.result.last.subscription, form) : run.result.last} label="Result" />`}<//>
    <h3>As events receive it</h3><${JsonTree} value=${masked(subscription, form)} label="Subscription" />
  </details>`;
}

function Dispatch({ provider, subscription, language }) {
  const http = useHttpRequest({ method: "POST", path: "/triggers/plugin/workbench", headers: "Content-Type: application/json", body: "{}" });
  const { run, start, stop, answer } = useSingle();
  const { answers, choice } = useAnswers();
  const result = run.result.last;
  const response = useMemo(() => (result?.response ? parseResponse(fromHex(result.response) ?? new Uint8Array()) : null), [result]);
  return html`
    <h3>Request</h3>
    <${HttpForm} request=${http} />
    <div class="actions"><${RunButtons} run=${run} onStop=${stop} disabled=${!!http.error} label="Dispatch"
      onRun=${() => start({ ...requests.dispatch(provider.name, subscription, http.hex), answers })} />${choice}</div>
    <${Outcome} run=${run} onAnswer=${answer}>
      ${response && html`<${HttpResponse} ...${response} />`}
      ${result && html`<p data-part="events">Events: ${result.events?.length ? result.events.join(", ") : "none"}</p>`}
    <//>
    ${(provider.parts ?? []).map((part) => html`<${Event} key=${part.name} provider=${provider} part=${part} http=${http} subscription=${subscription}
      payload=${result?.payload ?? {}} named=${result?.events?.includes(part.name) ?? false} language=${language} />`)}`;
}

function Event({ provider, part, http, subscription, payload, named, language }) {
  const values = usePartValues(`${provider.name}/${part.name}`, part);
  const [tried, setTried] = useState(false);
  const { answers, choice } = useAnswers();
  const { run, start, stop, answer } = useSingle();
  const loadOptions = useCallback(optionsBy((parameter) => options("trigger", provider.name, part.name, parameter)), [provider.name, part.name]);
  const onRun = () => {
    setTried(true);
    if (!values.sent.errors.length) start({ ...requests.event(provider.name, part.name, http.hex, values.sent.values, subscription, payload), answers });
  };
  const last = run.result.last;
  return html`<section class="panel event" data-part-name=${part.name} data-named=${named ? "true" : "false"} aria-label=${`Event ${part.name}`}>
    <h3>Event <code>${part.name}</code> ${named && html`<span class="badge" data-kind="success">in the last request</span>`}</h3>
    <${PartForms} of=${values} language=${language} loadOptions=${loadOptions} showErrors=${tried} />
    <div class="actions"><${RunButtons} run=${run} name="run-event" label="Run the event" onRun=${onRun} onStop=${stop} disabled=${!!http.error} />${choice}</div>
    <${Outcome} run=${run} onAnswer=${answer}>
      ${last && (last.cancelled ? html`<p>Ignored: no workflow starts.</p>` : html`<p>A workflow starts with</p><${JsonTree} value=${last.variables} label="Variables" />`)}
    <//>
  </section>`;
}
