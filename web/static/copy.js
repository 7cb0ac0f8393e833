// Buttons that copy: `data-copy` holds the text, or `data-copy-from` the id of the element whose text it is.
(() => {
  "use strict";
  const written = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      return false; // There is none outside of HTTPS, or nobody allowed it.
    }
  };
  const selected = (element) => {
    getSelection().selectAllChildren(element);
    return document.execCommand("copy");
  };
  const copied = async (button) => {
    const source = document.getElementById(button.dataset.copyFrom);
    const text = source ? source.textContent : button.dataset.copy;
    if (await written(text)) return true;
    if (source) return selected(source);
    const shown = document.createElement("span");
    shown.className = "unseen";
    shown.textContent = text;
    document.body.append(shown);
    const done = selected(shown);
    shown.remove();
    return done;
  };
  for (const button of document.querySelectorAll("button[data-copy], button[data-copy-from]")) {
    const label = button.textContent;
    const told = document.createElement("span");
    told.className = "unseen";
    told.setAttribute("role", "status");
    button.after(told);
    button.hidden = false;
    button.addEventListener("click", async () => {
      const word = (await copied(button)) ? "Copied" : "Press Ctrl+C";
      button.textContent = told.textContent = word;
      setTimeout(() => {
        button.textContent = label;
        told.textContent = "";
      }, 2000);
    });
  }
})();
