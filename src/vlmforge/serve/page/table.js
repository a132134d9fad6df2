/** Reads Markdown's tables. */

/** @typedef {import("./markdown.js").Block} Block */

const DIVIDER = /^:?-+:?$/;

/**
 * @param {string[]} lines
 * @param {number} at where the table may begin
 * @returns {[Block, number] | null} the table, and the line behind it
 */
export function readTable(lines, at) {
  if (!lines[at].includes("|")) return null;
  const head = cells(lines[at]);
  const divider = cells(lines[at + 1] ?? "");
  if (head.length !== divider.length || !divider.every((cell) => DIVIDER.test(cell))) return null;
  const aligned = divider.map(alignment);
  const rows = [];
  let end = at + 2;
  for (; end < lines.length && lines[end].trim() && lines[end].includes("|"); end += 1) {
    const row = cells(lines[end]);
    rows.push(head.map((_, column) => row[column] ?? ""));
  }
  return [{ kind: "table", aligned, head, rows }, end];
}

/** @param {string} line */
function cells(line) {
  const inner = line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

/** @param {string} cell of the divider */
function alignment(cell) {
  if (!cell.endsWith(":")) return "start";
  return cell.startsWith(":") ? "center" : "end";
}
