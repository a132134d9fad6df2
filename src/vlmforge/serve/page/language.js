/** The language of the page: that of the browser, or the one chosen. */

import { STRINGS } from "./strings.js";

/** @typedef {keyof typeof STRINGS} Language */
/** @typedef {keyof typeof STRINGS.en} Text */

/** @type {Language} */
let current = "en";

/**
 * Speak a language, or with "system" the first of the browser's that is known.
 *
 * @param {string} choice
 */
export function setLanguage(choice) {
  const wanted = choice === "system" ? navigator.languages : [choice];
  const known = wanted.map((tag) => tag.toLowerCase().split("-")[0]).find((tag) => tag in STRINGS);
  current = /** @type {Language} */ (known ?? "en");
  document.documentElement.lang = current;
  translate(document.body);
}

/** @returns {Language} */
export function language() {
  return current;
}

/**
 * A text of the page.
 *
 * @param {string} key of strings.js
 * @param {Record<string, string | number>} [values] what stands for {name} in it
 * @returns {string}
 */
export function t(key, values = {}) {
  const text = STRINGS[current][/** @type {Text} */ (key)];
  if (text === undefined) throw new Error(`strings.js has no ${key}`);
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/**
 * @param {number} value
 * @param {number} digits behind the point
 */
export function number(value, digits) {
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return value.toLocaleString(current, options);
}

/**
 * Fill in the texts that elements ask for: data-text, data-label, data-placeholder.
 *
 * @param {HTMLElement} root
 */
function translate(root) {
  for (const node of root.querySelectorAll("[data-text]")) {
    node.textContent = t(node.getAttribute("data-text") ?? "");
  }
  for (const node of root.querySelectorAll("[data-label]")) {
    const label = t(node.getAttribute("data-label") ?? "");
    node.setAttribute("aria-label", label);
    if (node instanceof HTMLButtonElement) node.title = label;
  }
  for (const node of root.querySelectorAll("[data-placeholder]")) {
    node.setAttribute("placeholder", t(node.getAttribute("data-placeholder") ?? ""));
  }
}
