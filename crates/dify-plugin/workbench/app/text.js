// Texts in languages, and numbers for people. The rules of fallback are Dify's; the choice of language is in settings.js.

/** Names of the languages that Dify has, in themselves. */
const LANGUAGES = {
  en_US: "English", zh_Hans: "简体中文", zh_Hant: "繁體中文", ja_JP: "日本語", pt_BR: "Português (Brasil)", ko_KR: "한국어",
};

/** @param {string} language */
export const languageName = (language) => LANGUAGES[language] ?? language;

/**
 * A text in a language: that one, else English; for most places else the first there is.
 * The old form, parameter panels and tool forms stop at English.
 * @param {import("./types.js").Text|string|null|undefined} text
 * @param {string} language
 * @param {{onlyEnglish?: boolean}} [options]
 * @returns {string}
 */
export function inLanguage(text, language, { onlyEnglish = false } = {}) {
  if (text === null || text === undefined) return "";
  if (typeof text === "string") return text;
  return text[language] || text.en_US || (onlyEnglish ? "" : Object.values(text).find(Boolean)) || "";
}

/** @param {number|null|undefined} bytes */
export function bytesText(bytes) {
  if (bytes === null || bytes === undefined) return "–";
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${(bytes / 1000).toFixed(bytes < 10_000 ? 1 : 0)} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** @param {number|null|undefined} ms */
export function millisecondsText(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}

/** @param {number} count @param {string} one @param {string} [many] */
export const counted = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;
