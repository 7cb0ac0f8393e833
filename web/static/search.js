// Searches while one types: asks for the same page with what is typed, and shows its results here.
(() => {
  "use strict";
  const form = document.getElementById("search");
  const field = document.getElementById("q");
  if (!form || !field) return;
  const WAIT = 300;
  let waiting = 0;
  let asking = new AbortController();

  const address = () => {
    const said = [...new FormData(form)].filter(([, value]) => value.trim());
    const query = new URLSearchParams(said).toString();
    return form.action + (query ? `?${query}` : "");
  };

  const search = async () => {
    clearTimeout(waiting);
    asking.abort();
    const mine = (asking = new AbortController());
    const url = address();
    history.replaceState(null, "", url);
    const results = document.getElementById("results");
    results.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(url, { headers: { Accept: "text/html" }, signal: mine.signal });
      if (answer.redirected) return location.reload();
      show(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch (error) {
      if (error.name === "AbortError") return;
      document.getElementById("told").textContent = "The server does not answer. What is below was found before.";
    }
    document.getElementById("results").removeAttribute("aria-busy");
  };

  const show = (page) => {
    const told = page.getElementById("told");
    const results = page.getElementById("results");
    if (!told || !results) {
      // It says what is wrong with the question.
      const problem = page.querySelector("[role=alert]");
      document.getElementById("told").textContent = problem ? problem.textContent : page.title;
      document.getElementById("results").replaceChildren();
      return;
    }
    document.title = page.title;
    document.getElementById("results").replaceWith(results);
    document.getElementById("told").textContent = told.textContent;
    // What can be chosen depends on what has been; what somebody is at stays as it is.
    for (const list of form.querySelectorAll("select, datalist")) {
      const fresh = page.getElementById(list.id);
      if (fresh && list !== document.activeElement) list.replaceWith(fresh);
    }
  };

  form.addEventListener("input", (event) => {
    // Projects of one workspace are not in another.
    if (event.target.id === "workspace") form.elements.project.value = "";
    clearTimeout(waiting);
    waiting = setTimeout(search, WAIT);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    search();
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const hits = [...document.querySelectorAll("#results .hits h2 a, #results .rows > li > a")];
    const place = hits.indexOf(document.activeElement);
    if (document.activeElement !== field && place < 0) return;
    if (event.key === "Escape" && place >= 0) field.focus();
    else if (event.key === "ArrowDown") hits[Math.min(place + 1, hits.length - 1)]?.focus();
    else if (event.key === "ArrowUp" && place >= 0) (place ? hits[place - 1] : field).focus();
    else return;
    event.preventDefault();
  });
})();
