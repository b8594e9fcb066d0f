// A page that htmx asks for again: only what differs is changed, so that focus, selection and scrolling stay where they are.
import { morph } from "./live.js";

const pageOf = (event) => event.target.closest?.("[data-refresh]");

const stale = (page, reason) => {
  const state = page.querySelector("[data-live-state]");
  const [headline, detail] = state.querySelectorAll("span");
  state.classList.replace("is-live", "is-stale");
  headline.textContent = "Stale";
  if (!detail.textContent.includes(";")) detail.textContent += `; ${reason}`;
};

document.addEventListener("htmx:afterRequest", (event) => {
  const page = pageOf(event);
  if (!page) return;
  const answer = event.detail.successful ? event.detail.xhr.responseText : "";
  const fresh = new DOMParser().parseFromString(answer, "text/html").getElementById(page.id);
  if (fresh) {
    morph(page, fresh);
    htmx.process(page); // what is new in it may ask for itself again, too
  } else stale(page, "no answer from the server, trying again. Reload if you were logged out.");
});
