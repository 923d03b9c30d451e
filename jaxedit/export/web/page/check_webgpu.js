// Whether WebGPU draws what WebAssembly draws, and sooner.

import { WebGPUFailed, inTurn, release } from "./runtime.js";
import { Stage } from "./stage.js";

const RUNS = 2; // of each; the first one compiles, and the better one counts
const PATIENCE = 30000; // milliseconds
const FARTHEST = 2 / 127.5; // of colors in −1…1: two levels of 255

// The result of some work with WebGPU, which must come in time: a driver may keep it waiting for ever.
export function inTime(work) {
  return new Promise((resolve, reject) => {
    const late = () => reject(new WebGPUFailed(`it was not ready within ${PATIENCE / 1000} s`));
    setTimeout(late, PATIENCE);
    work().then(resolve, reject);
  });
}

// Draws an image on both, through all stages: WebGPU may be right for small images and wrong for large ones. `models` are
// descriptions and contents of the stages of synthesis.
export async function checkWebGPU(stages, models, latents) {
  const others = [];
  for (const [model, content] of models) others.push(await Stage.create(model, content));
  const [own, other] = [await better(stages, latents), await better(others, latents)];
  for (const stage of others) await inTurn(() => stage.session.release());
  const far = own.image.reduce((most, value, i) => Math.max(most, Math.abs(value - other.image[i])), 0);
  // A color that is no number is not near, either.
  if (!(far <= FARTHEST)) throw new WebGPUFailed(`its images differ by ${(127.5 * far).toFixed(1)} of 255`);
  if (own.milliseconds > other.milliseconds) {
    throw new WebGPUFailed(`it is slower here, ${own.milliseconds.toFixed(0)} instead of ${other.milliseconds.toFixed(0)} ms`);
  }
}

async function better(stages, latents) {
  let [image, milliseconds] = [null, Infinity];
  for (let count = 0; count < RUNS; count++) {
    const start = performance.now();
    let features = null;
    for (const stage of stages) {
      const out = await stage.run(features ? { latents, features } : { latents });
      release(features);
      features = out.next_features;
      image = out.image?.data;
    }
    release(features);
    milliseconds = Math.min(milliseconds, performance.now() - start);
  }
  for (const stage of stages) stage.milliseconds = 0; // the first runs say nothing about the later ones
  return { image, milliseconds };
}
