// Draws the figures that dashboard/figures*.py describe. A colour written "--name" is a token of tokens.css.
import { addMenu } from "./chart_export.js";
import { happeningsOf, marked } from "./chart_happenings.js";
import { seen, withRoom } from "./chart_points.js";
import { TimeAxis, timeAxes } from "./chart_time.js";

const probe = document.createElement("span");
probe.hidden = true;
document.documentElement.append(probe);

const colourOf = (token) => {
  probe.style.color = `var(${token})`;
  return getComputedStyle(probe).color;
};

export const themed = (value) => {
  if (typeof value === "string") return value.startsWith("--") ? colourOf(value) : value;
  // Numbers are most of a figure and have no colours; [0.5, "--series-1"] of a colour scale has one.
  if (Array.isArray(value)) return typeof value[0] === "number" && typeof value[1] !== "string" ? value : value.map(themed);
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, themed(inner)]));
  }
  return value;
};

const read = (root, id) => {
  const holder = root.querySelector(`#${id}`);
  return holder ? JSON.parse(holder.textContent) : null;
};

const hasNumbers = (trace) => {
  const values = trace.z?.flat() ?? (trace.orientation === "h" ? trace.x : trace.y) ?? trace.values;
  return values?.some((value) => value !== null && value !== 0);
};

// On a narrow page a legend takes a line for each trace, which would leave little of the plot.
const NARROW_PX = 520;
const LEGEND_LINE_PX = 19;
const EMPTY_PX = 225;
const roomForLegend = (place, traces) =>
  (place.clientWidth < NARROW_PX ? Math.max(0, traces - 2) * LEGEND_LINE_PX : 0);

/** All charts below `root`. */
export class Charts {
  constructor(root) {
    this.root = root;
    this.figures = read(root, "figures") ?? {};
    this.later = new Set(); // charts that have changed while nobody could see them, or while they were held
    this.far = new Set();
    this.time = new TimeAxis(root, (id) => this.placeOf(id), () => this.draw());
    // What is more than a page away from what can be seen is drawn when it comes near.
    this.near = new IntersectionObserver((entries) => this.move(entries), { rootMargin: "100%" });
    this.held = null;
    this.hold = (event) => { this.held = event.target.closest?.(".plot") ?? null; };
    this.release = () => { setTimeout(() => { this.held = null; this.catchUp(); }); };
    document.addEventListener("pointerdown", this.hold);
    document.addEventListener("pointerup", this.release);
    document.addEventListener("pointercancel", this.release);
    this.draw();
    for (const id of Object.keys(this.figures)) this.watch(id);
  }

  placeOf(id) {
    return this.root.querySelector(`#${CSS.escape(id)}`);
  }

  /** Draws the charts of `figures` anew; the others stay. */
  update(figures) {
    Object.assign(this.figures, figures);
    for (const id of Object.keys(figures)) {
      const place = this.placeOf(id);
      if (!place) continue;
      this.watch(id);
      if (this.far.has(place) || this.held === place) this.later.add(id);
      else this.drawAt(id);
    }
  }

  draw() {
    this.happenings = happeningsOf(this.root);
    for (const id of Object.keys(this.figures)) this.drawAt(id);
  }

  drawAt(id) {
    const place = this.placeOf(id);
    this.later.delete(id);
    if (place) this.drawOne(place, this.figures[id], id);
  }

  drawOne(place, figure, id) {
    const empty = !figure.reading && !figure.data.some(hasNumbers);
    place.closest(".chart").classList.toggle("is-empty", empty);
    const { data, layout } = this.drawn(figure);
    layout.height = empty ? Math.min(layout.height, EMPTY_PX) : layout.height + roomForLegend(place, data.length);
    place.style.height = `${layout.height}px`;
    this.time.fit(layout);
    Plotly.react(place, data, layout, { displayModeBar: false, responsive: true, doubleClick: false, showTips: false });
    this.time.follow(place, id);
    addMenu(this, place, id);
  }

  /** A figure in the colours of now, with what happened marked on it. */
  drawn(figure) {
    const marks = timeAxes(figure.layout).length ? marked(figure, this.happenings ?? []) : {};
    const layout = withRoom({ ...figure.layout, ...marks }, figure.data);
    return { data: themed(seen(figure.data)), layout: themed(layout) };
  }

  watch(id) {
    const place = this.placeOf(id);
    if (place) this.near.observe(place);
  }

  move(entries) {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) this.far.delete(target);
      else this.far.add(target);
    }
    this.catchUp();
  }

  catchUp() {
    for (const id of [...this.later]) {
      const place = this.placeOf(id);
      if (!this.far.has(place) && this.held !== place) this.drawAt(id);
    }
  }

  close() {
    this.near.disconnect();
    this.time.close();
    document.removeEventListener("pointerdown", this.hold);
    document.removeEventListener("pointerup", this.release);
    document.removeEventListener("pointercancel", this.release);
    for (const id of Object.keys(this.figures)) {
      const place = this.placeOf(id);
      if (place) Plotly.purge(place);
    }
  }
}
