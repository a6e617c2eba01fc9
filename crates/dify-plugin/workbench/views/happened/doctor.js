// The findings of `doctor`, with what to do about them.
import { html, useState } from "../../app/dom.js";
import { getJson } from "../../app/api.js";
import { inLanguage } from "../../app/text.js";
import { useLanguage } from "../../app/settings.js";
import { Banner } from "../../parts/status.js";
import { modelProviders } from "../try/model_picker.js";

const KINDS = { error: "error", warning: "warning", warn: "warning", ok: "success" };

/** @param {{view: any}} props */
export function Doctor({ view }) {
  const language = useLanguage();
  const providers = modelProviders(view);
  const [provider, setProvider] = useState("");
  const [found, set] = useState({ state: "idle", findings: [], error: null });
  const examine = async () => {
    set({ state: "loading", findings: [], error: null });
    try {
      const query = provider ? `?provider=${encodeURIComponent(provider)}` : "";
      const answer = await getJson(`/api/doctor${query}`);
      set({ state: "ready", findings: answer?.findings ?? [], error: null });
    } catch (error) {
      set({ state: "error", findings: [], error });
    }
  };
  return html`<section class="doctor" data-part="doctor" data-state=${found.state} aria-label="Doctor">
    <h2>Doctor</h2>
    <p class="quiet">Examines the installation step by step: declarations, environment, DNS, TCP, TLS, and the server's answer.</p>
    <div class="actions">
      ${providers.length > 0 && html`<label class="inline">Provider <select data-action="doctor-provider" value=${provider} onChange=${(event) => setProvider(event.currentTarget.value)}>
        <option value="">the main one</option>
        ${providers.map((one) => html`<option key=${one.name} value=${one.name}>${inLanguage(one.label, language) || one.name}</option>`)}</select></label>`}
      <button type="button" class="primary" data-action="doctor" disabled=${found.state === "loading"} onClick=${examine}>${found.state === "loading" ? "Examining…" : "Examine"}</button>
    </div>
    ${found.error && html`<${Banner} kind="error" hint=${found.error.hint}>${found.error.message}<//>`}
    ${found.state === "ready" && found.findings.length === 0 && html`<p class="quiet">No findings.</p>`}
    <ul class="findings">${found.findings.map((finding, index) => html`<li key=${index} data-finding=${finding.check} data-level=${finding.level}>
      <span class="badge" data-kind=${KINDS[finding.level]}>${finding.level}</span> <strong>${finding.check}</strong> <span>${finding.found}</span>
      ${finding.hint && html`<div class="quiet">${finding.hint}</div>`}</li>`)}</ul>
  </section>`;
}
