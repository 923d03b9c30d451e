// The files of the page, each checked against the manifest before it is used.

export class Problem extends Error {}

// The server does not answer.
export class Unreachable extends Problem {}

export async function loadManifest(base) {
  const manifest = await readJson(new URL("manifest.json", base));
  if (manifest?.format !== "jaxedit-web" || !manifest.files || !manifest.models) {
    throw new Problem("manifest.json: expected that of an exported page, found something else. Export the page again.");
  }
  if (manifest.format_version !== 1) {
    throw new Problem(`manifest.json: expected version 1, found ${manifest.format_version}. Export the page again.`);
  }
  return manifest;
}

// The content of a file as an ArrayBuffer. `report` gets the number of bytes of each piece that has come.
export async function loadFile(manifest, name, base, report = () => {}) {
  const about = manifest.files[name];
  if (!about) throw new Problem(`${name}: expected in manifest.json, found no such entry. Export the page again.`);
  const answer = await ask(new URL(name, base), name);
  const content = new Uint8Array(about.bytes);
  let filled = 0;
  const reader = answer.body.getReader();
  for (;;) {
    const { done, value } = await reader.read().catch(() => {
      throw new Problem(`${name}: the connection broke. Reload the page.`);
    });
    if (done) break;
    if (filled + value.length <= content.length) content.set(value, filled);
    filled += value.length;
    report(value.length);
  }
  if (filled !== about.bytes) await refuse(name, `expected ${about.bytes} bytes, found ${filled}`);
  if (globalThis.crypto?.subtle) {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
    const found = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (found !== about.sha256) await refuse(name, "its SHA-256 is not that of the manifest: it is damaged, or another file");
  }
  return content.buffer;
}

export function parseJson(buffer, name) {
  try {
    return JSON.parse(new TextDecoder().decode(buffer));
  } catch {
    throw new Problem(`${name}: expected JSON, found something else. Export the page again.`);
  }
}

async function readJson(url) {
  const answer = await ask(url, "manifest.json");
  return parseJson(await answer.arrayBuffer(), "manifest.json");
}

async function ask(url, name) {
  let answer = null;
  try {
    answer = await fetch(url);
  } catch {
    throw new Unreachable(`${name}: could not be loaded. Is the server there? Reload the page.`);
  }
  if (!answer.ok) throw new Problem(`${name}: could not be loaded (${answer.status}). Export the page again.`);
  return answer;
}

// What the browser keeps for offline use may be the damaged file: a reload shall ask the server.
async function refuse(name, what) {
  if (globalThis.caches) {
    for (const key of await caches.keys()) if (key.startsWith("jaxedit-")) await caches.delete(key);
  }
  throw new Problem(`${name}: not the file of this page (${what}). Reload the page; if that does not help, export it again.`);
}
