/** How long a page that is not shown is waited for, in milliseconds. */
export const HIDDEN_PAINT_MS = 250;

/**
 * Calls back once the browser has painted what the page shows now: the first animation
 * frame runs before that paint, the second after it, however long they take. A hidden tab
 * gets no frames, so there, and only as long as it is hidden, a timer stands in.
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
