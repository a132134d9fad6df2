/** Fills in an answer while the server writes it, and measures how fast. */

import { BROKEN_OFF, ServerError, streamAnswer } from "./client.js";

/** @typedef {import("./conversation.js").Answer} Answer */
/** @typedef {import("./conversation.js").Figures} Figures */

/** Seconds between first and last text below which they tell nothing of the rate. */
const SHORTEST = 0.05;

/**
 * Whatever happens, the answer is ended when this returns, and says how.
 *
 * @param {Answer} answer
 * @param {() => Promise<object>} request
 * @param {string} key
 * @param {AbortSignal} signal stops it
 * @param {() => void} grown called after each change of its text
 */
export async function fillIn(answer, request, key, signal, grown) {
  const stopwatch = new Stopwatch();
  try {
    for await (const { text, finish, usage } of streamAnswer(await request(), key, signal)) {
      if (text) stopwatch.text();
      if (finish) answer.ended = finish === "length" ? "length" : "complete";
      if (usage) stopwatch.tokens = usage.completion_tokens;
      answer.text += text;
      if (text) grown();
    }
    answer.ended ??= "complete";
  } catch (error) {
    end(answer, error, signal.aborted);
  }
  answer.figures = stopwatch.figures();
}

/**
 * @param {Answer} answer
 * @param {unknown} error
 * @param {boolean} stopped by the user
 */
function end(answer, error, stopped) {
  answer.ended = stopped ? "stopped" : "failed";
  if (stopped) return;
  if (!(error instanceof ServerError)) console.error(error);
  const { status, message, wait } =
    error instanceof ServerError ? error : new ServerError(BROKEN_OFF, String(error));
  answer.failure = { status, message, wait };
}

/** Times between the question, the first text and the last. */
class Stopwatch {
  /** @type {number | null} */
  tokens = null;
  #start = performance.now();
  #first = 0;
  #last = 0;

  text() {
    this.#last = performance.now();
    this.#first ||= this.#last;
  }

  /** @returns {Figures | null} null if no text came */
  figures() {
    if (!this.#first) return null;
    const seconds = (this.#last - this.#first) / 1000;
    const told = this.tokens !== null && seconds >= SHORTEST;
    const rate = told ? (/** @type {number} */ (this.tokens) - 1) / seconds : null;
    return { first: (this.#first - this.#start) / 1000, rate, tokens: this.tokens };
  }
}
