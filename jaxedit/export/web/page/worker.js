// The thread that draws. It keeps the newest wish alone: a slider moves faster than images are drawn.

const PAUSE = 350; // milliseconds of rest of a slider that is still held, after which the whole image is drawn

let engine = null;
let face = null;
let seed = null;
let wish = null;
let isBusy = false;
const photographs = new Map(); // what the page cut out of each, by its name as a seed
const faces = new Map(); // of photographs
const stopped = new Set(); // searches for faces

addEventListener("message", ({ data }) => {
  if (data.kind === "load") load(data.base, data.wanted);
  else if (data.kind === "photograph") photographs.set(data.seed, data);
  else if (data.kind === "search") search(data);
  else if (data.kind === "stop") stopped.add(data.id);
  else {
    const isSame = wish && wish.seed === data.seed && wish.key === data.key && wish.isInPlaces === data.isInPlaces;
    if (!isSame) wish = data;
    else Object.assign(wish, data, { isDone: wish.isDone && (data.isHeld || !wish.isRough) }); // let go of: what is in work goes on
    if (!isBusy) work();
  }
});

async function load(base, wanted) {
  try {
    const { Engine } = await import("./engine.js");
    const report = (loaded, total) => postMessage({ kind: "progress", loaded, total });
    const onLost = ({ message }) => postMessage({ kind: "failed", text: message || "the graphics processor is gone" });
    engine = await Engine.load(base, report, wanted, onLost);
    const { manifest, threads, backend, adapter, axes } = engine;
    postMessage({ kind: "ready", manifest, threads, backend, adapter, names: axes.names });
    if (wish) work();
  } catch (error) {
    fail(error);
  }
}

async function work() {
  if (!engine || isBusy) return;
  isBusy = true;
  try {
    while (wish && !wish.isDone) await draw(wish);
  } catch (error) {
    fail(error);
  }
  isBusy = false;
}

async function draw(own) {
  if (seed !== own.seed) {
    face = await faceOf(own.seed);
    seed = own.seed;
    postMessage({ kind: "face", seed, sliders: engine.axes.sliders(face) });
  }
  const isOld = async (isUnseen = false) => {
    await messages();
    for (let waited = 0; !isUnseen && own === wish && own.isHeld && waited < PAUSE; waited += 25) await messages(25);
    return own !== wish;
  };
  const deviations = engine.axes.deviations(face, own.amounts);
  own.isRough = own.isHeld && own.isInPlaces;
  const { isInPlaces, isHeld } = own;
  const isWhole = await engine.draw(face, { deviations, isInPlaces, isHeld }, isOld, (image) => {
    const milliseconds = performance.timeOrigin + performance.now() - own.asked;
    postMessage({ kind: "image", seed, key: own.key, isInPlaces: own.isInPlaces, milliseconds, deviations, ...image }, [image.pixels.buffer]);
  });
  if (isWhole) own.isDone = own.isHeld || !own.isRough;
}

async function faceOf(wanted) {
  if (!photographs.has(wanted)) return engine.face(wanted);
  if (!faces.has(wanted)) faces.set(wanted, await engine.photograph(photographs.get(wanted)));
  engine.small?.forget();
  return faces.get(wanted);
}

class Stopped extends Error {}

async function search({ id, bitmap }) {
  const report = async (text) => {
    postMessage({ kind: "searching", id, text });
    await messages();
    if (stopped.has(id)) throw new Stopped();
  };
  try {
    postMessage({ kind: "faces", id, faces: await engine.faces(bitmap, report) });
  } catch (error) {
    if (!(error instanceof Stopped)) postMessage({ kind: "faces", id, problem: String(error?.message ?? error) });
  }
  bitmap.close();
}

// Let messages in that have come meanwhile.
function messages(milliseconds = 0) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function fail(error) {
  const kind = error?.isOfWebGPU ? "failed" : "problem";
  postMessage({ kind, text: String(error?.message ?? error) });
}
