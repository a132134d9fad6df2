/** Speaks to the server's OpenAI-compatible routes. */

import { readEvents } from "./events.js";

/**
 * @typedef {object} Usage
 * @property {number} prompt_tokens
 * @property {number} completion_tokens
 */

/**
 * What one event of an answer brings.
 *
 * @typedef {object} Part
 * @property {string} text may be empty
 * @property {string | null} finish why the answer ended, once it has
 * @property {Usage | null} usage once, at the end
 */

/** What the server refused, or that it cannot be reached (status 0) or broke off (status -1). */
export class ServerError extends Error {
  /**
   * @param {number} status of HTTP
   * @param {string} message the server's own words, or none
   * @param {number | null} [wait] seconds after which to try again
   */
  constructor(status, message, wait = null) {
    super(message);
    this.status = status;
    this.wait = wait;
  }
}

export const UNREACHABLE = 0;
export const BROKEN_OFF = -1;
const LONGEST_WORDS = 600;

/**
 * The names of the models that the server offers.
 *
 * @param {string} key empty for none
 * @returns {Promise<string[]>}
 */
export async function listModels(key) {
  const response = await send("v1/models", { headers: headers(key) });
  const { data } = await response.json();
  return data.map((/** @type {{id: string}} */ model) => model.id);
}

/**
 * The answer, as it comes.
 *
 * @param {object} request as /v1/chat/completions takes it
 * @param {string} key empty for none
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<Part>}
 */
export async function* streamAnswer(request, key, signal) {
  const body = JSON.stringify({
    ...request,
    stream: true,
    stream_options: { include_usage: true },
  });
  const asked = { method: "POST", headers: headers(key), body, signal };
  const response = await send("v1/chat/completions", asked);
  if (!response.body) throw new ServerError(BROKEN_OFF, "");
  try {
    for await (const data of readEvents(response.body)) {
      if (data === "[DONE]") return;
      yield partOf(JSON.parse(data));
    }
  } catch (error) {
    if (error instanceof ServerError) throw error;
    throw new ServerError(BROKEN_OFF, "");
  }
  throw new ServerError(BROKEN_OFF, "");
}

/**
 * @param {any} event
 * @returns {Part}
 */
function partOf(event) {
  if (event.error) throw new ServerError(Number(event.error.code) || 500, event.error.message ?? "");
  const choice = event.choices?.[0];
  return {
    text: choice?.delta?.content ?? "",
    finish: choice?.finish_reason ?? null,
    usage: event.usage ?? null,
  };
}

/**
 * @param {string} route relative to the page, so that a proxy may mount both anywhere
 * @param {RequestInit} options
 * @returns {Promise<Response>}
 */
async function send(route, options) {
  const address = new URL(route, document.baseURI);
  const response = await fetch(address, options).catch((error) => {
    throw options.signal?.aborted ? error : new ServerError(UNREACHABLE, "");
  });
  if (response.ok) return response;
  const wait = Number(response.headers.get("Retry-After")) || null;
  throw new ServerError(response.status, words(await response.text().catch(() => "")), wait);
}

/**
 * The message of an OpenAI error, or the text itself if it is not one.
 *
 * @param {string} body
 * @returns {string}
 */
function words(body) {
  try {
    const { error } = JSON.parse(body);
    return String(error.message ?? error).slice(0, LONGEST_WORDS);
  } catch {
    return body.trimStart().startsWith("<") ? "" : body.slice(0, LONGEST_WORDS);
  }
}

/**
 * @param {string} key
 * @returns {Record<string, string>}
 */
function headers(key) {
  const known = { "Content-Type": "application/json" };
  return key ? { ...known, Authorization: `Bearer ${key}` } : known;
}
