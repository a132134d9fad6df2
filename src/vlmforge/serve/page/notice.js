/** Short texts that come and go: what could not be done, and what screen readers should say. */

import { element, find } from "./element.js";

const SHOWN = 6000; // milliseconds

/**
 * Say something; unless quiet, show it as well.
 *
 * @param {string} text
 * @param {{quiet?: boolean}} [options]
 */
export function tell(text, { quiet = false } = {}) {
  if (quiet) return announce(text);
  const notice = element("p", { className: "notice" }, text);
  find("notices").append(notice);
  setTimeout(() => notice.remove(), SHOWN);
}

/**
 * Let screen readers say it.
 *
 * @param {string} text
 */
export function announce(text) {
  find("announcer").textContent = text;
}
