/** Whether this browser has module workers and WebAssembly with SIMD. */
export function isSupported(): boolean {
  return (
    typeof Worker === 'function' &&
    typeof WebAssembly === 'object' &&
    WebAssembly.validate(simdProbe)
  );
}

/** A module with a function that returns a `v128`: valid only with SIMD. */
const simdProbe = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15,
  253, 98, 11,
]);
