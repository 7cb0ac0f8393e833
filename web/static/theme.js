// Dark or light: what the system says, unless somebody chose here. Loaded before the page is shown, so that it does not flash.
(() => {
  "use strict";
  const root = document.documentElement;
  const wanted = () => {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null; // a browser that keeps nothing
    }
  };
  const chosen = wanted();
  if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.querySelector("button.theme");
    if (!button) return;
    const isDark = () =>
      root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    const told = () => {
      button.setAttribute("aria-label", isDark() ? "Show it light" : "Show it dark");
      button.title = button.getAttribute("aria-label");
    };
    button.hidden = false;
    told();
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      try {
        localStorage.setItem("theme", root.dataset.theme);
      } catch {
        // It holds for this page, then.
      }
      told();
      document.dispatchEvent(new Event("theme"));
    });
    // "/" goes to the search field, as everywhere.
    document.addEventListener("keydown", (event) => {
      const field = document.querySelector("main input[type=search]") || document.getElementById("find");
      const isTyping = event.target.closest("input, textarea, select, [contenteditable]");
      if (event.key === "/" && field && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
        event.preventDefault();
        field.focus();
        field.select();
      }
    });
  });
})();
