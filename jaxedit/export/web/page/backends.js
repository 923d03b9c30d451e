// What draws: WebGPU or WebAssembly. People may choose in the address, ?backend=wasm or ?backend=webgpu.

const CHOICES = ["wasm", "webgpu"];
const FOUND = "jaxedit-webgpu";

// What to draw with, or null for the better one, and a note if that was found before in this tab.
export function wantedBackend(address) {
  const wanted = new URL(address).searchParams.get("backend");
  if (wanted !== null && !CHOICES.includes(wanted)) {
    throw new Error(`backend in the address: expected ${CHOICES.join(" or ")}, found ${wanted}. Leave it out for the faster one.`);
  }
  const note = wanted === null ? remembered() : "";
  return { wanted: note ? "wasm" : wanted, note };
}

// WebGPU shall not be tried again at each reload.
export function rememberNote(note) {
  try {
    sessionStorage.setItem(FOUND, note);
  } catch {
    // forbidden: it is tried again
  }
}

function remembered() {
  try {
    return sessionStorage.getItem(FOUND) ?? "";
  } catch {
    return "";
  }
}

export function backendInWords({ backend, adapter, threads }, note) {
  if (backend === "webgpu") return `Draws with WebGPU${adapter ? ` (${adapter})` : ""}.`;
  const drawn =
    threads > 1 ? `Draws with ${threads} threads.` : self.crossOriginIsolated
      ? "Draws with one thread: this device offers no more."
      : "Draws with one thread, so it is slower: this server does not send the headers that threads need, or the browser has none.";
  return note ? `${drawn} ${note}` : drawn;
}
