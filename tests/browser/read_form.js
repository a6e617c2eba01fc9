// Reads a form of the page as its tables have it, after it has chosen values as a user would. The body of a function: `done` takes
// the result; arguments: CSS of the place that holds the forms, name of the form, values to choose, variables that should be drawn.
const [place, name, chosen, drawn] = arguments;
const root = document.querySelector(place) ?? document;
const fields = (form) => [...root.querySelectorAll(`[data-form="${form}"] [data-variable], [data-form="${form}"] [data-invisible]`)];
const named = (field) => field.dataset.variable ?? field.dataset.invisible;
const frame = () => new Promise((next) => requestAnimationFrame(() => setTimeout(next, 0)));
const words = (element) => (element?.textContent ?? "").trim();

function choose(variable, value) {
  const field = [...fields("upper"), ...fields(name)].find((field) => named(field) === variable);
  const select = field?.querySelector("select");
  if (select) {
    if (select.value === value) return;
    select.value = value;
    select.dispatchEvent(new Event("input", { bubbles: true }));
    select.dispatchEvent(new Event("change", { bubbles: true }));
  } else {
    const radio = field?.querySelector(`input[type="radio"][value="${CSS.escape(value)}"]`);
    if (!radio) throw new Error(`${variable} cannot be set to ${value}`);
    if (!radio.checked) radio.click();
  }
}

function read(field) {
  if (field.dataset.invisible) return { variable: named(field), invisible: true };
  const select = field.querySelector("select"), range = field.querySelector('input[type="range"]');
  const text = field.querySelector('textarea, input:not([type="radio"]):not([type="checkbox"]):not([type="range"])');
  const radio = field.querySelector('input[type="radio"]:checked');
  const help = field.querySelector('[data-part="help"]');
  const options = select
    ? [...select.options].filter((option) => option.value !== "").map((option) => [option.value, words(option)])
    : [...field.querySelectorAll("[data-option]")].map((option) => [option.dataset.option, words(option)]);
  return {
    variable: named(field),
    control: field.dataset.control,
    label: words(field.querySelector('[data-part="label"]')),
    star: Boolean(field.querySelector('[data-part="star"]')),
    switch: Boolean(field.querySelector('[data-part="switch"]')),
    placeholder: select ? words([...select.options].find((option) => option.value === "")) : text?.placeholder ?? "",
    help: help ? help.getAttribute("aria-label") ?? words(help) : "",
    options,
    value: select ? select.value : radio ? radio.value : text ? text.value : range ? range.value : "",
    password: text?.type === "password",
    min: range ? Number(range.min) : null,
    max: range ? Number(range.max) : null,
    step: range ? Number(range.step) : null,
  };
}

const look = async () => {
  for (const [variable, value] of Object.entries(chosen)) {
    choose(variable, value);
    await frame();
  }
  // Conditions settle within a few frames.
  for (let frames = 0; frames < 60; frames += 1) {
    if (drawn && JSON.stringify(fields(name).map(named)) === JSON.stringify(drawn)) break;
    await frame();
  }
  return fields(name).map(read);
};
look().then(done, (error) => done(String(error)));
