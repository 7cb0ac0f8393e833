// A page as it was: the slider says which moment it stands at, and shows that version when it is let go.
(() => {
  "use strict";
  const form = document.querySelector("form[data-moments]");
  if (!form) return;
  const slider = form.elements.version;
  const told = form.querySelector("output");
  const moments = JSON.parse(form.dataset.moments);
  const tell = () => {
    told.value = `${slider.value} of ${moments.length}, ${moments[slider.value - 1]} UTC`;
    slider.setAttribute("aria-valuetext", told.value);
  };
  tell();
  slider.addEventListener("input", tell);
  // By the keyboard every step is a change: wait until one has come to rest.
  let rest = 0;
  slider.addEventListener("change", () => {
    clearTimeout(rest);
    rest = setTimeout(() => form.requestSubmit(), 600);
  });
})();
