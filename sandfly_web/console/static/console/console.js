// Small behaviours of the console: lists that renew themselves while a scan runs, and questions before what cannot be undone.
"use strict";

(function () {
  const INTERVAL_MS = 3000;

  // Nothing is renewed while a person is selecting rows, reading an opened detail or typing.
  function isBusy(region) {
    return Boolean(document.querySelector("input.action-select:checked")) || region.contains(document.activeElement);
  }

  async function renew(region) {
    if (document.hidden || isBusy(region)) return true;
    const answer = await fetch(window.location.href, { headers: { "X-Requested-With": "XMLHttpRequest" } });
    if (!answer.ok || answer.redirected) return false;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById(region.id);
    if (!fresh) return false;
    region.replaceChildren(...fresh.childNodes);
    return Boolean(page.querySelector("[data-sf-live]"));
  }

  function keepRenewing(region) {
    window.setTimeout(async function () {
      let isLive = false;
      try {
        isLive = await renew(region);
      } catch (error) {
        isLive = true; // The server is away for a moment; the next try tells.
      }
      if (isLive) keepRenewing(region);
    }, INTERVAL_MS);
  }

  function askBefore(event) {
    const question = event.target.getAttribute("data-sf-confirm");
    if (question && !window.confirm(question)) event.preventDefault();
  }

  document.addEventListener("DOMContentLoaded", function () {
    const marker = document.querySelector("[data-sf-live]");
    const region = marker && document.getElementById(marker.getAttribute("data-sf-live"));
    if (region) keepRenewing(region);
    document.addEventListener("submit", askBefore);
    // Back to a form as it was filled in, which the browser keeps.
    for (const button of document.querySelectorAll("[data-sf-back]")) {
      button.addEventListener("click", () => window.history.back());
    }
  });
})();
