// Keeps the files of one export, and sends them with the headers that threads need.

const NAME = "jaxedit-DIGEST"; // another export has another name
const PAGE = ["./", "manifest.json", "axes.json", "style.css", "main.js", "offline.js", "history.js", "edit_text.js",
  "sliders.js", "worker.js", "engine.js", "files.js", "axes.js", "seeds.js", "small_images.js", "marks.js",
  "photographs.js", "motion.js", "images.js", "photo_dialog.js", "faces.js", "resampling.js",
  "places.js", "cells.js", "in_places.js", "backends.js", "runtime.js", "stage.js", "check_webgpu.js"];

addEventListener("install", (event) => {
  event.waitUntil(
    (async () => {
      const cache = await caches.open(NAME);
      await Promise.all(PAGE.map(async (name) => cache.put(name, isolated(await asked(name)))));
      await skipWaiting();
    })(),
  );
});

addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      const scope = new URL(registration.scope).pathname;
      for (const name of await caches.keys()) {
        // Caches are those of the whole host; only an older one of this page is dropped.
        if (name === NAME || !name.startsWith("jaxedit-")) continue;
        const [first] = await (await caches.open(name)).keys();
        if (!first || new URL(first.url).pathname.startsWith(scope)) await caches.delete(name);
      }
      await clients.claim();
    })(),
  );
});

addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !request.url.startsWith(registration.scope)) return;
  event.respondWith(
    (async () => {
      const key = request.mode === "navigate" ? registration.scope : request.url.split(/[?#]/)[0];
      const cache = await caches.open(NAME);
      const kept = await cache.match(key);
      if (kept) return kept;
      const answer = await fetch(request);
      if (!answer.ok || answer.type !== "basic") return answer;
      const own = isolated(answer);
      event.waitUntil(cache.put(key, own.clone()));
      return own;
    })(),
  );
});

async function asked(name) {
  const answer = await fetch(name, { cache: "no-cache" });
  if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
  return answer;
}

function isolated(answer) {
  const headers = new Headers(answer.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  headers.set("Cross-Origin-Resource-Policy", "same-origin");
  return new Response(answer.body, { status: answer.status, statusText: answer.statusText, headers });
}
