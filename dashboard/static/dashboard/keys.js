// The keyboard of an operator: / searches, g and a letter go to a page, ? lists them. Never while something is being typed.
const GO_WITHIN_MS = 2000;
const OFF = "tallywatt-keys-off"; // who speaks to their machine, or drives it by a switch, can turn single keys off (WCAG 2.1.4)

const dialog = document.querySelector("#keys");
const search = document.querySelector("#search");
const said = document.querySelector("#keys-said");
const placeOf = (letter) => [...dialog.querySelectorAll("[data-letter]")].find((link) => link.dataset.letter === letter);
const choice = dialog.querySelector("#keys-on");

let going = 0;

const stored = () => { try { return localStorage.getItem(OFF); } catch { return null; } };
const isOn = () => choice.checked;
const isTyping = (target) =>
  target.isContentEditable || (target.matches("input, textarea, select") && !target.matches("[type=radio], [type=checkbox], [type=button]"));

const say = (text) => {
  said.textContent = text;
  said.hidden = !text;
};

const stopGoing = () => {
  clearTimeout(going);
  going = 0;
  say("");
};

const go = (letter) => {
  const link = placeOf(letter);
  stopGoing();
  if (!link) return say(`No page has the letter ${letter}. Press ? for the list.`);
  say(`Going to ${link.textContent.trim()}`);
  location.assign(link.href);
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || isTyping(event.target)) return;
  if (going) {
    if (event.key === "Shift") return;
    event.preventDefault();
    if (event.key === "Escape") return stopGoing();
    return go(event.key.toLowerCase());
  }
  if (!isOn() || dialog.open) return;
  if (event.key === "/") search.focus();
  else if (event.key === "?") dialog.showModal();
  else if (event.key === "g") {
    say("Go to: press the letter of a page, or Escape");
    going = setTimeout(stopGoing, GO_WITHIN_MS);
  } else return;
  event.preventDefault(); // what opened the field is not typed into it
});

choice.checked = !stored();
choice.addEventListener("change", () => {
  try {
    if (choice.checked) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "1");
  } catch { /* it lasts for this page */ }
});
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-keys]")) dialog.showModal();
});
