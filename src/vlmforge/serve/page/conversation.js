/** What a conversation is, as it is kept, sent and exported. */

import { dataUrl } from "./media.js";

/** @typedef {import("./media.js").Media} Media */

/**
 * @typedef {object} Question
 * @property {"user"} role
 * @property {string} text
 * @property {Media[]} media
 */

/**
 * How fast an answer came.
 *
 * @typedef {object} Figures
 * @property {number | null} first seconds from the question to the first text
 * @property {number | null} rate tokens a second, after the first
 * @property {number | null} tokens of the answer
 */

/**
 * @typedef {object} Failure
 * @property {number} status as in ServerError
 * @property {string} message
 * @property {number | null} wait seconds
 */

/**
 * How an answer ended: of itself, at the limit of its length, by the user, because the page was
 * closed, because the server failed.
 *
 * @typedef {"complete" | "length" | "stopped" | "interrupted" | "failed"} Ending
 */

/**
 * @typedef {object} Answer
 * @property {"assistant"} role
 * @property {string} text Markdown
 * @property {string} model
 * @property {Ending | null} ended null while it is written
 * @property {Failure | null} failure
 * @property {Figures | null} figures
 */

/** @typedef {Question | Answer} Message */

/**
 * @typedef {object} Conversation
 * @property {string} id
 * @property {string} title empty for the beginning of the first question
 * @property {number} created milliseconds since 1970
 * @property {number} changed
 * @property {Message[]} messages
 */

const TITLE_LENGTH = 60;

/** @returns {Conversation} */
export function newConversation() {
  const now = Date.now();
  return { id: newId(), title: "", created: now, changed: now, messages: [] };
}

/** @returns {string} randomUUID would ask for a secure context, which a local network is not */
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * @param {string} model
 * @returns {Answer}
 */
export function newAnswer(model) {
  return { role: "assistant", text: "", model, ended: null, failure: null, figures: null };
}

/**
 * The title given, or else the beginning of the first question, or else the name of its first file.
 *
 * @param {Conversation} conversation
 * @returns {string}
 */
export function titleOf({ title, messages }) {
  const first = /** @type {Question | undefined} */ (messages[0]);
  const text = first?.text.trim() || first?.media[0]?.name || "";
  return title || [...text.replace(/\s+/g, " ")].slice(0, TITLE_LENGTH).join("");
}

/**
 * The place of the last question, -1 if there is none.
 *
 * @param {Conversation} conversation
 * @returns {number}
 */
export function lastQuestion({ messages }) {
  return messages.findLastIndex((message) => message.role === "user");
}

/**
 * Messages as the API takes them. Answers without text are left out, and questions that were
 * refused, or each that follows would be refused as well.
 *
 * @param {Message[]} messages
 * @param {string} system the system prompt, empty for the model's own
 * @returns {Promise<object[]>}
 */
export async function toRequest(messages, system) {
  const told = messages.filter((message, place) => isTold(message, messages[place + 1]));
  const sent = await Promise.all(
    told.map(async (message) => ({ role: message.role, content: await contentOf(message) })),
  );
  return system ? [{ role: "system", content: system }, ...sent] : sent;
}

/**
 * @param {Message} message
 * @param {Message | undefined} next
 */
function isTold(message, next) {
  if (message.role === "assistant") return message.text !== "";
  return next?.role !== "assistant" || next.text !== "" || !next.failure;
}

/**
 * @param {Message} message
 * @returns {Promise<string | object[]>}
 */
async function contentOf(message) {
  if (message.role === "assistant" || !message.media.length) return message.text;
  const parts = await Promise.all(
    message.media.map(async ({ kind, blob }) => {
      const type = `${kind}_url`;
      return { type, [type]: { url: await dataUrl(blob) } };
    }),
  );
  return message.text ? [...parts, { type: "text", text: message.text }] : parts;
}

/**
 * The conversation as a JSON document whose messages the API takes.
 *
 * @param {Conversation} conversation
 * @returns {Promise<string>}
 */
export async function toJson(conversation) {
  const { created, changed, messages } = conversation;
  const document = {
    title: titleOf(conversation),
    created: new Date(created).toISOString(),
    changed: new Date(changed).toISOString(),
    messages: await toRequest(messages, ""),
  };
  return JSON.stringify(document, null, 2);
}
