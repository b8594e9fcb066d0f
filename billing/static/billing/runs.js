// While a run works, its page and the list look again every two seconds.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const working = () => document.querySelector('progress[data-run-state="running"]');
  if (!working()) return;
  const look = async () => {
    if (document.querySelector("#dialog")) return setTimeout(look, 2000); // somebody fills in a form
    try {
      const answer = await fetch(location.href, { headers: { "X-Requested-With": "fetch" } });
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const now = page.querySelectorAll("progress[data-run-state]");
        document.querySelectorAll("progress[data-run-state]").forEach((bar, position) => {
          const fresh = now[position];
          if (fresh) bar.parentElement.replaceChildren(...fresh.parentElement.childNodes);
        });
        if (!working()) return location.reload();
      }
    } catch (error) {
      console.warn("the run's progress could not be read", error);
    }
    setTimeout(look, 2000);
  };
  setTimeout(look, 2000);
});
