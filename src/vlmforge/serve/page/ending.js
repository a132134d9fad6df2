/** Why an answer ended, in words. */

import { BROKEN_OFF, UNREACHABLE } from "./client.js";
import { t } from "./language.js";

/** @typedef {import("./conversation.js").Answer} Answer */
/** @typedef {import("./conversation.js").Failure} Failure */

/** @type {Partial<Record<import("./conversation.js").Ending, string>>} */
const ENDINGS = { length: "cutShort", stopped: "stopped", interrupted: "interrupted" };

/**
 * @param {Answer} answer that ended neither of itself nor by a failure
 * @returns {string}
 */
export function endingText({ ended }) {
  return t((ended && ENDINGS[ended]) ?? "stopped");
}

/**
 * What went wrong; the server's own words say the rest.
 *
 * @param {Failure} failure
 * @returns {string}
 */
export function explanation({ status, wait }) {
  switch (status) {
    case UNREACHABLE:
      return t("unreachable");
    case BROKEN_OFF:
      return t("brokenOff");
    case 401:
      return t("keyNeeded");
    case 429:
      return wait ? t("busyFor", { seconds: wait }) : t("busy");
    default:
      return t("serverFailed", { status });
  }
}
