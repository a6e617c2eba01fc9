// OAuth of a provider: the address to authorize at, the exchange of the callback, the renewal. Tokens stay in the server.
import { html, useId, useState } from "../../app/dom.js";
import { useFormValues } from "../../app/forms.js";
import { Code } from "../../parts/code.js";
import { FormFields } from "../../parts/form.js";
import { JsonTree } from "../../parts/json.js";
import { Link } from "../../parts/markdown.js";
import { readAgain } from "./credentials.js";
import { Outcome, RunButtons } from "./outcome.js";
import { useSingle } from "./parts.js";
import { rawRequest } from "./raw_http.js";
import { oauth as requests } from "./requests.js";

const REDIRECT = "http://localhost/callback";

/** The request that the callback would have received. @param {string} address @returns {{hex: string, error: string|null}} */
function callbackRequest(address) {
  try {
    const url = new URL(address);
    return rawRequest({ method: "GET", path: url.pathname + url.search, headers: `Host: ${url.host}`, body: "" });
  } catch {
    return { hex: "", error: "Not an address." };
  }
}

/** @param {{provider: any, kind: "tool"|"datasource"|"trigger", language: string}} props */
export function OAuth({ provider, kind, language }) {
  if (!provider.oauth) return null;
  return html`<${Declared} provider=${provider} kind=${kind} language=${language} />`;
}

function Declared({ provider, kind, language }) {
  const id = useId();
  const [client, setClient] = useFormValues(`${provider.name}/oauth`, provider.oauth);
  const [redirect, setRedirect] = useState(REDIRECT);
  const [callback, setCallback] = useState("");
  const address = useSingle();
  const exchange = useSingle();
  const raw = callbackRequest(callback);
  const url = address.run.result.last?.authorization_url;
  const key = `${kind}/${provider.name}`;
  const trade = async (call) => {
    const done = await exchange.start(call);
    if (done.state === "ended") readAgain();
  };
  return html`<details class="panel" data-part="oauth">
    <summary>OAuth</summary>
    <${FormFields} form=${provider.oauth} name="oauth" values=${client} onInput=${setClient} language=${language} notes=${false} />
    <div class="field"><label for=${`${id}-redirect`}>Where the browser is redirected</label>
      <input id=${`${id}-redirect`} data-part="redirect" value=${redirect} onInput=${(event) => setRedirect(event.currentTarget.value)} /></div>
    <div class="actions"><${RunButtons} run=${address.run} name="authorize" label="Ask for the address" onStop=${address.stop}
      onRun=${() => address.start(requests.address(provider.name, redirect, client))} /></div>
    <${Outcome} run=${address.run} raw=${false}>
      ${url && html`<p>Open it, authorize, and copy the address to which the browser is redirected: <${Link} href=${url}>open<//></p><${Code} text=${url} label="Authorization URL" wrap=${true} />`}
    <//>
    <div class="field"><label for=${`${id}-callback`}>The address with the code</label>
      <input id=${`${id}-callback`} data-part="callback" value=${callback} autocomplete="off" placeholder=${`${redirect}?code=…&state=…`} onInput=${(event) => setCallback(event.currentTarget.value)} /></div>
    <div class="actions">
      <${RunButtons} run=${exchange.run} name="exchange" label="Exchange the code" onStop=${exchange.stop} disabled=${!!raw.error}
        onRun=${() => trade({ ...requests.exchange(provider.name, redirect, client, raw.hex), credentials: key })} />
      <button type="button" data-action="renew" onClick=${() => trade({ ...requests.refresh(provider.name, redirect, client, {}), credentials: key })}>Renew the credentials</button>
    </div>
    <${Outcome} run=${exchange.run} raw=${false}>
      ${exchange.run.result.last && html`<p class="good">The credentials are kept in the server.</p><${JsonTree} value=${exchange.run.result.last} label="Credentials, masked" />`}
    <//>
  </details>`;
}
