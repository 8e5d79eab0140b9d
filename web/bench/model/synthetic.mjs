import { random } from './random.mjs';
import { writeSafetensors } from './safetensors.mjs';
import { shape, tensors } from './shape.mjs';

/**
 * A body with random weights. Speed does not depend on training. The variance is large enough
 * for an error in any weight to change the scores visibly.
 *
 * @param {number} seed
 * @returns {Uint8Array} a weight file
 */
export function syntheticBody(seed) {
  const { normal } = random(seed);
  const deviation = 1 / Math.sqrt(shape.dims);
  const value = (name) => {
    if (name.endsWith('.gamma')) return 1 + 0.1 * normal();
    if (name.endsWith('.weight')) return deviation * normal();
    return 0.1 * normal();
  };
  return writeSafetensors(
    tensors().map(({ name, size }) => {
      const count = size.reduce((product, side) => product * side);
      return { name, size, values: Float32Array.from({ length: count }, () => value(name)) };
    }),
  );
}

/**
 * Random item rows `[items, dims]` with an expected squared norm of 1.
 *
 * @param {number} items
 * @param {number} seed
 */
export function syntheticRows(items, seed) {
  const { normal } = random(seed);
  const deviation = 1 / Math.sqrt(shape.dims);
  return Float32Array.from({ length: items * shape.dims }, () => deviation * normal());
}
