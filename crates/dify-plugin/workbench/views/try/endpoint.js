// The endpoints of a plugin: their settings, a request, the answer.
import { html, useMemo } from "../../app/dom.js";
import { concatenated, fromHex } from "./bytes.js";
import { useCall } from "./call.js";
import { Credentials } from "./credentials.js";
import { HttpForm, HttpResponse, useHttpRequest } from "./http_form.js";
import { Outcome, RunButtons, useAnswers } from "./outcome.js";
import { endpoint as request } from "./requests.js";

/** The settings without the name that Dify's dialog asks for first. @param {any} form */
const ownSettings = (form) => ({ ...form, fields: form.fields.filter((field, index) => !(index === 0 && field.variable === "name" && !field.path)) });

/** @param {{provider: any, language: string}} props */
export function EndpointSettings({ provider, language }) {
  const form = useMemo(() => provider.settings && ownSettings(provider.settings), [provider]);
  if (!form?.fields.length) return html`<p class="quiet">The endpoints have no settings.</p>`;
  return html`<${Credentials} storeKey="endpoint" form=${form} name="settings" language=${language} title="Settings" />`;
}

/** Path parameters as samples: `/hook/<id>` becomes `/hook/1`. */
const sampleRoute = ({ method, path }) => ({ method: String(method).toUpperCase(), path: path.replace(/<(?:[^:>]+:)?[^>]+>/g, "1") });

/** @param {{provider: any, language: string}} props */
export function Endpoint({ provider }) {
  const routes = useMemo(() => (provider.routes ?? []).map(sampleRoute), [provider]);
  const http = useHttpRequest(routes[0]);
  const { answers, choice } = useAnswers();
  const { run, start, stop, answer } = useCall(() => ({ status: null, headers: [], parts: [] }), (result, item) => {
    if (item?.status !== undefined) result.status = item.status;
    if (item?.headers) result.headers = Object.entries(item.headers);
    const bytes = fromHex(item?.result);
    if (bytes) result.parts.push(bytes);
  });
  return html`<div class="part" data-provider="endpoint">
    <${HttpForm} request=${http} routes=${routes} />
    <div class="actions">
      <${RunButtons} run=${run} onRun=${() => start({ ...request(http.hex), answers })} onStop=${stop} disabled=${!!http.error} label="Send" />
      ${choice}
    </div>
    <${Outcome} run=${run} onAnswer=${answer}>
      ${run.count > 0 && html`<${HttpResponse} status=${run.result.status} headers=${run.result.headers} body=${concatenated(run.result.parts)} />`}
    <//>
  </div>`;
}
