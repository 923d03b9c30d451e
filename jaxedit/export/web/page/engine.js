// Draws faces: the models in ONNX Runtime, stage by stage.

import { Axes } from "./axes.js";
import { Problem, loadFile, loadManifest, parseJson } from "./files.js";
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
    names.push(...Object.values(manifest.models).map((model) => model.file));
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
    for (const [name, model] of Object.entries(manifest.models)) {
      const stage = await Stage.create(model, files[model.file]);
      delete files[model.file];
      if (name === "mapping") engine.mapping = stage;
      else stages.push(stage);
    }
    engine.stages = stages;
    engine.small = null;
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

  // Draws an edit by amounts in standard deviations. `show` gets each image that is worth showing: a small one first, the whole one at the end. Between
  // two stages `isOld` is asked; if it says yes, nothing more is drawn, and the result is false.
  async draw(face, deviations, isOld, show) {
    const { num_ws, w_dim, image } = this.manifest;
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
        const pixels = toPixels(this.small.corrected(number, smalls.get(number)), side * side);
        show({ pixels, width: side, height: side, isWhole: false });
      }
      if (out.image) {
        show({ pixels: toPixels(out.image.data, image.width * image.height), ...image, isWhole: true });
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
