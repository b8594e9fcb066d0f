// What a page needs beyond its HTML: charts, the live feed, and forms that apply a choice at once.
import { Charts } from "./charts.js";
import { LiveFeed } from "./live.js";

let charts = null;
let feed = null;

const listen = () => {
  feed?.close();
  const root = document.querySelector("[data-live]");
  // A hidden page does not listen: a browser opens few connections to a host, and each stream takes one.
  feed = root && charts && !document.hidden ? new LiveFeed(root, charts) : null;
};

const start = () => {
  charts?.close();
  const root = document.querySelector("[data-charts]");
  charts = root ? new Charts(root) : null;
  listen();
};

addEventListener("themechange", () => charts?.draw());
addEventListener("beforeprint", () => charts?.draw());
document.addEventListener("visibilitychange", listen);
addEventListener("pagehide", () => feed?.close());
addEventListener("pageshow", (event) => { if (event.persisted) start(); });
document.addEventListener("htmx:afterSettle", (event) => {
  if (!event.target.matches("[data-refresh]")) start(); // a page that refreshes itself keeps its charts
});
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) print();
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

start();
