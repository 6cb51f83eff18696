"use strict";
(function () {
  // Follows Airflow's own light and dark switch, which it keeps under "theme"; without it the system's wish counts.
  function follow() {
    let theme = null;
    try { theme = window.localStorage.getItem("theme"); } catch (error) { theme = null; }
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  }
  follow();
  window.addEventListener("storage", follow);

  // A day of a picture says its numbers in words below it, under the pointer and under the keyboard. Of many days one
  // is in the order of the Tab key; the arrows go to the others.
  function read(event) {
    const day = event.target.closest && event.target.closest("a.day");
    const picture = day && day.closest(".picture");
    const line = picture && picture.querySelector(".readout");
    if (line) line.textContent = day.getAttribute("aria-label");
  }
  document.addEventListener("pointerover", read);
  document.addEventListener("focusin", read);
  // On a phone a table is a card for each row: each cell says its column, and stays a cell for who hears the page.
  function label(table) {
    const titles = Array.from(table.querySelectorAll("thead th"), function (th) { return th.textContent.trim(); });
    const roles = { table: "table", thead: "rowgroup", tbody: "rowgroup", tr: "row", th: "columnheader", td: "cell" };
    for (const part of [table, ...table.querySelectorAll("thead, tbody, tr, th, td")])
      part.setAttribute("role", roles[part.localName]);
    for (const row of table.querySelectorAll("tbody tr"))
      Array.from(row.cells).forEach(function (cell, at) {
        if (cell.colSpan === 1 && titles[at] && !cell.dataset.label) cell.dataset.label = titles[at];
      });
    table.classList.add("cards");
  }
  document.addEventListener("DOMContentLoaded", function () {
    document.querySelectorAll(".scroll > table:not(.matrix):not(.apart):not(.cards)").forEach(label);
    for (const picture of document.querySelectorAll("svg.wide")) {
      const days = Array.from(picture.querySelectorAll("a.day"));
      days.slice(0, -1).forEach(function (day) { day.setAttribute("tabindex", "-1"); });
      picture.addEventListener("keydown", function (event) {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        const at = days.indexOf(document.activeElement);
        const next = step && at >= 0 ? days[at + step] : null;
        if (!next) return;
        event.preventDefault();
        days[at].setAttribute("tabindex", "-1");
        next.setAttribute("tabindex", "0");
        next.focus();
      });
    }
  });

  // Airflow's frame lets no link leave it: a link that says where it wants to open is followed by Airflow's own page.
  document.addEventListener("click", function (event) {
    const link = event.target.closest && event.target.closest("a[target]");
    if (!link || window.parent === window) return;
    event.preventDefault();
    const outside = window.parent.document.createElement("a");
    outside.href = link.href;
    if (link.target === "_blank") { outside.target = "_blank"; outside.rel = "noopener"; }
    window.parent.document.body.append(outside);
    outside.click();
    outside.remove();
  });
})();
