// What a page needs beyond its HTML: charts, the live feed, filters.
import { Charts } from "./charts.js";
import { LiveFeed } from "./live.js";
import { foldFilters } from "./filters.js";

let charts = null;
let feed = null;

const listen = () => {
  feed?.close(document.hidden);
  const root = document.querySelector("[data-live]");
  // A hidden page does not listen: a browser opens few connections to a host, and each stream takes one.
  feed = root && !document.hidden ? new LiveFeed(root, charts) : null;
};

const start = () => {
  charts?.close();
  const root = document.querySelector("[data-charts]");
  charts = root ? new Charts(root) : null;
  foldFilters();
  listen();
};

addEventListener("themechange", () => charts?.draw());
addEventListener("beforeprint", () => charts?.draw());
document.addEventListener("visibilitychange", listen);
addEventListener("pagehide", () => feed?.close());
addEventListener("pageshow", (event) => { if (event.persisted) start(); });
document.addEventListener("htmx:afterSettle", (event) => { if (event.target.matches("[data-charts]")) start(); });
document.addEventListener("click", (event) => { if (event.target.closest("[data-print]")) print(); });

start();
