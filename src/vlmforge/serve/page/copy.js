/** Buttons that copy a text. */

import { element, icon, iconButton } from "./element.js";
import { t } from "./language.js";
import { tell } from "./notice.js";

const SHOWN = 1500; // milliseconds for which a button says that it has copied

/**
 * @param {() => string} text
 * @returns {HTMLButtonElement}
 */
export function copyButton(text) {
  const button = iconButton("copy", t("copy"), async () => {
    const copied = await copy(text());
    tell(t(copied ? "copied" : "copyFailed"), { quiet: copied });
    if (!copied) return;
    button.replaceChildren(icon("check"));
    setTimeout(() => button.replaceChildren(icon("copy")), SHOWN);
  });
  return button;
}

/**
 * @param {string} text
 * @returns {Promise<boolean>} whether the browser let it
 */
async function copy(text) {
  if (!navigator.clipboard) return copySelected(text); // plain HTTP, from another computer
  return navigator.clipboard.writeText(text).then(
    () => true,
    () => false,
  );
}

/** @param {string} text */
function copySelected(text) {
  const field = element("textarea", { value: text, className: "unseen" });
  document.body.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  return copied;
}
