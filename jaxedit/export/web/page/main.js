// The page: what people do, and what they see. Images come from the worker.

import { backendInWords, rememberNote, wantedBackend } from "./backends.js";
import { fromText, toArguments, toText } from "./edit_text.js";
import { LEAST_PIXELS } from "./faces.js";
import { History, keyOf } from "./history.js";
import { shrink } from "./images.js";
import { keepForOffline } from "./offline.js";
import { askForSquare } from "./photo_dialog.js";
import { cut, pasted } from "./photographs.js";
import { Sliders, valueInWords } from "./sliders.js";

const MOST_RANDOM = 100000;
const FIRST_FACE = 7;

const at = (id) => document.getElementById(id);
const canvas = at("canvas");
const context = canvas.getContext("2d");

let worker = null;
let backendNote = ""; // why the worker does not draw with WebGPU
let sliders = null; // the elements
let about = []; // of each slider, for this face
let history = new History({ seed: FIRST_FACE, amounts: {} });
let amounts = {}; // on the sliders now, held ones too
let asked = 0;
let whole = null; // the last image at rest, with its face and amounts
let original = null; // the unedited image of this face
let isBefore = false;
let manifest = null;
let isKept = false;
const photographs = new Map(); // by what stands for them in place of a seed
const searches = new Map(); // for faces, by number
let numSearches = 0;

start().catch((error) => fail(error.message));

async function start() {
  if (typeof WebAssembly !== "object" || typeof Worker !== "function") {
    fail("This browser has no WebAssembly, which this page draws with: please use a newer one.");
    return;
  }
  if (await keepForOffline()) return; // the page loads once more
  const { wanted, note } = wantedBackend(location.href);
  startWorker(wanted, note);
  wish(false);
}

function startWorker(wanted, note) {
  worker?.terminate();
  const own = (worker = new Worker("worker.js", { type: "module" }));
  backendNote = note;
  own.addEventListener("message", ({ data }) => own === worker && answer[data.kind](data));
  own.addEventListener("error", (event) => fail(`The page could not start: ${event.message ?? "its worker could not be loaded"}.`));
  own.postMessage({ kind: "load", base: new URL("./", location.href).href, wanted });
}

const answer = {
  progress({ loaded, total }) {
    at("loading-bar").value = loaded / total;
    const [done, all] = [loaded, total].map((bytes) => (bytes / 1e6).toFixed(0));
    at("loading-text").textContent = loaded < total ? `Loading ${done} of ${all} MB …` : "Starting …";
  },
  ready({ manifest: own, ...drawn }) {
    at("speed").textContent = backendInWords(drawn, backendNote);
    if (manifest) return; // another worker
    manifest = own;
    at("open-photo").hidden = !manifest.models.encoder;
    at("where").hidden = !manifest.models.person;
    if (!manifest.models.person) at("in-places").checked = false;
    const { width, height } = manifest.image;
    Object.assign(canvas, { width, height });
    at("license").textContent = manifest.license ?? "";
  },
  // WebGPU does not work: another worker draws without it, and takes over what this one knew.
  failed({ text }) {
    const note = `WebGPU ${manifest ? "stopped" : "is not used"}: ${text.replace(/\.+$/, "")}.`;
    if (!manifest) rememberNote(note);
    startWorker("wasm", note);
    for (const seed of photographs.keys()) sendPhotograph(seed);
    for (const [id, { bitmap }] of searches) worker.postMessage({ kind: "search", id, bitmap });
    wish(false, isBefore ? {} : amounts);
  },
  face({ seed, sliders: described }) {
    if (seed !== history.state.seed) return;
    about = described;
    sliders ??= new Sliders(at("sliders"), about, moved);
    sliders.settle(about);
    const limited = Object.fromEntries(
      about.filter(({ name }) => amounts[name]).map(({ name, least, most }) => [name, Math.min(Math.max(amounts[name], least), most)]),
    );
    if (keyOf(limited) !== keyOf(amounts)) {
      amounts = limited; // of another face, whose sliders reach further
      history.replace({ seed, amounts });
      wish(false);
    }
    showAmounts();
  },
  image({ seed, key, isInPlaces, pixels, width, height, isWhole, milliseconds, deviations }) {
    const isUnedited = key === keyOf({});
    const isAsked = isUnedited || isInPlaces === at("in-places").checked;
    if (seed !== history.state.seed || !isAsked) return;
    const image = new ImageData(pixels, width, height);
    if (isWhole) {
      whole = { seed, key, image, deviations };
      if (isUnedited) original = { seed, image };
      loadForLater();
    }
    at("loading").hidden = true;
    canvas.dataset.milliseconds = Math.round(milliseconds);
    canvas.dataset.kind = isWhole ? "whole" : "small";
    canvas.dataset.shown = `${seed} ${key}`;
    canvas.dataset.where = isInPlaces ? "places" : "everywhere";
    if (!isBefore || isUnedited) paint(image);
    if (isWhole) rested();
  },
  searching({ id, text }) {
    searches.get(id)?.report(text);
  },
  faces({ id, faces, problem }) {
    const search = searches.get(id);
    searches.delete(id);
    if (problem) search?.reject(new Error(problem));
    else search?.resolve(faces);
  },
  problem({ text }) {
    fail(text);
  },
};

function paint(image) {
  if (image.width === canvas.width && image.height === canvas.height) {
    context.putImageData(image, 0, 0);
    return;
  }
  const small = new OffscreenCanvas(image.width, image.height);
  small.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}

// Ask for the image of what the sliders say.
function wish(isHeld, wanted = amounts) {
  const { seed } = history.state;
  asked = performance.timeOrigin + performance.now();
  worker.postMessage({ kind: "draw", seed, key: keyOf(wanted), amounts: wanted, isHeld, asked, isInPlaces: at("in-places").checked });
}

function moved(name, amount, isHeld) {
  amounts = { ...amounts, [name]: amount };
  if (amount === 0) delete amounts[name];
  if (isHeld) say("");
  else history.push({ seed: history.state.seed, amounts });
  showAmounts();
  wish(isHeld);
}

function goTo(state) {
  const isOther = state.seed !== whole?.seed;
  amounts = state.amounts;
  at("seed").value = photographs.has(state.seed) ? "" : state.seed;
  if (isOther) original = null;
  showAmounts();
  if (!isOther && whole.key === keyOf(amounts)) {
    paint(whole.image);
    rested();
  } else {
    say(isOther ? `Drawing ${nameOf(state.seed)} …` : "");
  }
  wish(false);
}

function showAmounts() {
  sliders?.show(amounts);
  const text = toText(amounts, about);
  if (document.activeElement !== at("edit-text")) at("edit-text").value = text;
  at("undo").disabled = !history.canUndo;
  at("redo").disabled = !history.canRedo;
  at("reset-all").disabled = !text;
}

function rested() {
  const { seed } = history.state;
  const isShown = whole?.seed === seed && whole.key === keyOf(amounts);
  at("download").disabled = !isShown;
  at("download-photo").hidden = at("other-face").hidden = !photographs.has(seed);
  if (!isShown || isBefore) return;
  const edited = about.filter(({ name }) => amounts[name]);
  const words = edited.map((slider) => `${slider.title} ${valueInWords(slider, amounts[slider.name])}`).join(", ");
  canvas.setAttribute("aria-label", `${nameOf(seed)}${words ? `, edited: ${words}` : ", unedited"}`);
  say(words ? `${nameOf(seed)}: ${words}` : `${nameOf(seed)}, unedited`);
  const photograph = photographs.get(seed);
  const source = photograph ? `--photo "${photograph.name}" --preset instant` : `--seed ${seed}`;
  const where = at("in-places").checked ? "" : " --where everywhere";
  at("command").value = `jaxedit edit ${source}${where} ${toArguments(whole.deviations)}`;
  at("download-photo").disabled = !words;
}

function nameOf(seed) {
  return photographs.get(seed)?.name ?? `Face ${seed}`;
}

function say(text) {
  if (at("said").textContent !== text) at("said").textContent = text;
}

function fail(text) {
  at("problem").textContent = text;
  at("problem").hidden = false;
  at("page").hidden = true;
}

function showBefore(isShown) {
  if (isShown === isBefore) return;
  isBefore = isShown;
  at("badge").hidden = !isShown;
  at("before").setAttribute("aria-pressed", isShown);
  if (isShown) {
    if (original?.seed === history.state.seed) paint(original.image);
    else wish(false, {});
    say(`${nameOf(history.state.seed)} before the edits`);
  } else if (whole?.seed === history.state.seed && whole.key === keyOf(amounts)) {
    paint(whole.image);
    rested();
  } else wish(false);
}

// Some models are loaded when they are needed; once the first face is there, they are kept for offline use.
function loadForLater() {
  const isWanted = !isKept && navigator.serviceWorker?.controller;
  for (const model of Object.values(manifest.models)) {
    if (isWanted && model.is_later) fetch(model.file).catch(() => {});
  }
  isKept = true;
}

async function openPhotograph(file) {
  let bitmap = null;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    say(`${file.name}: expected a photograph, found a file that this browser cannot read as an image`);
    return;
  }
  if (Math.min(bitmap.width, bitmap.height) < LEAST_PIXELS) {
    say(`${file.name}: expected ${LEAST_PIXELS} pixels a side or more, got ${bitmap.width} × ${bitmap.height}`);
    return;
  }
  await useFace({ name: file.name, bitmap, type: file.type });
}

// Lets people choose the face of a photograph, again if it is shown already, and shows it.
async function useFace(photograph, known = null) {
  const { bitmap } = photograph;
  const answer = await askForSquare(bitmap, (report) => searchFaces(bitmap, report), known);
  if (!answer || answer.square === known?.square) return;
  const seed = `photograph ${photographs.size + 1}`;
  photographs.set(seed, { ...photograph, ...answer });
  sendPhotograph(seed);
  history.push({ seed, amounts: {} });
  goTo(history.state);
}

// What the worker draws a photograph with: its crop, and what the encoder sees.
function sendPhotograph(seed) {
  const { bitmap, square } = photographs.get(seed);
  const { side } = manifest.models.encoder;
  const crop = cut(bitmap, square, manifest.image.height);
  const seen = shrink(cut(bitmap, square, 4 * side), 4 * side, 4);
  worker.postMessage({ kind: "photograph", seed, crop, seen }, [crop.buffer, seen.buffer]);
}

function searchFaces(bitmap, report) {
  const id = ++numSearches;
  const result = new Promise((resolve, reject) => searches.set(id, { bitmap, report, resolve, reject }));
  worker.postMessage({ kind: "search", id, bitmap });
  const stop = () => {
    if (searches.delete(id)) worker.postMessage({ kind: "stop", id });
  };
  return { result, stop };
}

function fileNameOf(seed) {
  return photographs.has(seed) ? nameOf(seed).replace(/\.[^.]*$/, "") : `face_${seed}`;
}

async function save(canvas, name, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await canvas.convertToBlob({ type, quality: 0.95 }));
  link.download = `${name}.${type === "image/jpeg" ? "jpg" : "png"}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function isTyping(target) {
  return target.matches?.("input[type=text], input[type=number]");
}

function undo() {
  goTo(history.undo());
}

function redo() {
  goTo(history.redo());
}

function showFace(seed) {
  history.push({ seed, amounts });
  goTo(history.state);
}

at("undo").addEventListener("click", undo);
at("redo").addEventListener("click", redo);
at("reset-all").addEventListener("click", () => {
  history.push({ seed: history.state.seed, amounts: {} });
  goTo(history.state);
});
at("face-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (at("seed").reportValidity()) showFace(Number(at("seed").value));
});
at("in-places").addEventListener("change", () => {
  if (keyOf(amounts) === keyOf({})) return;
  whole = null; // drawn in the other way
  say("");
  wish(false);
});
at("random").addEventListener("click", () => showFace(Math.floor(Math.random() * MOST_RANDOM)));
at("download").addEventListener("click", () => {
  const { seed, image, key } = whole;
  const own = new OffscreenCanvas(image.width, image.height);
  own.getContext("2d").putImageData(image, 0, 0);
  save(own, `${fileNameOf(seed)}${key === keyOf({}) ? "" : "_edited"}`, "image/png");
});
at("download-photo").addEventListener("click", () => {
  const { seed, image } = whole;
  const { bitmap, square, type } = photographs.get(seed);
  if (original?.seed !== seed) return;
  const canvas = pasted(bitmap, square, original.image.data, image.data, image.width);
  save(canvas, `${fileNameOf(seed)}_photograph_edited`, type === "image/jpeg" ? type : "image/png");
});
at("open-photo").addEventListener("click", () => at("photo-file").click());
at("other-face").addEventListener("click", () => {
  const photograph = photographs.get(history.state.seed);
  if (photograph) useFace(photograph, photograph).catch((error) => say(error.message));
});
at("photo-file").addEventListener("change", () => {
  const [file] = at("photo-file").files;
  at("photo-file").value = "";
  if (file) openPhotograph(file).catch((error) => say(error.message));
});
at("text-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const problem = at("text-problem");
  try {
    amounts = fromText(at("edit-text").value, about);
    problem.hidden = true;
    history.push({ seed: history.state.seed, amounts });
    at("edit-text").blur();
    goTo(history.state);
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
  }
});
for (const [name, isShown] of [["pointerdown", true], ["pointerup", false], ["pointerleave", false], ["pointercancel", false]]) {
  at("before").addEventListener(name, () => showBefore(isShown));
}
at("before").addEventListener("contextmenu", (event) => event.preventDefault());
addEventListener("keydown", (event) => {
  const key = event.key.toLowerCase();
  const isOnBefore = event.target === at("before") && (key === " " || key === "enter");
  if ((event.ctrlKey || event.metaKey) && (key === "z" || key === "y") && !event.target.matches?.("input[type=text]")) {
    event.preventDefault();
    if (key === "y" || event.shiftKey) redo();
    else undo();
  } else if ((key === "b" && !event.ctrlKey && !event.metaKey && !isTyping(event.target)) || isOnBefore) {
    if (isOnBefore) event.preventDefault();
    showBefore(true);
  }
});
addEventListener("keyup", (event) => {
  if (["b", " ", "enter"].includes(event.key.toLowerCase())) showBefore(false);
});
addEventListener("blur", () => showBefore(false));
