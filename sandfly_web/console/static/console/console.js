// Small behaviours of the console: lists that renew themselves while a scan runs, questions before what cannot be undone,
// keys that walk through a list, and moments in the time of whoever looks.
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

  // j and k go down and up a list, x selects the row, Enter opens it: the link itself has the focus, so what is heard is
  // what is seen. Nothing happens while somebody types.
  function rowLinks() {
    const rows = document.querySelectorAll("#result_list tr.data-row");
    return Array.from(rows, (row) => row.querySelector("th a, td a")).filter(Boolean);
  }

  function isTyping(target) {
    return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) && target.type !== "checkbox";
  }

  function walk(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || !"jkx".includes(event.key)) return;
    const links = rowLinks();
    const here = links.findIndex((link) => link.closest("tr").contains(document.activeElement));
    if (event.key === "x") {
      const box = here >= 0 && links[here].closest("tr").querySelector("input.action-select");
      if (box) box.click();
      return;
    }
    const next = links[Math.min(Math.max(here + (event.key === "j" ? 1 : -1), 0), links.length - 1)];
    if (!next) return;
    event.preventDefault();
    next.classList.add("sf-here");
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  }

  // Everything is told in UTC; the hover of a moment says it in the browser's own time too.
  function tellLocalTime(event) {
    const moment = event.target.closest && event.target.closest("time[datetime]");
    if (!moment || moment.hasAttribute("data-sf-local")) return;
    const local = new Date(moment.dateTime);
    if (isNaN(local)) return;
    moment.setAttribute("data-sf-local", "");
    moment.title = `${moment.title} (${local.toLocaleString()} here)`;
  }

  // The theme leaves controls without a name for those who hear the page: their column, field or placeholder names them.
  function nameControls() {
    for (const control of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
      if (control.labels.length || control.ariaLabel || control.title) continue;
      const cell = control.closest("td");
      const row = cell && cell.closest("table").tHead && cell.closest("table").tHead.rows[0];
      const heading = row && row.cells[cell.cellIndex];
      const field = control.closest(".field-row, .form-row, [class*='field-']");
      const chooser = control.closest(".select2-container");
      const chosen = chooser && chooser.previousElementSibling;
      const label = heading || chosen && chosen.labels && chosen.labels[0] || field && field.querySelector("label");
      const words = [label && label.innerText.trim(), control.placeholder].filter(Boolean).join(", ");
      if (words) control.setAttribute("aria-label", words);
    }
    for (const icon of document.querySelectorAll(".clock-icon[title], .date-icon[title]")) {
      icon.parentElement.setAttribute("aria-label", icon.title);
    }
    document.documentElement.setAttribute("data-sf-named", "");
  }

  // After the theme's own listeners, which make some of them.
  window.addEventListener("load", () => window.setTimeout(nameControls, 0));
  document.addEventListener("DOMContentLoaded", function () {
    const marker = document.querySelector("[data-sf-live]");
    const region = marker && document.getElementById(marker.getAttribute("data-sf-live"));
    if (region) keepRenewing(region);
    document.addEventListener("submit", askBefore);
    document.addEventListener("keydown", walk);
    document.addEventListener("mouseover", tellLocalTime);
    // Back to a form as it was filled in, which the browser keeps.
    for (const button of document.querySelectorAll("[data-sf-back]")) {
      button.addEventListener("click", () => window.history.back());
    }
  });
})();
