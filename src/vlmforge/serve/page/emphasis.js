/** Marks of emphasis in Markdown: where they open and close, and what they mean. */

/** @typedef {import("./inline.js").Span} Span */

const WORD = /[\p{L}\p{N}]/u;

/**
 * The end of the run of equal characters that begins here.
 *
 * @param {string} text
 * @param {number} at
 */
export function runEnd(text, at) {
  let end = at;
  while (text[end] === text[at] && end < text.length) end += 1;
  return end;
}

/**
 * Whether a mark can open here: text follows at once, and "_" stands in no word.
 *
 * @param {string} text
 * @param {string} mark
 * @param {number} at
 */
export function opens(text, mark, at) {
  if (mark === "~" || !/\S/.test(text[at + mark.length] ?? "")) return false;
  return mark[0] !== "_" || !WORD.test(text[at - 1] ?? "");
}

/**
 * Where the mark that closes begins, -1 if none does.
 *
 * @param {string} text
 * @param {string} mark
 * @param {number} start behind the mark that opens
 */
export function closing(text, mark, start) {
  for (let at = text.indexOf(mark, start + 1); at >= 0; ) {
    const end = runEnd(text, at);
    if (closes(text, mark, at, end)) return end - mark.length;
    at = text.indexOf(mark, end);
  }
  return -1;
}

/**
 * Whether the run between two places closes a mark.
 *
 * @param {string} text
 * @param {string} mark
 * @param {number} at
 * @param {number} end
 */
function closes(text, mark, at, end) {
  if (!/\S/.test(text[at - 1])) return false;
  if (mark.length === 1 && (end - at) % 2 === 0) return false; // of something stronger
  return mark[0] !== "_" || !WORD.test(text[end] ?? "");
}

/**
 * Where a run of exactly these marks begins, -1 if nowhere.
 *
 * @param {string} text
 * @param {string} mark
 * @param {number} start
 */
export function exactRun(text, mark, start) {
  for (let at = text.indexOf(mark, start); at >= 0; ) {
    const end = runEnd(text, at);
    if (end - at === mark.length) return at;
    at = text.indexOf(mark, end);
  }
  return -1;
}

/**
 * @param {string} mark
 * @param {Span[]} spans
 * @returns {Span}
 */
export function emphasized(mark, spans) {
  if (mark === "~~") return { kind: "del", spans };
  if (mark.length === 1) return { kind: "em", spans };
  const strong = /** @type {Span} */ ({ kind: "strong", spans });
  return mark.length === 3 ? { kind: "em", spans: [strong] } : strong;
}
