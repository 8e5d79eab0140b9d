/**
 * Counts the WebGPU work of a computation: compute dispatches, queue submissions and readbacks.
 * On a software adapter these are more meaningful than times.
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
    /** Work of one call. */
    async of(call) {
      const before = { ...counts };
      await call();
      return Object.fromEntries(
        Object.entries(counts).map(([what, now]) => [what, now - before[what]]),
      );
    },
  };
}
