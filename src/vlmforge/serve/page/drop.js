/** Files that are dropped on the page or pasted into it. */

import { find } from "./element.js";

/** @param {(files: File[]) => void} take */
export function takeFiles(take) {
  const cover = find("drop");
  addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    cover.hidden = document.querySelector("dialog[open]") !== null;
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) cover.hidden = true; // it left the window
  });
  addEventListener("drop", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    if (!cover.hidden) take([...event.dataTransfer.files]);
    cover.hidden = true;
  });
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    take(files);
  });
}
