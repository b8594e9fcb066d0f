// The charts over time of one page move together: a line at the same moment on each, and one zoom for all.
import { button } from "./dom.js";

const NARROWEST_MS = 5 * 60_000; // the shortest range that an address may have
const COARSE = matchMedia("(pointer: coarse)");

export const timeAxes = (layout) =>
  Object.keys(layout).filter((key) => /^xaxis\d*$/.test(key) && layout[key].type === "date");

/** Milliseconds of a time as Plotly gives it: a number, or text in UTC. */
export const moment = (value) => {
  if (typeof value === "number") return value;
  const text = String(value).replace(" ", "T");
  return Date.parse(/(Z|[+-]\d\d:?\d\d)$/.test(text) ? text : text.includes("T") ? `${text}Z` : `${text}T00:00:00Z`);
};

const words = (ms) => new Date(ms).toISOString().slice(0, 16).replace("T", " ");

/** `[from, to]` in whole minutes, long enough for an address. */
export const whole = ([from, to]) => {
  const start = Math.floor(from / 60_000) * 60_000;
  const end = Math.ceil(to / 60_000) * 60_000;
  const missing = Math.max(0, NARROWEST_MS - (end - start));
  const earlier = Math.ceil(missing / 2 / 60_000) * 60_000;
  return [start - earlier, end + missing - earlier];
};

export class TimeAxis {
  constructor(root, placeOf, drawAll) {
    this.root = root;
    this.placeOf = placeOf;
    this.drawAll = drawAll;
    this.places = new Map();
    this.zoom = null;
    this.resets = 0;
    this.hovered = null;
  }

  /** Before it is drawn: the zoom of now, and dragging along the axis. On a touch screen a drag scrolls the page. */
  fit(layout) {
    layout.uirevision = "kept"; // what a reader has hidden in a legend stays hidden
    for (const key of timeAxes(layout)) {
      Object.assign(layout[key], { fixedrange: COARSE.matches, uirevision: this.resets });
      if (this.zoom) Object.assign(layout[key], { range: [...this.zoom], autorange: false });
    }
    layout.dragmode = COARSE.matches || !timeAxes(layout).length ? false : "zoom";
  }

  /** After it was drawn. */
  follow(place, id) {
    if (!timeAxes(place.layout).length) return;
    if (!this.places.has(place)) this.listen(place, id);
    if (this.hovered?.place === place) this.hoverAgain(place);
    this.line();
  }

  listen(place, id) {
    const line = document.createElement("div");
    line.className = "moment";
    line.hidden = true;
    place.after(line);
    this.places.set(place, line);
    place.on("plotly_hover", (event) => this.hover(place, event.points[0]?.x ?? event.xvals?.[0], event.event));
    place.on("plotly_unhover", () => this.leave(place));
    place.addEventListener("pointerleave", () => this.leave(place));
    place.on("plotly_relayout", (change) => this.changed(change));
    place.on("plotly_doubleclick", () => this.reset());
  }

  hover(place, at, event) {
    const frame = place.getBoundingClientRect();
    this.hovered = { place, at: moment(at), x: event.clientX - frame.left, y: event.clientY - frame.top };
    this.line();
  }

  leave(place) {
    if (this.hovered?.place !== place || this.drawing) return;
    this.hovered = null;
    this.line();
  }

  /** A chart that was drawn anew under the pointer keeps its label. */
  hoverAgain(place) {
    const { x, y } = this.hovered;
    const { l, t } = place._fullLayout._size;
    this.drawing = true;
    Plotly.Fx.hover(place, { xpx: x - l, ypx: y - t });
    this.drawing = false;
  }

  /** The same moment on every chart. */
  line() {
    for (const [place, line] of this.places) {
      const axis = place._fullLayout?.xaxis;
      const at = this.hovered && axis ? axis.d2p(this.hovered.at) : NaN;
      line.hidden = !(at >= 0 && at <= axis?._length);
      if (line.hidden) continue;
      const { t, h } = place._fullLayout._size;
      Object.assign(line.style, {
        left: `${place.offsetLeft + axis._offset + at}px`, top: `${place.offsetTop + t}px`, height: `${h}px`,
      });
    }
  }

  changed(change) {
    const key = Object.keys(change).find((name) => /^xaxis\d*\.range(\[0\])?$/.test(name));
    if (!key || this.drawing) return;
    const axis = key.split(".")[0];
    const range = change[`${axis}.range`] ?? [change[`${axis}.range[0]`], change[`${axis}.range[1]`]];
    this.zoom = range.map(moment);
    this.redraw();
  }

  reset() {
    if (!this.zoom) return;
    this.zoom = null;
    this.resets += 1;
    this.redraw();
  }

  redraw() {
    this.drawing = true;
    this.drawAll();
    this.drawing = false;
    this.bar();
  }

  /** Says what is shown, and offers to show it with figures of its own. */
  bar() {
    this.offer?.remove();
    this.offer = null;
    if (!this.zoom) return;
    const own = document.querySelector("#filter-custom");
    this.offer = document.createElement("div");
    this.offer.className = "zoomed";
    this.offer.setAttribute("role", "status");
    const said = document.createElement("span");
    said.textContent = `${words(this.zoom[0])} to ${words(this.zoom[1])} UTC`;
    this.offer.append(said, ...(own ? [button("Use this range", () => this.use(own))] : []), button("Show all", () => this.reset()));
    this.root.append(this.offer);
  }

  use(own) {
    const [from, to] = whole(this.zoom).map((ms) => new Date(ms).toISOString().slice(0, 16));
    document.querySelector("#filter-from").value = from;
    document.querySelector("#filter-to").value = to;
    own.click();
  }

  close() {
    this.offer?.remove();
    for (const line of this.places.values()) line.remove();
    this.places.clear();
  }
}
