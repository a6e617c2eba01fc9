// The frame around a form of Dify: title, description, form, help link, buttons; beside it what the plugin gets. Save sends
// nothing here: it answers as Dify would.
import { html, useState } from "../../app/dom.js";
import { firstMissing, useFormValues } from "../../app/forms.js";
import { inLanguage } from "../../app/text.js";
import { FormFields, Gets } from "../../parts/form.js";
import { Link } from "../../parts/markdown.js";

/**
 * @param {object} props
 * @param {string} props.name      by which the values are kept, such as `google/credentials`
 * @param {string} props.formName  for `data-form`
 * @param {any} props.form
 * @param {any} props.title
 * @param {any} [props.description]
 * @param {{text: any, url: any}|null} [props.help]
 * @param {string} props.language
 * @param {"model"|"plain"} [props.filter]
 * @param {string} [props.save]    the word on the button
 * @param {any} [props.above]      a form above this one
 * @param {string} [props.closing] the small print
 * @param {Record<string, any>} [props.extra]  values of the form above that count in this one
 */
export function FormFrame({ name, formName, form, title, description, help, language, filter = "plain", save = "Save", above, closing, extra, onMissing }) {
  const [own, set, forget] = useFormValues(name, form);
  const values = extra ? { ...own, ...extra } : own;
  const [toast, say] = useState(null);
  const trySave = () => {
    const missing = onMissing?.() ?? firstMissing(form, values);
    say(missing ? `${inLanguage(missing.label, language) || missing.variable} is required` : "Dify would save this now.");
  };
  const helpText = help && (help.text?.[language] || help.url?.[language] || help.text?.en_US || help.url?.en_US);
  return html`<div class="framed">
    <div class="frame" data-frame-of=${formName}>
      <header><h3>${title}</h3>${description && html`<p class="quiet">${description}</p>`}</header>
      <div class="frame-body">${above}
        <${FormFields} form=${form} name=${formName} values=${values} language=${language} onInput=${(variable, value) => { say(null); set(variable, value); }} />
      </div>
      <footer>
        ${helpText && html`<span class="frame-help" data-part="form-help"><${Link} href=${help.url?.[language] || help.url?.en_US}>${helpText}<//></span>`}
        <button type="button" data-action="reset" onClick=${() => { say(null); forget(); }}>Reset</button>
        <button type="button" class="primary" data-action="save" onClick=${trySave}>${save}</button>
      </footer>
      <p class="toast" role="status" data-part="toast" data-state=${toast ? (toast.endsWith("required") ? "error" : "ready") : "idle"}>${toast}</p>
      ${closing && html`<p class="closing">${closing}</p>`}
    </div>
    <${Gets} form=${form} values=${values} filter=${filter} />
  </div>`;
}

/** A heading with room for a remark. */
export function Section({ id, title, remark, children }) {
  return html`<section class="section" data-section=${id} aria-label=${title}>
    <div class="section-head"><h2>${title}</h2>${remark && html`<p class="quiet">${remark}</p>`}</div>
    ${children}
  </section>`;
}

/** The same drawing on a light and on a dark ground. */
export function BothThemes({ children }) {
  return html`<div class="both">
    ${["light", "dark"].map((theme) => html`<div key=${theme} class="surface" data-surface=${theme}>
      <div class="surface-name">${theme === "light" ? "Light" : "Dark"}</div>${children(theme)}</div>`)}
  </div>`;
}
