/** Delay in a hidden page, in milliseconds. */
export const HIDDEN_PAINT_MS = 250;

/**
 * Calls back after the browser has painted the page as it is now. The first animation frame
 * runs before that paint, the second after it. A hidden tab gets no frames; there, and only
 * while it is hidden, a timer is used.
 */
export function afterPaint(done: () => void): void {
  let called = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const once = (): void => {
    if (called) return;
    called = true;
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', watch);
    done();
  };
  const watch = (): void => {
    clearTimeout(timer);
    if (document.visibilityState === 'hidden') timer = setTimeout(once, HIDDEN_PAINT_MS);
  };
  document.addEventListener('visibilitychange', watch);
  watch();
  requestAnimationFrame(() => requestAnimationFrame(once));
}
