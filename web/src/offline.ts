/** Pause before the registration, in milliseconds: the first lists and fonts come first. */
const AFTER_MS = 4_000;

/**
 * Registers the service worker that keeps the page and the model's files for visits without a
 * network. It takes over at the next visit, and is installed some seconds after the shop is complete,
 * so that the first one is not slowed down. It stores nothing about the visitor.
 */
export async function registerServiceWorker(): Promise<void> {
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return;
  await new Promise((resolve) => setTimeout(resolve, AFTER_MS));
  await navigator.serviceWorker
    .register('./service-worker.js', { scope: './' })
    .catch(() => undefined);
}
