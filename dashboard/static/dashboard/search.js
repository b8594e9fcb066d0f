// The search field of the header: a combobox whose list comes from the server. Without this script its form leads to a page.
const ASK_AFTER_MS = 120;

const field = document.querySelector("#search");
const list = document.querySelector("#search-found");
const said = document.querySelector("#search-said");
let timer = 0;
let asked = null;

const options = () => [...list.querySelectorAll("[role=option]")];
const chosen = () => list.querySelector("[aria-selected=true]");

const open = (isOpen) => {
  list.hidden = !isOpen;
  field.setAttribute("aria-expanded", String(isOpen));
  if (!isOpen) field.removeAttribute("aria-activedescendant");
};

const choose = (option) => {
  chosen()?.setAttribute("aria-selected", "false");
  if (!option) return field.removeAttribute("aria-activedescendant");
  option.setAttribute("aria-selected", "true");
  option.scrollIntoView({ block: "nearest" });
  field.setAttribute("aria-activedescendant", option.id);
};

const show = (html) => {
  list.innerHTML = html;
  const count = options().length;
  said.textContent = count ? `${count} found` : list.textContent.trim();
  open(true);
  choose(options()[0]);
};

const ask = async () => {
  const text = field.value.trim();
  asked?.abort();
  if (!text) return open(false);
  asked = new AbortController();
  try {
    const answer = await fetch(`${field.form.action}?${new URLSearchParams({ q: text })}`, {
      headers: { "HX-Request": "true" }, signal: asked.signal,
    });
    if (answer.redirected) location.reload(); // logged out
    else if (answer.ok || answer.status === 503) show(await answer.text());
  } catch (error) {
    if (error.name !== "AbortError") show("<p>No connection to the server.</p>");
  }
};

const step = (by) => {
  const all = options();
  if (list.hidden || !all.length) return;
  const at = all.indexOf(chosen());
  choose(all[(at + by + all.length) % all.length]);
};

field.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(ask, ASK_AFTER_MS);
});
field.addEventListener("focus", () => { if (field.value.trim()) ask(); });
field.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown") step(1);
  else if (event.key === "ArrowUp") step(-1);
  else if (event.key === "Enter" && !list.hidden && chosen()) location.assign(chosen().href);
  else if (event.key === "Escape") {
    if (list.hidden) field.blur();
    field.value = "";
    open(false);
  } else return;
  event.preventDefault();
});
field.addEventListener("blur", () => { setTimeout(() => { if (!list.contains(document.activeElement)) open(false); }, 150); });
list.addEventListener("pointerdown", (event) => event.preventDefault()); // the field keeps the focus, the link its click
