// ONNX Runtime in one of its two builds. The one with WebGPU is twice as large and runs models in WebAssembly, too; it is
// loaded only where there is a graphics processor.

import { Problem, Unreachable, loadFile } from "./files.js";

const BUILDS = {
  wasm: { library: "ort.wasm.min.mjs", binary: "ort-wasm-simd-threaded.wasm" },
  webgpu: { library: "ort.webgpu.min.mjs", binary: "ort-wasm-simd-threaded.asyncify.wasm" },
};
const MOST_THREADS = 8;

export let ort = null; // the library, once it is loaded

// WebGPU does not work here, or no longer. The runtime cannot be used after that: the page starts another worker.
export class WebGPUFailed extends Error {
  isOfWebGPU = true;
}

// The graphics processor to draw with, or null. `wanted` is "webgpu", "wasm", or null for the better one; software that
// only acts as a graphics processor is slower than WebAssembly, and used on demand alone.
export async function findAdapter(wanted) {
  if (wanted === "wasm") return null;
  let adapter = null;
  try {
    adapter = (await navigator.gpu?.requestAdapter()) ?? null;
  } catch {
    // as good as none
  }
  if (wanted === "webgpu") {
    if (adapter) return adapter;
    throw new Problem(
      "backend=webgpu in the address: expected a browser with WebGPU and a graphics processor, found none. Leave it out, or write backend=wasm.",
    );
  }
  return adapter?.info?.isFallbackAdapter || adapter?.isFallbackAdapter ? null : adapter;
}

// Loads a build; where the network is gone and only the other one was kept, that one, unless `isForced`. The result is the
// name of the build and the number of threads.
export async function loadRuntime(manifest, base, { first, isForced }, report) {
  const other = first === "wasm" ? "webgpu" : "wasm";
  let build = first;
  try {
    await loadBuild(manifest, base, first, report);
  } catch (error) {
    if (isForced || !(error instanceof Unreachable)) throw error;
    build = other;
    await loadBuild(manifest, base, other, () => {}).catch(() => {
      throw error;
    });
  }
  const threads = globalThis.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, MOST_THREADS) : 1;
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = "error";
  return { build, threads };
}

export function binaryOf(build) {
  return `runtime/${BUILDS[build].binary}`;
}

async function loadBuild(manifest, base, build, report) {
  const content = await loadFile(manifest, binaryOf(build), base, report);
  ort = await import(`./runtime/${BUILDS[build].library}`);
  ort.env.wasm.wasmPaths = new URL("runtime/", base).href;
  ort.env.wasm.wasmBinary = content;
}

let last = Promise.resolve();

// One call of the runtime after the other: with WebGPU it waits within a call, and a second one would block it for ever.
export function inTurn(call) {
  const own = last.then(call);
  last = own.catch(() => {});
  return own;
}

// Frees a tensor of the graphics processor.
export function release(tensor) {
  if (tensor?.location === "gpu-buffer") tensor.dispose();
}
