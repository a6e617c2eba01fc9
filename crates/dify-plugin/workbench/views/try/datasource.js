// A datasource of each of the three types: pages of a website, documents and their content, files of a drive.
import { html, useId, useState } from "../../app/dom.js";
import { bytesText } from "../../app/text.js";
import { Markdown } from "../../parts/markdown.js";
import { Table } from "../../parts/table.js";
import { Credentials } from "./credentials.js";
import { ToolMessages } from "./messages_drawn.js";
import { OAuth } from "./oauth.js";
import { Outcome, RunButtons, useAnswers } from "./outcome.js";
import { PartForms, PartPicker, useMessages, usePart, usePartValues, useSingle } from "./parts.js";
import { datasource as requests } from "./requests.js";
import { useCall } from "./call.js";

/** @param {{provider: any, language: string}} props */
export function DatasourceCredentials({ provider, language }) {
  return html`
    ${provider.credentials && html`<${Credentials} storeKey=${`datasource/${provider.name}`} form=${provider.credentials} name="credentials"
      validate=${requests.validate(provider.name)} language=${language} />`}
    <${OAuth} provider=${provider} kind="datasource" language=${language} />`;
}

const VIEWS = { website_crawl: Website, online_document: Documents, online_drive: Drive };

/** @param {{provider: any, wanted: string[], language: string}} props */
export function Datasource({ provider, wanted, language }) {
  const [part, choose] = usePart(provider, wanted);
  if (!part) return html`<p class="quiet">The provider declares no datasources.</p>`;
  const type = part.provider_type ?? provider.provider_type ?? "website_crawl";
  const View = VIEWS[type];
  return html`<div class="part" data-part-name=${part.name} data-provider=${provider.name} data-type=${type}>
    <${PartPicker} parts=${provider.parts} part=${part} onChoose=${choose} label="Datasource" language=${language} />
    ${View ? html`<${View} key=${part.name} provider=${provider} part=${part} language=${language} />` : html`<p class="field-error">Datasources of type ${type} are not known here.</p>`}
  </div>`;
}

function useForms(provider, part) {
  const values = usePartValues(`${provider.name}/${part.name}`, part);
  const [tried, setTried] = useState(false);
  const check = () => { setTried(true); return values.sent.errors.length === 0; };
  return { values, tried, check };
}

function Website({ provider, part, language }) {
  const { values, tried, check } = useForms(provider, part);
  const { run, start, stop, answer } = useSingle();
  const { answers, choice } = useAnswers();
  const state = run.result.last?.result;
  return html`
    <${PartForms} of=${values} language=${language} showErrors=${tried} />
    <div class="actions"><${RunButtons} run=${run} onStop=${stop} label="Crawl"
      onRun=${() => check() && start({ ...requests.crawl(provider.name, part.name, values.sent.values), answers })} />${choice}</div>
    <${Outcome} run=${run} onAnswer=${answer} line=${state && html`<span>${state.status}: ${state.completed} of ${state.total} pages</span>`}>
      ${state && html`<progress max=${Math.max(state.total, 1)} value=${state.completed} aria-label="Pages"></progress>`}
      ${state?.web_info_list?.slice(0, 50).map((page, index) => html`<details key=${index} class="page-row"><summary>${page.title || page.source_url} <span class="quiet">${page.source_url}</span></summary>
        <p class="quiet">${page.description}</p><${Markdown} text=${page.content ?? ""} /></details>`)}
    <//>`;
}

function Documents({ provider, part, language }) {
  const { values, tried, check } = useForms(provider, part);
  const list = useCall(() => ({ workspaces: [] }), (result, item) => { result.workspaces.push(...(item?.result ?? [])); });
  const content = useMessages();
  const { answers, choice } = useAnswers();
  const read = (workspace, page) => content.start({
    ...requests.content(provider.name, part.name, { workspace_id: workspace.workspace_id, page_id: page.page_id, type: page.type }), answers,
  });
  return html`
    <${PartForms} of=${values} language=${language} showErrors=${tried} />
    <div class="actions"><${RunButtons} run=${list.run} onStop=${list.stop} label="List the pages"
      onRun=${() => check() && list.start({ ...requests.pages(provider.name, part.name, values.sent.values), answers })} />${choice}</div>
    <${Outcome} run=${list.run} onAnswer=${list.answer}>
      ${list.run.result.workspaces.map((workspace) => html`<section key=${workspace.workspace_id} aria-label=${workspace.workspace_name}>
        <h3>${workspace.workspace_name} <span class="quiet">${workspace.total} pages</span></h3>
        <ul class="rows">${(workspace.pages ?? []).slice(0, 200).map((page) => html`<li key=${page.page_id} data-page=${page.page_id}>
          <span>${page.page_name}</span> <span class="quiet">${page.type}</span>
          <button type="button" class="small" data-action="read-page" onClick=${() => read(workspace, page)}>Read</button></li>`)}</ul></section>`)}
    <//>
    <${Outcome} run=${content.run} onAnswer=${content.answer}><${ToolMessages} messages=${content.run.result} running=${content.run.state === "running"} /><//>`;
}

function Drive({ provider, part }) {
  const id = useId();
  const [bucket, setBucket] = useState("");
  const [prefix, setPrefix] = useState("");
  const list = useCall(() => ({ listings: [] }), (result, item) => { result.listings.push(...(item?.result ?? [])); });
  const file = useMessages();
  const { answers, choice } = useAnswers();
  const browse = (where, next = null) => list.start({
    ...requests.browse(provider.name, part.name, { bucket: where.bucket || null, prefix: where.prefix, max_keys: 20, next_page_parameters: next }), answers,
  });
  const open = (listing, entry) => {
    if (entry.type !== "folder") return file.start({ ...requests.download(provider.name, part.name, { bucket: listing.bucket ?? null, id: entry.id }), answers });
    setPrefix(entry.id);
    return browse({ bucket: listing.bucket ?? bucket, prefix: entry.id });
  };
  const columns = [{ id: "name", title: "Name" }, { id: "type", title: "Type" }, { id: "size", title: "Size", numeric: true }, { id: "open", title: "" }];
  return html`
    <div class="request-line">
      <label for=${`${id}-bucket`}>Bucket <input id=${`${id}-bucket`} data-part="bucket" value=${bucket} onInput=${(event) => setBucket(event.currentTarget.value)} /></label>
      <label for=${`${id}-prefix`} class="grow">Within <input id=${`${id}-prefix`} data-part="prefix" value=${prefix} onInput=${(event) => setPrefix(event.currentTarget.value)} /></label>
    </div>
    <div class="actions"><${RunButtons} run=${list.run} onStop=${list.stop} label="List the files" onRun=${() => browse({ bucket, prefix })} />${choice}</div>
    <${Outcome} run=${list.run} onAnswer=${list.answer}>
      ${list.run.result.listings.map((listing, index) => html`<div key=${index}>
        ${listing.bucket && html`<h3>${listing.bucket}</h3>`}
        <${Table} caption="Files" columns=${columns} rows=${(listing.files ?? []).slice(0, 200).map((entry) => ({
          id: entry.id, attributes: { "data-file": entry.id },
          cells: { name: entry.name, type: entry.type, size: bytesText(entry.size),
            open: html`<button type="button" class="small" data-action="open-file" onClick=${() => open(listing, entry)}>${entry.type === "folder" ? "List" : "Download"}</button>` },
        }))} />
        ${listing.is_truncated && html`<button type="button" data-action="next-page" onClick=${() => browse({ bucket, prefix }, listing.next_page_parameters)}>Next page</button>`}
      </div>`)}
    <//>
    <${Outcome} run=${file.run} onAnswer=${file.answer}><${ToolMessages} messages=${file.run.result} running=${file.run.state === "running"} /><//>`;
}
