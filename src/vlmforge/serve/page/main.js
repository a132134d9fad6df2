/** Puts the page together: what the user does goes to the chat, what changes there is shown. */

import { Chat } from "./chat.js";
import { listModels, ServerError } from "./client.js";
import { Composer } from "./composer.js";
import { titleOf, toJson } from "./conversation.js";
import { askKey, askRemoval, askSettings } from "./dialogs.js";
import { takeFiles } from "./drop.js";
import { element, find } from "./element.js";
import { explanation } from "./ending.js";
import { setLanguage, t } from "./language.js";
import { announce, tell } from "./notice.js";
import { apiKey, loadSettings, saveSettings, setTheme } from "./settings.js";
import { Sidebar } from "./sidebar.js";
import { ConversationStore, MemoryStore } from "./store.js";
import { Thread } from "./thread.js";
import { editTitle } from "./title.js";

let settings = loadSettings();
/** @type {string[]} */
let models = [];

setTheme(settings.theme);
setLanguage(settings.language);

const store = await ConversationStore.open().catch(() => {
  tell(t("keepsNothing"));
  return new MemoryStore();
});

const chat = new Chat(store, () => ({ ...settings, model: model() }), {
  opened: showConversation,
  listed: showList,
  grown: (answer) => thread.grow(answer),
  unsaved: () => tell(t("notSaved")),
  ended(answer) {
    thread.finish(answer);
    composer.running = false;
    if (!answer.failure) announce(answer.text);
    if (answer.failure?.status === 401) askKey(answerAgain);
  },
});

const composer = new Composer({
  async send(text, media, instead) {
    announce(t("answerBegins"));
    await knowModels();
    if (instead) chat.askInstead(text, media);
    else chat.ask(text, media);
  },
  stop: () => chat.stop(),
});

const thread = new Thread({
  edit: (question) => composer.edit(question),
  regenerate: answerAgain,
});

const sidebar = new Sidebar((id) => chat.open(id));

/** The model that answers: the one chosen, if the server has it. */
function model() {
  return models.includes(settings.model) ? settings.model : (models[0] ?? settings.model);
}

function showConversation() {
  const { id, messages } = chat.current;
  thread.show(chat.current);
  composer.running = chat.running;
  if (composer.editing) composer.stopEditing();
  history.replaceState(null, "", messages.length ? `#${id}` : location.pathname);
  for (const button of ["export", "delete", "title"]) find(button).disabled = !messages.length;
  return showList();
}

async function showList() {
  sidebar.show(await chat.list(), chat.current.id);
  const title = titleOf(chat.current);
  find("title").textContent = title;
  document.title = title ? `${title} · vlmforge` : "vlmforge";
}

async function showModels() {
  models = await listModels(apiKey()).catch((error) => {
    if (!(error instanceof ServerError)) throw error;
    if (error.status === 401) askKey(showModels);
    else tell(`${explanation(error)} ${error.message}`);
    return [];
  });
  find("model").textContent = model();
}

/** Ask for the models if that failed before; if it fails again, the question tells why. */
async function knowModels() {
  if (models.length) return;
  models = await listModels(apiKey()).catch(() => []);
  find("model").textContent = model();
}

async function answerAgain() {
  find("thread").focus(); // what was pressed is gone
  await knowModels();
  await chat.again();
}

function changeSettings() {
  askSettings({ ...settings, model: model() }, models, (changed) => {
    settings = changed;
    saveSettings(settings);
    dress();
    showModels();
  });
}

/** Show all of it in the language and the colours of the settings. */
function dress() {
  setTheme(settings.theme);
  setLanguage(settings.language);
  composer.translate();
  thread.show(chat.current);
  showList();
}

function startConversation() {
  chat.create();
  sidebar.close();
  composer.focus();
}

async function exportConversation() {
  const blob = new Blob([await toJson(chat.current)], { type: "application/json" });
  const href = URL.createObjectURL(blob);
  const name = titleOf(chat.current).replace(/[^\p{L}\p{N}]+/gu, "-");
  element("a", { href, download: `${name.slice(0, 40) || "conversation"}.json` }).click();
  setTimeout(() => URL.revokeObjectURL(href), 1000);
}

/** @param {KeyboardEvent} event */
function shortcut(event) {
  if (event.isComposing || document.querySelector("dialog[open]")) return;
  if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    startConversation();
  } else if (event.key === "Escape") {
    if (sidebar.drawn) sidebar.close();
    else if (composer.editing) composer.stopEditing();
    else chat.stop();
  }
}

if (navigator.platform.startsWith("Mac")) find("new").querySelector("kbd").textContent = "⌘ K";

addEventListener("keydown", shortcut);
addEventListener("languagechange", dress);
takeFiles((files) => composer.add(files));
find("new").addEventListener("click", startConversation);
find("settings").addEventListener("click", changeSettings);
find("title").addEventListener("click", () =>
  editTitle(titleOf(chat.current), (title) => chat.rename(title)),
);
find("export").addEventListener("click", exportConversation);
find("delete").addEventListener("click", () =>
  askRemoval(titleOf(chat.current), async () => {
    await chat.remove();
    composer.focus();
  }),
);

await chat.open(location.hash.slice(1));
composer.focus();
showModels();
