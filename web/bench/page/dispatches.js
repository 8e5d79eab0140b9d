/**
 * Counts what a computation asks of WebGPU: compute dispatches, submissions and readbacks.
 * On a software adapter these say more than times.
 */
export function countGpuWork() {
  const counts = { dispatches: 0, submits: 0, readbacks: 0 };
  const count = (prototype, method, what) => {
    const original = prototype[method];
    prototype[method] = function counted(...parameters) {
      counts[what] += 1;
      return original.apply(this, parameters);
    };
  };
  count(GPUComputePassEncoder.prototype, 'dispatchWorkgroups', 'dispatches');
  count(GPUComputePassEncoder.prototype, 'dispatchWorkgroupsIndirect', 'dispatches');
  count(GPUQueue.prototype, 'submit', 'submits');
  count(GPUBuffer.prototype, 'mapAsync', 'readbacks');
  return {
    /** What one call asked for. */
    async of(call) {
      const before = { ...counts };
      await call();
      return Object.fromEntries(
        Object.entries(counts).map(([what, now]) => [what, now - before[what]]),
      );
    },
  };
}
