/**
 * Registers the service worker that keeps the page and the model's files for visits without a
 * network. It takes over at the next visit, so that the first one is not slowed down. It stores
 * nothing about the visitor.
 */
export async function registerServiceWorker(): Promise<void> {
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return;
  await navigator.serviceWorker
    .register('./service-worker.js', { scope: './' })
    .catch(() => undefined);
}
