/* Marks of faces, before and after, and double clicks that reset a slider. */
(() => {
  const next = { "": "yes", yes: "no", no: "" };
  const set = (tile, mark) => {
    tile.dataset.mark = mark;
    tile.setAttribute("aria-label", `face ${tile.dataset.row}: ${mark || "not marked"}`);
  };
  document.addEventListener("click", (event) => {
    const tile = event.target.closest && event.target.closest(".tile");
    if (tile) set(tile, next[tile.dataset.mark]);
  });
  document.addEventListener("keydown", (event) => {
    const tile = event.target.closest?.(".tile");
    if (!tile || event.ctrlKey || event.metaKey || event.altKey) return;
    const all = [...document.querySelectorAll(".tile")];
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const mark = { y: "yes", n: "no", Delete: "" }[event.key];
    if (step === undefined && mark === undefined) return;
    event.preventDefault();
    if (mark !== undefined) set(tile, mark);
    all[all.indexOf(tile) + (step ?? 1)]?.focus();
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

  // Photographs: from the camera of a phone, and pasted anywhere.
  const photoInput = async () => {
    const part = document.querySelector("#photo-part");
    if (!part.querySelector("#photo")?.offsetParent) part.querySelector("button")?.click();
    const clear = document.querySelector("#photo button[aria-label='Clear']");
    if (clear) clear.click();
    for (let i = 0; i < 40; i++) {
      const input = document.querySelector("#photo input[type=file]");
      if (input) return input;
      await new Promise((done) => setTimeout(done, 50));
    }
  };
  document.addEventListener("click", async (event) => {
    if (!event.target.closest?.("#camera")) return;
    const input = await photoInput();
    if (!input) return;
    input.setAttribute("capture", "user");
    input.click();
    setTimeout(() => input.removeAttribute("capture"), 1000);
  });
  document.addEventListener("paste", async (event) => {
    const file = [...(event.clipboardData?.files || [])].find((one) => one.type.startsWith("image/"));
    if (!file) return;
    event.preventDefault();
    const input = await photoInput();
    if (!input) return;
    const held = new DataTransfer();
    held.items.add(file);
    input.files = held.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });

  // While a slider moves: the last amounts are asked for as soon as the image of the former ones is there.
  let wanted, isDrawing;
  const follow = async () => {
    isDrawing = true;
    while (wanted) {
      const body = wanted;
      wanted = undefined;
      const image = document.querySelector("#view-after img");
      const blob = await fetch("preview", { method: "POST", body })
        .then((answer) => (answer.status === 200 ? answer.blob() : undefined))
        .catch(() => undefined); // the image at rest says what is wrong
      if (!blob || !image) continue;
      const address = URL.createObjectURL(blob);
      // The image at rest is another element: it stays.
      if (image.isConnected) {
        if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
        image.src = address;
        await image.decode().catch(() => undefined);
      } else URL.revokeObjectURL(address);
    }
    isDrawing = false;
  };
  document.addEventListener("input", (event) => {
    const own = event.target.closest?.("#sliders [id^='slider-']")?.id;
    const visit = document.querySelector("#visit");
    if (!own || !visit) return;
    const values = Array.from({ length: Number(visit.dataset.sliders) }, (_, i) => {
      const id = `slider-${i}`;
      const input = id === own ? event.target : document.querySelector(`#${id} input[type=number]`);
      return Number(input?.value) || 0;
    });
    wanted = JSON.stringify({ visit: visit.dataset.visit, values });
    if (!isDrawing) follow();
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
