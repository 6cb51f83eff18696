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
