// Keeps a page live: readings arrive as server-sent events, and when they stop the page says since when.
import { morph, parsed } from "./morph.js";

const SOON_MS = 250; // a stream that went well ends now and then, so that an ended session is noticed
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30000;
const STALE_AFTER_MS = 5000;
const BEATS_MISSED = 2.5;
const RELOAD_AFTER_MS = 2000;

const NO_ANSWER = "No connection to the server; trying again.";
const REFUSED = "The server gives no figures; trying again. Reload if you were logged out.";

const clock = (time) => `${new Date(time).toISOString().slice(11, 19)} UTC`;

export class LiveFeed {
  constructor(root, charts) {
    this.root = root;
    this.charts = charts;
    this.state = root.querySelector("[data-live-state]");
    this.staleAfter = Math.max(STALE_AFTER_MS, Number(root.dataset.every ?? 1) * 1000 * BEATS_MISSED);
    this.wait = FIRST_WAIT_MS;
    this.opened = Date.now();
    this.read = this.opened; // when figures came last, by this machine's clock
    this.heard = this.opened; // when anything came last
    this.trouble = NO_ANSWER;
    this.connect();
    this.watch = setInterval(() => this.noticeSilence(), 1000);
    this.atOnce = () => { if (!this.source) this.connect(); };
    addEventListener("online", this.atOnce);
  }

  connect() {
    clearTimeout(this.timer);
    this.source = new EventSource(this.root.dataset.live);
    this.source.addEventListener("reading", (event) => this.show(JSON.parse(event.data)));
    this.source.addEventListener("trouble", (event) => this.hear(JSON.parse(event.data).message));
    this.source.addEventListener("error", () => this.retryLater());
  }

  show({ at, html, figures }) {
    this.read = this.heard = Date.now();
    this.wait = SOON_MS;
    this.root.dataset.at = at;
    if ("trouble" in this.root.dataset) return this.becomeWhole();
    for (const [id, text] of Object.entries(html)) {
      const place = document.getElementById(id); // one is in the frame around the page
      if (place) morph(place, parsed(text));
    }
    if ("happenings" in html) this.charts?.draw();
    this.charts?.update(figures);
    this.say("is-live", "Live", `as of ${clock(at)}`);
  }

  /** A page that could not be read has no places to fill. */
  becomeWhole() {
    this.say("is-live", "Figures are back", "loading the page");
    clearTimeout(this.reload);
    this.reload = setTimeout(() => location.reload(), Math.max(0, this.opened + RELOAD_AFTER_MS - Date.now()));
  }

  hear(message) {
    this.heard = Date.now();
    this.stale(message);
  }

  retryLater() {
    // A browser would try a dropped connection again by itself; what it gives up is an answer that is no stream.
    this.trouble = this.source.readyState === EventSource.CLOSED ? REFUSED : NO_ANSWER;
    this.source.close();
    this.source = null;
    // A little chance in it, so that all pages do not come back in the same instant after a restart.
    this.timer = setTimeout(() => this.connect(), this.wait * (0.75 + Math.random() / 2));
    this.wait = Math.min(Math.max(this.wait * 2, FIRST_WAIT_MS), LONGEST_WAIT_MS);
    this.noticeSilence();
  }

  noticeSilence() {
    if (Date.now() - this.heard > this.staleAfter) this.stale(this.trouble);
  }

  stale(reason) {
    const last = this.root.dataset.at;
    if (last && !("trouble" in this.root.dataset)) this.say("is-stale", `Stale since ${clock(last)}`, reason);
    else this.say("is-stale", "Not available", reason);
  }

  say(state, headline, detail) {
    if (!this.state) return;
    this.state.classList.remove("is-live", "is-stale");
    if (state) this.state.classList.add(state);
    const [title, note] = this.state.querySelectorAll("span");
    if (title.textContent !== headline) title.textContent = headline;
    if (note.textContent !== detail) note.textContent = detail;
  }

  /** `paused`: the page is hidden; when it is shown again, its figures are old until the next reading. */
  close(paused = false) {
    clearInterval(this.watch);
    clearTimeout(this.timer);
    clearTimeout(this.reload);
    removeEventListener("online", this.atOnce);
    this.source?.close();
    this.source = null;
    if (paused && this.root.dataset.at) this.say("", "Connecting", `as of ${clock(this.root.dataset.at)}`);
  }
}
