/** Resolves when `pending` does, or after `ms` milliseconds. */
export function within(ms: number, pending: Promise<void>): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, ms);
    void pending.finally(() => {
      clearTimeout(timer);
      done();
    });
  });
}
