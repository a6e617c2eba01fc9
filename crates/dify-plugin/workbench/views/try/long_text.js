// A text that grows piece by piece and may become very long: its beginning is drawn, all of it is kept for the next request.

/** What is drawn of a text. */
export const MAX_SHOWN_CHARACTERS = 200_000;

/** @typedef {{shown: string, rest: string[], length: number}} LongText */

/** @returns {LongText} */
export const newText = () => ({ shown: "", rest: [], length: 0 });

/** Appends in place; each piece costs its own length. @param {LongText} text @param {string} more */
export function append(text, more) {
  text.length += more.length;
  const room = MAX_SHOWN_CHARACTERS - text.shown.length;
  if (room > 0) text.shown += more.slice(0, room);
  if (more.length > room) text.rest.push(more.slice(Math.max(room, 0)));
}

/** @param {LongText} text */
export const whole = (text) => (text.rest.length ? text.shown + text.rest.join("") : text.shown);

/** @param {LongText} text */
export const isCut = (text) => text.rest.length > 0;
