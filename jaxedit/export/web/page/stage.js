// A model in the runtime, for instance a stage of synthesis.

import { Problem } from "./files.js";
import { WebGPUFailed, inTurn, ort } from "./runtime.js";

const MEMORY = 0.7; // of the running means of times
const STAYING = ["next_features", "mixed"]; // results that stay on the graphics processor, if they are made there

export class Stage {
  // `backend` is "wasm" or "webgpu".
  static async create(model, content, backend = "wasm") {
    const stage = new Stage();
    Object.assign(stage, { file: model.file, backend });
    const options = { executionProviders: [backend], logSeverityLevel: 3 };
    const staying = backend === "webgpu" ? model.outputs.filter((name) => STAYING.includes(name)) : [];
    if (staying.length) options.preferredOutputLocation = Object.fromEntries(staying.map((name) => [name, "gpu-buffer"]));
    try {
      stage.session = await inTurn(() => ort.InferenceSession.create(new Uint8Array(content), options));
    } catch (error) {
      if (backend === "webgpu") throw new WebGPUFailed(firstLine(error));
      throw new Problem(`${model.file}: the runtime cannot read this model (${firstLine(error)}). Export the page again.`);
    }
    const { inputNames, outputNames } = stage.session;
    if ([...inputNames].sort().join() !== [...model.inputs].sort().join() || !model.outputs.every((name) => outputNames.includes(name))) {
      throw new Problem(`${model.file}: expected ${model.inputs} → ${model.outputs}, found ${inputNames} → ${outputNames}. Export the page again.`);
    }
    stage.side = model.side; // of what it draws
    stage.hasSmall = model.outputs.includes("small");
    stage.milliseconds = 0;
    return stage;
  }

  async run(inputs) {
    const start = performance.now();
    let outputs = null;
    try {
      outputs = await inTurn(() => this.session.run(inputs));
    } catch (error) {
      if (this.backend === "webgpu") throw new WebGPUFailed(firstLine(error));
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
