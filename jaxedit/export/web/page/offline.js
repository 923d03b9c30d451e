// Keeps the page for use without a network, and asks for isolation, which threads need.

const PATIENCE = 10000; // milliseconds
const TRIED = "jaxedit-reloaded";

// Starts the service worker, and waits until it is in charge. It adds the headers of isolation where a server does not
// send them; then the page must load once more, and the result is true.
export async function keepForOffline() {
  if (!("serviceWorker" in navigator) || !isSecureContext) return false;
  if (navigator.serviceWorker.controller) {
    // Another export has taken the place of this one: its page must not go on with the files of the other.
    navigator.serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
  }
  try {
    const registration = await navigator.serviceWorker.register("service_worker.js");
    registration.update().catch(() => {}); // there may be no network
    if (!registration.active) await inCharge(); // a forced reload goes past one that is active
  } catch {
    return false; // private windows may forbid it
  }
  return !self.crossOriginIsolated && navigator.serviceWorker.controller !== null && loadOnceMore();
}

// Once for each visit: a browser that does not isolate even then shall not load for ever.
function loadOnceMore() {
  try {
    if (sessionStorage.getItem(TRIED)) return false;
    sessionStorage.setItem(TRIED, "yes");
  } catch {
    return false; // forbidden, too
  }
  location.reload();
  return true;
}

function inCharge() {
  if (navigator.serviceWorker.controller) return Promise.resolve();
  return new Promise((resolve) => {
    navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true });
    setTimeout(resolve, PATIENCE);
  });
}
