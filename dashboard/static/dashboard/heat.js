// Arrow keys move between the cells of a heatmap; Tab goes into it and out again.
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const middle = (cell) => {
  const box = cell.getBoundingClientRect();
  return [box.left + box.width / 2, box.top + box.height / 2];
};

/** The nearest cell above or below, of those on the next line that has any. */
const beyond = (cells, from, direction) => {
  const [x, y] = middle(from);
  const places = cells.map((cell) => [cell, ...middle(cell)]).filter(([, , other]) => (other - y) * direction > 4);
  if (!places.length) return null;
  const line = Math.min(...places.map(([, , other]) => (other - y) * direction));
  const there = places.filter(([, , other]) => (other - y) * direction < line + 4);
  return there.reduce((best, place) => (Math.abs(place[1] - x) < Math.abs(best[1] - x) ? place : best))[0];
};

document.addEventListener("keydown", (event) => {
  const cell = event.target.closest?.("[data-heat] .cell");
  const step = STEPS[event.key];
  if (!cell || !step || event.ctrlKey || event.metaKey || event.altKey) return;
  const cells = [...cell.closest("[data-heat]").querySelectorAll(".cell")];
  const [across, down] = step;
  const next = across ? cells[cells.indexOf(cell) + across] : beyond(cells, cell, down);
  event.preventDefault();
  next?.focus();
});
