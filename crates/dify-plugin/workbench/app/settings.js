// The two choices that outlive a visit: theme and language. Nothing else is stored on disk.
import { store, useStore } from "./store.js";

const read = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
const write = (key, value) => { try { localStorage.setItem(key, value); } catch { /* a private window: only for this visit */ } };

/** @type {ReturnType<typeof store<"system"|"light"|"dark">>} */
export const theme = store("system");
export const language = store("en_US");

const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

/** What is drawn now: the choice, or the theme of the system. */
function applyTheme() {
  const chosen = theme.get();
  document.documentElement.dataset.theme = chosen === "system" ? (systemIsDark.matches ? "dark" : "light") : chosen;
}
systemIsDark.addEventListener("change", applyTheme);

/** @param {string} chosen */
export function chooseTheme(chosen) {
  theme.set(chosen === "light" || chosen === "dark" ? chosen : "system");
  write("workbench.theme", theme.get());
  applyTheme();
}

/** @param {string} chosen */
export function chooseLanguage(chosen) {
  write("workbench.language", chosen);
  language.set(chosen);
}

/** Takes up what was chosen on the last visit. */
export function recall() {
  const chosen = read("workbench.theme");
  if (chosen === "light" || chosen === "dark") theme.set(chosen);
  applyTheme();
  const known = read("workbench.language");
  if (known && /^[a-z]{2}_[A-Za-z]+$/.test(known)) language.set(known);
}

export const useLanguage = () => useStore(language);
export const useTheme = () => useStore(theme);
