/** The title of the open conversation, which can be edited in its place. */

import { element, find } from "./element.js";
import { t } from "./language.js";

/**
 * Put a field in place of the title until it is left; Escape leaves the title as it was.
 *
 * @param {string} title
 * @param {(title: string) => void} save called if it is another
 */
export function editTitle(title, save) {
  const button = find("title");
  const field = element("input", { value: title, "aria-label": t("rename") });
  field.onblur = () => {
    field.remove();
    button.hidden = false;
    if (field.value !== title) save(field.value);
  };
  field.onkeydown = (/** @type {KeyboardEvent} */ event) => {
    event.stopPropagation();
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "Escape") field.value = title;
    if (event.key !== "Escape" && event.key !== "Enter") return;
    event.preventDefault(); // or the button, once focused, is pressed
    field.blur();
    button.focus();
  };
  button.hidden = true;
  button.after(field);
  field.select();
}
