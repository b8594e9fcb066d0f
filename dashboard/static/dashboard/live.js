// Keeps the overview live: readings arrive as server-sent events, and when they stop the page says since when.
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30000;
const STALE_AFTER_MS = 5000;

/** Makes `old` look like `fresh` while keeping the elements that are the same, and with them focus and selection.
    What is marked `data-keep` (a chart that a script has drawn) stays as it is. */
export const morph = (old, fresh) => {
  const before = [...old.childNodes];
  const after = [...fresh.childNodes];
  const alike = before.length === after.length
    && before.every((node, i) => node.nodeName === after[i].nodeName && node.nodeType === after[i].nodeType);
  if (!alike) {
    keep(old, fresh);
    old.replaceChildren(...fresh.childNodes);
    return;
  }
  before.forEach((node, i) => morphNode(node, after[i]));
};

const keep = (old, fresh) => {
  for (const place of fresh.querySelectorAll("[data-keep]")) {
    const kept = old.querySelector(`#${place.id}`);
    if (kept) place.replaceWith(kept);
  }
};

const morphNode = (old, fresh) => {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  if (old.hasAttribute("data-keep")) return;
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  morph(old, fresh);
};

const parsed = (html) => {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  return holder.content;
};

const clock = (time) => `${new Date(time).toISOString().slice(11, 19)} UTC`;

export class LiveFeed {
  constructor(root, charts) {
    this.root = root;
    this.charts = charts;
    this.state = root.querySelector("[data-live-state]");
    this.wait = FIRST_WAIT_MS;
    this.last = Date.now();
    this.connect();
    this.watch = setInterval(() => this.noticeSilence(), 1000);
  }

  connect() {
    this.source = new EventSource(this.root.dataset.live);
    this.source.addEventListener("reading", (event) => this.show(JSON.parse(event.data)));
    this.source.addEventListener("trouble", (event) => this.stale(JSON.parse(event.data).message));
    this.source.addEventListener("error", () => this.retryLater());
  }

  show({ at, html, series }) {
    this.last = Date.now();
    this.wait = FIRST_WAIT_MS;
    for (const [id, text] of Object.entries(html)) {
      const place = this.root.querySelector(`#${id}`);
      if (place) morph(place, parsed(text));
    }
    this.charts.update(series);
    this.say("is-live", "Live", `as of ${clock(at)}`);
  }

  retryLater() {
    this.source.close();
    clearTimeout(this.timer);
    // A little chance in it, so that all pages do not come back in the same instant after a restart.
    this.timer = setTimeout(() => this.connect(), this.wait * (0.75 + Math.random() / 2));
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT_MS);
    this.noticeSilence();
  }

  noticeSilence() {
    if (Date.now() - this.last > STALE_AFTER_MS) this.stale("No connection to the server; trying again. Reload if you were logged out.");
  }

  stale(reason) {
    this.say("is-stale", `Stale since ${clock(this.last)}`, reason);
  }

  say(state, headline, detail) {
    if (!this.state) return;
    this.state.classList.remove("is-live", "is-stale");
    this.state.classList.add(state);
    const [title, note] = this.state.querySelectorAll("span");
    if (title.textContent !== headline) title.textContent = headline;
    note.textContent = detail;
  }

  close() {
    clearInterval(this.watch);
    clearTimeout(this.timer);
    this.source.close();
  }
}
