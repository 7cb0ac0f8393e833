// "Load more" brings what is older into this page. Without it, or when that fails, the link leads there.
(() => {
  "use strict";
  const load = async (more) => {
    const days = document.getElementById("days");
    const answer = await fetch(more.href, { headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) throw new Error(`${answer.status}`);
    const older = new DOMParser().parseFromString(await answer.text(), "text/html");
    let first = null;
    for (const day of older.querySelectorAll("#days > section")) {
      const same = days.querySelector(`:scope > section[data-day="${day.dataset.day}"] > ol`);
      const cards = [...day.querySelectorAll(":scope > ol > li")];
      first ||= cards[0];
      if (same) same.append(...cards.map((card) => document.adoptNode(card)));
      else days.append(document.adoptNode(day));
    }
    const place = more.parentElement;
    place.replaceChildren(...[...older.querySelector(".older").childNodes].map((node) => document.adoptNode(node)));
    first?.querySelector("h3 a")?.focus({ preventScroll: true });
  };
  document.addEventListener("click", (event) => {
    const more = event.target.closest("#more");
    if (!more || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    if (more.getAttribute("aria-busy")) return;
    more.setAttribute("aria-busy", "true");
    load(more).catch(() => location.assign(more.href));
  });
})();
