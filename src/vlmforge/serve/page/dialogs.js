/** The dialogs: settings, the key, and whether to delete. */

import { element, find } from "./element.js";
import { t } from "./language.js";
import { apiKey, setApiKey } from "./settings.js";

/** @typedef {import("./settings.js").Settings} Settings */

const TEXTS = ["model", "system", "theme", "language"];
const NUMBERS = ["temperature", "topP", "maxTokens", "seed"];

/**
 * Let the user change the settings.
 *
 * @param {Settings} settings
 * @param {string[]} models
 * @param {(settings: Settings) => void} save
 */
export function askSettings(settings, models, save) {
  const dialog = find("settings-dialog");
  const { elements } = dialog.querySelector("form");
  const names = models.length ? models : [""];
  const options = names.map((name) => element("option", { value: name }, name || t("modelsUnknown")));
  elements.model.replaceChildren(...options);
  for (const name of [...TEXTS, ...NUMBERS]) elements[name].value = Reflect.get(settings, name) ?? "";
  if (elements.model.selectedIndex < 0) elements.model.selectedIndex = 0;
  elements.key.value = apiKey();
  whenSaved(dialog, () => {
    setApiKey(elements.key.value);
    const texts = TEXTS.map((name) => [name, elements[name].value]);
    const numbers = NUMBERS.map((name) => [name, numberOf(elements[name].value)]);
    save({ ...settings, ...Object.fromEntries([...texts, ...numbers]) });
  });
}

/** @param {string} text which the form has checked */
function numberOf(text) {
  return text === "" ? null : Number(text);
}

/**
 * Ask for the key that the server wants.
 *
 * @param {() => void} retry
 */
export function askKey(retry) {
  const dialog = find("key-dialog");
  const { elements } = dialog.querySelector("form");
  dialog.querySelector("p").textContent = t(apiKey() ? "keyRefused" : "keyNeeded");
  elements.key.value = "";
  whenSaved(dialog, () => {
    setApiKey(elements.key.value);
    retry();
  });
}

/**
 * Ask before a conversation is gone.
 *
 * @param {string} title
 * @param {() => void} remove
 */
export function askRemoval(title, remove) {
  const dialog = find("delete-dialog");
  dialog.querySelector("p").textContent = t("deleteHint", { title });
  whenSaved(dialog, remove);
}

/**
 * Show a dialog, and act if it is closed by its own button and not given up.
 *
 * @param {any} dialog
 * @param {() => void} act
 */
function whenSaved(dialog, act) {
  if (dialog.open) return;
  dialog.returnValue = "";
  dialog.querySelector("[type=button]").onclick = () => dialog.close();
  dialog.onclose = () => {
    restoreCaret(find("question"));
    if (dialog.returnValue === "save") act();
  };
  dialog.showModal();
}

/**
 * Chromium gives a field its focus back when a dialog closes, but no caret: what is typed is lost.
 *
 * @param {HTMLElement} field
 */
function restoreCaret(field) {
  if (document.activeElement !== field) return;
  field.blur();
  field.focus();
}
