// The drawer of an endpoint's settings, and the card with its routes.
import { html } from "../../app/dom.js";
import { FormFrame, Section } from "./frame.js";
import { Notes } from "../../parts/note.js";
import { Table } from "../../parts/table.js";
import { Badge } from "../../parts/status.js";

export function EndpointPage({ provider, language }) {
  const routes = provider.routes ?? [];
  return html`
    <${Section} id="settings" title="Endpoint" remark="The drawer in which an endpoint is set up.">
      <${Notes} notes=${provider.notes} />
      <${FormFrame} name="endpoint/settings" formName="settings" form=${provider.settings} language=${language} title="Set up endpoint"
        description="After configuring the endpoint, the features it provides are available to the workspace." />
    <//>
    <${Section} id="routes" title="Routes" remark="The card shows method and address of each, but for hidden ones.">
      <${Table} caption="Routes" columns=${[{ id: "method", title: "Method" }, { id: "path", title: "Path" }, { id: "shown", title: "On the card" }]}
        rows=${routes.map((route, index) => ({
          id: index, attributes: { "data-row": "route", "data-hidden": String(Boolean(route.hidden)) },
          cells: { method: html`<${Badge} kind="accent">${route.method}<//>`, path: html`<code>${route.path}</code>`, shown: route.hidden ? "hidden" : "yes" },
        }))} />
    <//>`;
}
