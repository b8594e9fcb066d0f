// Makes what is on the page look like what has come, while keeping the elements that stay, and with them focus, selection, scrolling
// and what a reader has opened. Children are told apart by `id` or `data-row`; others by their place.
// What is marked `data-keep` (something that a script has drawn) stays as it is.

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.id || node.dataset.row || "" : "");
const alike = (old, fresh) => old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && keyOf(old) === keyOf(fresh);
const isOpened = (element, name) => name === "open" && element.matches("details, dialog");

/** `old` gets the children of `fresh`. */
export const morph = (old, fresh) => {
  const focused = document.activeElement;
  morphChildren(old, fresh);
  // A row that was moved has lost the focus on the way.
  if (focused !== document.activeElement && old.contains(focused)) focused.focus({ preventScroll: true });
};

const morphChildren = (old, fresh) => {
  const keyed = new Map([...old.childNodes].filter(keyOf).map((node) => [keyOf(node), node]));
  let at = old.firstChild;
  for (const next of [...fresh.childNodes]) {
    const known = keyed.get(keyOf(next));
    const match = known && alike(known, next) ? known : at && alike(at, next) ? at : null;
    if (!match) {
      old.insertBefore(next, at);
      continue;
    }
    if (match === at) at = at.nextSibling;
    else old.insertBefore(match, at);
    morphNode(match, next);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
};

const morphNode = (old, fresh) => {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  if (old.hasAttribute("data-keep")) return;
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value && !isOpened(old, name)) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !isOpened(old, name)) old.removeAttribute(name);
  }
  morphChildren(old, fresh);
};

export const parsed = (html) => {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  return holder.content;
};
