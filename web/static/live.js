// Keeps a page as it is now: when the server says that something changed, looks whether this page did, and shows it
// where nobody is at it; elsewhere says so. Without it, or without a connection, the page is what it was.
(() => {
  "use strict";
  const { events, workspace, project } = document.body.dataset;
  const main = document.getElementById("main");
  const notice = document.getElementById("changed");
  if (!events || !main || !notice || !window.EventSource) return;
  const PAUSE = 3000;
  const query = project ? `?${new URLSearchParams({ workspace, project })}` : "";
  let source;
  let isLost = false;
  let waiting = 0;
  let looked = -PAUSE;
  let shown = { href: location.href, text: textOf(main) };

  // A page is the same when only "3 minutes ago" has become "4 minutes ago".
  function textOf(part) {
    const copy = part.cloneNode(true);
    for (const time of copy.querySelectorAll("time")) time.textContent = "";
    return copy.innerHTML;
  }

  const isFree = () => {
    const isAtIt = document.activeElement !== main && main.contains(document.activeElement);
    const isReading = scrollY > 200 || !getSelection().isCollapsed || main.querySelector("details[open]");
    return main.dataset.live === "refresh" && !isAtIt && !isReading;
  };

  const look = () => {
    if (waiting || document.hidden || !notice.hidden) return;
    waiting = setTimeout(compare, Math.max(0, looked + PAUSE - performance.now()));
  };

  const compare = async () => {
    // What changes from here on may not be in the answer.
    waiting = 0;
    looked = performance.now();
    try {
      const href = location.href;
      const answer = await fetch(href, { headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("main");
      // Signed out, or gone: the notice leads to what the server says of it.
      if (answer.redirected || !answer.ok || !fresh) notice.hidden = false;
      else take(page, fresh, href);
    } catch {
      isLost = true; // The server is away. It is asked again when it is back.
    }
  };

  const take = (page, fresh, href) => {
    const text = textOf(fresh);
    // Whoever searched on is at another page by now.
    const isOther = shown.href !== href;
    if (!isOther && shown.text === text) return;
    if (!isOther && !isFree()) {
      notice.hidden = false;
      return;
    }
    shown = { href, text };
    if (isOther) return;
    document.title = page.title;
    main.replaceChildren(...fresh.childNodes);
  };

  const open = () => {
    if (source) return;
    source = new EventSource(events + query);
    source.addEventListener("changed", look);
    source.addEventListener("error", () => {
      isLost = true;
    });
    source.addEventListener("open", () => {
      if (isLost) look();
      isLost = false;
    });
  };
  // A browser has six connections to a server: tabs that nobody sees leave them to the others.
  const close = () => {
    source?.close();
    source = undefined;
    isLost = true;
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", () => {
    if (!document.hidden) open();
  });
  if (!document.hidden) open();
})();
