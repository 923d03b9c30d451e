// Draws faces: the models in ONNX Runtime, stage by stage.

import { Axes } from "./axes.js";
import { Problem, loadFile, loadManifest, parseJson } from "./files.js";
import { shrink } from "./images.js";
import { composed } from "./photographs.js";
import { latentOfSeed } from "./seeds.js";
import { SmallImages, toPixels } from "./small_images.js";
import * as ort from "./runtime/ort.wasm.min.mjs";

const MOST_THREADS = 8;
const PATIENCE = 250; // milliseconds for which a better small image is waited for
const MEMORY = 0.7; // of the running means of times

export class Engine {
  // `report` gets bytes loaded and bytes in all.
  static async load(base, report) {
    const engine = new Engine();
    const manifest = (engine.manifest = await loadManifest(base));
    const names = ["axes.json", "axes.bin", "runtime/ort-wasm-simd-threaded.wasm"];
    const models = Object.entries(manifest.models).filter(([name]) => name !== "encoder"); // that waits for a photograph
    names.push(...models.map(([, model]) => model.file));
    const total = names.reduce((sum, name) => sum + (manifest.files[name]?.bytes ?? 0), 0);
    let loaded = 0;
    const files = {};
    for (const name of names) {
      files[name] = await loadFile(manifest, name, base, (count) => report((loaded += count), total));
    }
    engine.axes = new Axes(parseJson(files["axes.json"], "axes.json"), files["axes.bin"], manifest.num_ws);
    engine.threads = globalThis.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, MOST_THREADS) : 1;
    ort.env.wasm.numThreads = engine.threads;
    ort.env.wasm.wasmPaths = new URL("runtime/", base).href;
    ort.env.wasm.wasmBinary = files["runtime/ort-wasm-simd-threaded.wasm"];
    ort.env.logLevel = "error";
    const stages = [];
    for (const [name, model] of models) {
      const stage = await Stage.create(model, files[model.file]);
      delete files[model.file];
      if (name === "mapping") engine.mapping = stage;
      else stages.push(stage);
    }
    Object.assign(engine, { stages, base, small: null });
    return engine;
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
    const { image, models: { encoder } } = this.manifest;
    if (!encoder) throw new Problem("This page was exported without an encoder: it takes no photographs.");
    this.encoder ??= await Stage.create(encoder, await loadFile(this.manifest, encoder.file, this.base));
    const images = new ort.Tensor("float32", seen, [1, 3, encoder.side, encoder.side]);
    const { w_plus } = await this.encoder.run({ images });
    const face = this.axes.face(Float32Array.from(w_plus.data));
    face.photograph = { crop, small: null, drawn: null, drawnSmall: null, side: image.height };
    this.small?.forget();
    return face;
  }

  // Draws an edit by amounts in standard deviations. `show` gets each image that is worth showing: a small one first, the whole one at the end. Between
  // two stages `isOld` is asked; if it says yes, nothing more is drawn, and the result is false.
  async draw(face, deviations, isOld, show) {
    const { num_ws, w_dim, image } = this.manifest;
    const isEdited = Object.keys(deviations).length > 0;
    const { photograph } = face;
    if (photograph && isEdited && !photograph.drawn) await this.draw(face, {}, () => false, () => {});
    const layers = this.axes.edit(face, deviations);
    const latents = new ort.Tensor("float32", layers, [1, num_ws, w_dim]);
    const smalls = new Map();
    const first = this.firstShown();
    let features = null;
    for (const [number, stage] of this.stages.entries()) {
      const out = await stage.run(features ? { latents, features } : { latents });
      features = out.next_features ?? null;
      if (out.small) {
        const side = out.small.dims[2];
        this.small ??= new SmallImages(side);
        smalls.set(number, this.small.softened(out.small.data, side / features.dims[2]));
      }
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
      } else if (number >= first && (await isOld())) return false;
    }
    return true;
  }

  // The last stage with a small image that this device reaches in time, or the first one.
  firstShown() {
    let [chosen, time] = [0, 0];
    for (const [number, stage] of this.stages.entries()) {
      time += stage.milliseconds;
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

class Stage {
  static async create(model, content) {
    const stage = new Stage();
    stage.file = model.file;
    try {
      stage.session = await ort.InferenceSession.create(new Uint8Array(content), { executionProviders: ["wasm"] });
    } catch (error) {
      throw new Problem(`${model.file}: the runtime cannot read this model (${firstLine(error)}). Export the page again.`);
    }
    const { inputNames, outputNames } = stage.session;
    if ([...inputNames].sort().join() !== [...model.inputs].sort().join() || !model.outputs.every((name) => outputNames.includes(name))) {
      throw new Problem(`${model.file}: expected ${model.inputs} → ${model.outputs}, found ${inputNames} → ${outputNames}. Export the page again.`);
    }
    stage.hasSmall = model.outputs.includes("small");
    stage.milliseconds = 0;
    return stage;
  }

  async run(inputs) {
    const start = performance.now();
    let outputs = null;
    try {
      outputs = await this.session.run(inputs);
    } catch (error) {
      throw new Problem(`${this.file}: the runtime could not run this model (${firstLine(error)}).`);
    }
    const time = performance.now() - start;
    this.milliseconds = this.milliseconds ? MEMORY * this.milliseconds + (1 - MEMORY) * time : time;
    return outputs;
  }
}

function firstLine(error) {
  return String(error?.message ?? error).split("\n")[0].slice(0, 200);
}
