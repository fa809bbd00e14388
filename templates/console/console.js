// A page that follows what happens: what the server sends takes the place of what stands there.
// Without this script, or when nothing comes, the page is as it was when it was loaded.
(() => {
  "use strict";
  const page = document.querySelector("[data-live]");
  if (!page || !window.EventSource) return;
  const source = new EventSource(page.dataset.live);
  for (const part of document.querySelectorAll("[data-part]")) {
    source.addEventListener(part.dataset.part, (event) => {
      if (part.innerHTML.trim() !== event.data.trim()) part.innerHTML = event.data;
    });
  }
  addEventListener("pagehide", () => source.close());
})();
