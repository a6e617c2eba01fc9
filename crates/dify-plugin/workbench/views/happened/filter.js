// A filter of rows, as it is typed: words that must occur, and `key:value` pairs such as `kind:item`, `dir:out`, `status:429`.

/** @param {string} text @returns {{words: string[], pairs: [string, string][]}} */
export function parseFilter(text) {
  const words = [];
  const pairs = [];
  for (const term of text.toLowerCase().split(/\s+/)) {
    const pair = /^([a-z]+):(.+)$/.exec(term);
    if (pair && !/^\/\//.test(pair[2])) pairs.push([pair[1], pair[2]]);
    else if (term) words.push(term);
  }
  return { words, pairs };
}

/**
 * @param {ReturnType<typeof parseFilter>} filter
 * @param {string} text   all that words are looked for in
 * @param {Record<string, any>} values  by key; `>500` and `<500` compare numbers
 */
export function passes({ words, pairs }, text, values) {
  if (words.length) {
    const lower = text.toLowerCase();
    if (!words.every((word) => lower.includes(word))) return false;
  }
  return pairs.every(([key, wanted]) => {
    const value = values[key];
    if (value === undefined || value === null) return false;
    const comparison = /^([<>])(\d+(?:\.\d+)?)$/.exec(wanted);
    if (comparison) return comparison[1] === ">" ? Number(value) > Number(comparison[2]) : Number(value) < Number(comparison[2]);
    return String(value).toLowerCase().startsWith(wanted);
  });
}

/** @param {import("./timeline.js").Frame} frame */
export const frameValues = (frame) => ({ kind: frame.kind, dir: frame.direction, bytes: frame.bytes, at: frame.at, redacted: frame.redacted });

/** @param {any} summary  of a session */
export const sessionValues = (summary) => ({
  state: summary.state, action: summary.action, type: summary.type, provider: summary.provider, model: summary.model, ms: summary.milliseconds,
});
