// The shared filters beyond their form: folded away on a narrow page, suggestions for a field, answers that are no page.
const NARROW = matchMedia("(max-width: 640px)");
const ASK_AFTER_MS = 150;

let opened = false; // a reader who has unfolded the filters finds them so after each choice

export const foldFilters = () => {
  const fold = document.querySelector("[data-fold]");
  if (!fold) return;
  fold.open = !NARROW.matches || opened;
  fold.dataset.ready = "";
};

NARROW.addEventListener("change", foldFilters);
document.addEventListener("toggle", (event) => {
  if (NARROW.matches && event.target.matches?.("[data-fold]")) opened = event.target.open;
}, true);

let asking = 0;
document.addEventListener("input", (event) => {
  const field = event.target;
  if (!field.dataset?.suggest) return;
  clearTimeout(asking);
  asking = setTimeout(() => suggest(field), ASK_AFTER_MS);
});

const suggest = async (field) => {
  const query = new URLSearchParams({ as: "options", q: field.value });
  const answer = await fetch(`${field.dataset.suggest}?${query}`).catch(() => null);
  if (answer?.ok && !answer.redirected) field.list.innerHTML = await answer.text();
};

const trouble = (text) => {
  const place = document.querySelector("[data-filters-trouble]");
  if (!place) return;
  place.textContent = text;
  place.hidden = !text;
};

const isFilters = (event) => event.detail.elt?.id === "filters";
const reasonIn = (html) => new DOMParser().parseFromString(html, "text/html").querySelector(".message p")?.textContent;

document.addEventListener("htmx:beforeRequest", (event) => { if (isFilters(event)) trouble(""); });
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr } = event.detail;
  if (event.detail.target?.id !== "page") return;
  // A page without its figures is a page, and its stream brings it back. Another one (the log-in) is not what was asked for.
  if (xhr.status === 503 && xhr.responseText.includes('id="page"')) event.detail.shouldSwap = true;
  if (xhr.status === 200 && !xhr.responseText.includes('id="page"')) {
    event.detail.shouldSwap = false;
    location.reload();
  }
});
document.addEventListener("htmx:responseError", (event) => {
  if (isFilters(event) && event.detail.xhr.status !== 503) {
    trouble(reasonIn(event.detail.xhr.responseText) ?? "The server could not show that.");
  }
});
document.addEventListener("htmx:sendError", (event) => {
  if (isFilters(event)) trouble("No connection to the server: what you chose is not shown yet. Try again in a moment.");
});
