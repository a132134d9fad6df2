/** What the user chose: in localStorage, but for the key, which the tab alone remembers. */

/**
 * @typedef {object} Settings
 * @property {string} model empty for the server's first
 * @property {string} system the system prompt, empty for the model's own
 * @property {number | null} temperature null for the model's own, as below
 * @property {number | null} topP
 * @property {number | null} maxTokens
 * @property {number | null} seed
 * @property {string} theme "system", "light" or "dark"
 * @property {string} language "system" or a language of strings.js
 */

/** @type {Settings} */
export const DEFAULTS = {
  model: "",
  system: "",
  temperature: null,
  topP: null,
  maxTokens: null,
  seed: null,
  theme: "system",
  language: "system",
};

const SETTINGS = "vlmforge.settings";
const KEY = "vlmforge.key";

/** @returns {Settings} */
export function loadSettings() {
  try {
    return { ...DEFAULTS, ...JSON.parse(localStorage.getItem(SETTINGS) ?? "{}") };
  } catch {
    return { ...DEFAULTS }; // a browser that keeps nothing
  }
}

/** @param {Settings} settings */
export function saveSettings(settings) {
  try {
    localStorage.setItem(SETTINGS, JSON.stringify(settings));
  } catch {} // as above: they hold until the page is closed
}

let key = "";

/** @returns {string} the API key, empty for none */
export function apiKey() {
  try {
    return sessionStorage.getItem(KEY) ?? key;
  } catch {
    return key;
  }
}

/** @param {string} value */
export function setApiKey(value) {
  key = value.trim();
  try {
    if (key) sessionStorage.setItem(KEY, key);
    else sessionStorage.removeItem(KEY);
  } catch {} // as above
}

/**
 * The options of a request: those that were set.
 *
 * @param {Settings} settings
 * @returns {Record<string, number>}
 */
export function sampling({ temperature, topP, maxTokens, seed }) {
  const options = { temperature, top_p: topP, max_tokens: maxTokens, seed };
  const set = Object.entries(options).filter(([, value]) => value !== null);
  return /** @type {Record<string, number>} */ (Object.fromEntries(set));
}

/** @param {string} theme "system", "light" or "dark" */
export function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
}
