/* Marks of faces, before and after, and double clicks that reset a slider. */
(() => {
  const next = { "": "yes", yes: "no", no: "" };
  document.addEventListener("click", (event) => {
    const tile = event.target.closest && event.target.closest(".tile");
    if (!tile) return;
    tile.dataset.mark = next[tile.dataset.mark];
    tile.setAttribute("aria-label", `face ${tile.dataset.row}: ${tile.dataset.mark || "not marked"}`);
  });
  window.studioMarks = () =>
    JSON.stringify(
      Object.fromEntries([...document.querySelectorAll(".tile")].map((t) => [t.dataset.row, t.dataset.mark])),
    );

  const before = (shows) => document.body.classList.toggle("shows-before", shows);
  const isTyping = (target) => target.matches && target.matches("textarea, input:not([type=range])");
  document.addEventListener("keydown", (event) => {
    if (event.key === "b" && !isTyping(event.target)) before(true);
    if ((event.ctrlKey || event.metaKey) && !isTyping(event.target)) {
      const name = event.key === "z" && !event.shiftKey ? "#undo" : event.key === "y" || event.key === "Z" ? "#redo" : null;
      if (name) {
        event.preventDefault();
        document.querySelector(name)?.click();
      }
    }
  });
  document.addEventListener("keyup", (event) => event.key === "b" && before(false));
  for (const [name, shows] of [["pointerdown", true], ["pointerup", false], ["pointercancel", false]])
    document.addEventListener(name, (event) => {
      if (!shows || event.target.closest?.("#hold")) before(shows);
    });

  document.addEventListener("dblclick", (event) => {
    const range = event.target.closest?.("#sliders input[type=range]");
    if (!range) return;
    range.value = 0;
    range.dispatchEvent(new Event("input", { bubbles: true }));
    range.dispatchEvent(new Event("change", { bubbles: true }));
  });

  // At rest: half a second after a slider or a number last changed.
  let waiting;
  const rest = (event) => {
    if (!event.target.closest?.("#sliders")) return;
    clearTimeout(waiting);
    waiting = setTimeout(() => document.querySelector("#at-rest")?.click(), event.type === "change" ? 60 : 500);
  };
  for (const name of ["input", "change"]) document.addEventListener(name, rest, true);
  document.addEventListener("click", (event) => event.target.closest?.("#sliders .reset-button") && rest(event), true);
})();
