// Small behaviours of the console: lists that renew themselves while a scan runs, questions before what cannot be undone,
// keys that walk through a list, and times in UTC or in the time zone of whoever looks.
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
    tellTimes(region);
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

  // Times are told in UTC until somebody chooses their own time zone, which this browser remembers. What a moment is
  // written as in UTC is looked for in its text, and the same is written in the other; host text is never touched.
  const CLOCK = "sandflyClock";
  const originals = new WeakMap();
  let isLocal = window.localStorage.getItem(CLOCK) === "local";

  function two(number) {
    return String(number).padStart(2, "0");
  }

  function zoneName(moment) {
    const parts = new Intl.DateTimeFormat(undefined, { timeZoneName: "short" }).formatToParts(moment);
    return parts.find((part) => part.type === "timeZoneName").value;
  }

  function inUtc(moment, form) {
    const [day, clock] = [moment.toISOString().slice(0, 10), moment.toISOString().slice(11, 19)];
    return { full: `${day} ${clock} UTC`, minute: `${day} ${clock.slice(0, 5)} UTC`, clock: clock }[form];
  }

  function inLocal(moment, form) {
    const day = `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;
    const clock = `${two(moment.getHours())}:${two(moment.getMinutes())}:${two(moment.getSeconds())}`;
    // Under the heading of its day in UTC, a moment of another day here says so.
    const isSameDay = day === moment.toISOString().slice(0, 10);
    if (form === "clock") return isSameDay ? clock : `${day.slice(5)} ${clock}`;
    return `${day} ${form === "minute" ? clock.slice(0, 5) : clock} ${zoneName(moment)}`;
  }

  function tell(element) {
    const moment = new Date(element.getAttribute("data-sf-at") || element.getAttribute("datetime"));
    const form = element.getAttribute("data-sf-form");
    if (isNaN(moment)) return;
    if (!originals.has(element)) originals.set(element, { text: element.textContent, title: element.getAttribute("title") });
    const { text, title } = originals.get(element);
    if (form) element.textContent = isLocal ? text.replace(inUtc(moment, form), inLocal(moment, form)) : text;
    if (title === null) return;
    const other = isLocal ? title : inLocal(moment, "full");
    element.setAttribute("title", `${isLocal ? inLocal(moment, "full") : title} (${other})`);
  }

  function tellTimes(region) {
    for (const element of region.querySelectorAll("time[datetime], [data-sf-at]")) tell(element);
    const chip = document.getElementById("sf-clock");
    if (chip) {
      const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || zoneName(new Date());
      chip.textContent = isLocal ? zone : "UTC";
      chip.title = isLocal ? "Times are told in your time zone. Press for UTC." : "Times are told in UTC. Press for your own time zone.";
    }
    for (const button of document.querySelectorAll("[data-sf-clock]")) {
      button.setAttribute("aria-pressed", String((button.getAttribute("data-sf-clock") === "local") === isLocal));
    }
  }

  function chooseClock(event) {
    const button = event.target.closest && event.target.closest("[data-sf-clock], #sf-clock");
    if (!button) return;
    isLocal = button.id === "sf-clock" ? !isLocal : button.getAttribute("data-sf-clock") === "local";
    window.localStorage.setItem(CLOCK, isLocal ? "local" : "utc");
    tellTimes(document);
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
    document.addEventListener("click", chooseClock);
    tellTimes(document);
    for (const button of document.querySelectorAll("[data-sf-print]")) {
      button.addEventListener("click", () => window.print());
    }
    // Back to a form as it was filled in, which the browser keeps.
    for (const button of document.querySelectorAll("[data-sf-back]")) {
      button.addEventListener("click", () => window.history.back());
    }
  });
})();
