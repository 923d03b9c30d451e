// Draws faces: the models in ONNX Runtime, stage by stage.

import { Axes } from "./axes.js";
import { resizedCells, GRID } from "./cells.js";
import { checkWebGPU, inTime } from "./check_webgpu.js";
import { bothSides, findFaces, inSquare } from "./faces.js";
import { Problem, loadFile, loadManifest, parseJson } from "./files.js";
import { shrink } from "./images.js";
import { laidOver, throughInPlaces } from "./in_places.js";
import { composed } from "./photographs.js";
import { Seen, masksOf } from "./places.js";
import { putPlanes } from "./resampling.js";
import { binaryOf, findAdapter, loadRuntime, ort, release } from "./runtime.js";
import { latentOfSeed } from "./seeds.js";
import { SmallImages, toPixels } from "./small_images.js";
import { Stage } from "./stage.js";

const PATIENCE = 250; // milliseconds for which a better small image is waited for
const CHECKED_FACE = 7;
const MOST_SEEN = 24; // edits of a face whose places are remembered

export class Engine {
  // `report` gets bytes loaded and bytes in all; `wanted` is what to draw with, as for `findAdapter`. `onLost` is told why
  // the graphics processor is gone.
  static async load(base, report, wanted = null, onLost = () => {}) {
    const engine = new Engine();
    const manifest = (engine.manifest = await loadManifest(base));
    const adapter = await findAdapter(wanted);
    const first = adapter ? "webgpu" : "wasm";
    const models = Object.entries(manifest.models).filter(([, model]) => !model.is_later);
    const names = ["axes.json", "axes.bin", ...models.map(([, model]) => model.file)];
    const total = [...names, binaryOf(first)].reduce((sum, name) => sum + (manifest.files[name]?.bytes ?? 0), 0);
    let loaded = 0;
    const count = (bytes) => report((loaded += bytes), total);
    const files = {};
    for (const name of names) files[name] = await loadFile(manifest, name, base, count);
    const { build, threads } = await loadRuntime(manifest, base, { first, isForced: wanted === "webgpu" }, count);
    engine.axes = new Axes(parseJson(files["axes.json"], "axes.json"), files["axes.bin"], manifest.num_ws);
    Object.assign(engine, { base, threads, stages: [], small: null, waiting: {} });
    engine.backend = adapter ? build : "wasm";
    engine.adapter = [adapter?.info?.vendor, adapter?.info?.architecture].filter(Boolean).join(" ");
    const described = Object.fromEntries(models);
    engine.mapping = await Stage.create(described.mapping, files[described.mapping.file]);
    delete described.mapping;
    const synthesis = Object.values(described).map((model) => [model, files[model.file]]);
    const isChosenHere = engine.backend === "webgpu" && wanted === null;
    if (isChosenHere) await inTime(() => engine.prepare(synthesis, { onLost, isChecked: true }));
    else await engine.prepare(synthesis, { onLost });
    return engine;
  }

  // The stages of synthesis, from their descriptions and contents.
  async prepare(synthesis, { onLost, isChecked }) {
    for (const [model, content] of synthesis) this.stages.push(await Stage.create(model, content, this.backend));
    if (this.backend === "wasm") return;
    (await ort.env.webgpu.device).lost.then(onLost);
    if (!isChecked) return;
    const face = await this.face(CHECKED_FACE);
    await checkWebGPU(this.stages, synthesis, this.tensorOf(this.axes.edit(face, {})));
  }

  async face(seed) {
    const { z_dim, truncation_psi } = this.manifest;
    const { w } = await this.mapping.run({
      z: new ort.Tensor("float32", latentOfSeed(seed, z_dim), [1, z_dim]),
      truncation_psi: new ort.Tensor("float32", Float32Array.of(truncation_psi), []),
    });
    this.small?.forget();
    return this.axes.face(Float32Array.from(w.data));
  }

  // The face of a photograph: its crop, and what the encoder sees of it, planar in −1…1.
  async photograph({ crop, seen }) {
    const { image, models } = this.manifest;
    const encoder = await this.later("encoder");
    const { side } = models.encoder;
    const { w_plus } = await encoder.run({ images: new ort.Tensor("float32", seen, [1, 3, side, side]) });
    const face = this.axes.face(Float32Array.from(w_plus.data));
    face.photograph = { crop, small: null, drawn: null, drawnSmall: null, side: image.height };
    this.small?.forget();
    return face;
  }

  // The faces of an image, the largest first; `report` as for `findFaces`.
  async faces(photograph, report) {
    const detector = await this.later("detector");
    await this.later("landmarks");
    const detect = async (planes, side, count) => {
      const { boxes, scores } = await detector.run({ squares: new ort.Tensor("float32", planes, [count, 3, side, side]) });
      return { boxes: boxes.data, scores: scores.data };
    };
    return findFaces(photograph, { detect, landmarks: (planes, count) => this.landmarks(planes, count) }, report);
  }

  async landmarks(planes, count) {
    const { side } = this.manifest.models.landmarks;
    const network = await this.later("landmarks");
    return (await network.run({ crops: new ort.Tensor("float32", planes, [count, 3, side, side]) })).landmarks.data;
  }

  // A model that is loaded when it is needed first.
  later(name, backend = "wasm") {
    const model = this.manifest.models[name];
    if (!model) throw new Problem(`This page was exported without the model ${name}, which photographs need.`);
    this.waiting[name] ??= loadFile(this.manifest, model.file, this.base)
      .then((content) => Stage.create(model, content, backend))
      .catch((error) => {
        delete this.waiting[name]; // the network may be there again the next time
        throw error;
      });
    return this.waiting[name];
  }

  // Draws an edit by amounts in standard deviations, each at its place or all over the image. `show` gets each image that
  // is worth showing: a small one first, the whole one at the end. Between two stages `isOld` is asked; if it says yes,
  // nothing more is drawn, and the result is false. Of a slider that is held, a place stays where it was.
  async draw(face, { deviations, isInPlaces, isHeld }, isOld, show) {
    const { image } = this.manifest;
    const isEdited = Object.keys(deviations).length > 0;
    const { photograph } = face;
    if (photograph && isEdited && !photograph.drawn) await this.draw(face, { deviations: {} }, () => false, () => {});
    const isPlaced = isEdited && isInPlaces && this.manifest.models.person;
    const drawn = isPlaced ? this.axes.stages(face, deviations) : [{ layers: this.axes.edit(face, deviations) }];
    const masks = [];
    let [below, seenBelow] = [0, null];
    for (let i = 1; i < drawn.length; i++) {
      seenBelow ??= await this.seen(face, drawn[below]);
      if (await isOld(true)) return false;
      const seen = await this.seen(face, drawn[i], isHeld);
      masks.push(masksOf(drawn[i].place, seenBelow, seen));
      if (this.axes.about.parts[0].includes(drawn[i].place)) [below, seenBelow] = [i, seen];
    }
    const latents = drawn.map(({ layers }) => this.tensorOf(layers));
    const smalls = new Map();
    const first = this.firstShown(drawn.length);
    let features = latents.map(() => null);
    for (const [number, stage] of this.stages.entries()) {
      const run = (which, before) => stage.run(before ? { latents: latents[which], features: before } : { latents: latents[which] });
      const out = await throughInPlaces(stage.side, features, masks, { run, mixed: (...given) => this.mixed(...given) });
      features = replaced(features, out.after);
      if (out.small) smalls.set(number, this.softened(out.small, stage.side));
      if (out.small && number >= first) {
        const { side } = this.small;
        const small = this.small.corrected(number, smalls.get(number));
        const shown = photograph ? inPhotograph(photograph, small, side, isEdited) : small;
        show({ pixels: toPixels(shown, side * side), width: side, height: side, isWhole: false });
      }
      if (out.image) {
        if (photograph && !isEdited) photograph.drawn = out.image.data;
        const shown = photograph ? inPhotograph(photograph, out.image.data, image.height, isEdited) : out.image.data;
        show({ pixels: toPixels(shown, image.width * image.height), ...image, isWhole: true });
        if (smalls.size) this.small.settle(out.image.data, image.height, smalls);
      } else if (number >= first && (await isOld())) {
        replaced(features, []);
        return false;
      }
    }
    return true;
  }

  // One tensor [1, channels, side, side] laid over another where the weights [side, side] say so, wherever both are.
  async mixed(below, above, weights) {
    if (above.location !== "gpu-buffer") return laidOver(below, above, weights);
    const mixing = await this.later("mixing", "webgpu");
    const [, , height, width] = above.dims;
    const out = await mixing.run({ below, above, weights: new ort.Tensor("float32", weights, [1, 1, height, width]) });
    release(above);
    return out.mixed;
  }

  tensorOf(layers) {
    const { num_ws, w_dim } = this.manifest;
    return new ort.Tensor("float32", layers, [1, num_ws, w_dim]);
  }

  softened(small, side) {
    this.small ??= new SmallImages(small.dims[2]);
    return this.small.softened(small.data, small.dims[2] / side);
  }

  // The landmarks and the person in a small image of an edit, which is remembered. Those of the last edit in the same
  // place will do if `isRough`.
  async seen(face, { layers, key, place }, isRough = false) {
    face.seen ??= new Map();
    face.lastSeen ??= new Map(); // by the place
    if (face.seen.has(key)) return face.seen.get(key);
    if (isRough && face.lastSeen.has(place)) return face.lastSeen.get(place);
    const latents = this.tensorOf(layers);
    let [features, image] = [null, null];
    const last = this.stages.findLastIndex((stage) => stage.hasSmall);
    for (const stage of this.stages.slice(0, last + 1)) {
      const out = await stage.run(features ? { latents, features } : { latents });
      release(features);
      features = out.next_features;
      if (out.small) image = this.softened(out.small, stage.side);
    }
    release(features);
    const { side } = this.small;
    const view = { pixels: toPixels(image, side * side), width: side, height: side };
    const landmarks = inSquare(await bothSides(view, (planes, count) => this.landmarks(planes, count)));
    const images = new Float32Array(3 * side * side);
    putPlanes(images, 0, view);
    const person = await this.later("person");
    const { mask } = await person.run({ images: new ort.Tensor("float32", images, [1, 3, side, side]) });
    const seen = new Seen(landmarks, resizedCells(mask.data, side, GRID));
    if (face.seen.size >= MOST_SEEN) face.seen.delete(face.seen.keys().next().value);
    face.seen.set(key, seen);
    if (key) face.lastSeen.set(place, seen);
    return seen;
  }

  // The last stage with a small image that this device reaches in time, or the first one.
  firstShown(numLatents) {
    let [chosen, time] = [0, 0];
    for (const [number, stage] of this.stages.entries()) {
      time += numLatents * stage.milliseconds;
      if (stage.hasSmall && (time <= PATIENCE || !this.stages[chosen].hasSmall)) chosen = number;
    }
    return chosen;
  }
}

// An image of the generator in the crop of a photograph, at the size of either.
function inPhotograph(photograph, image, side, isEdited) {
  const factor = photograph.side / side;
  if (factor > 1) photograph.small ??= shrink(photograph.crop, photograph.side, factor);
  const crop = factor > 1 ? photograph.small : photograph.crop;
  if (!isEdited) return crop;
  if (factor > 1) photograph.drawnSmall ??= shrink(photograph.drawn, photograph.side, factor);
  return composed(crop, factor > 1 ? photograph.drawnSmall : photograph.drawn, image, side);
}

// Features that take the place of former ones, which are no longer needed.
function replaced(former, features) {
  for (const tensor of former) if (!features.includes(tensor)) release(tensor);
  return features;
}
