/**
 * The model of the benchmark in the format of a manifest: a SASRec of the demo's size.
 */
export const shape = Object.freeze({
  kind: 'sasrec',
  dims: 64,
  blocks: 2,
  heads: 2,
  max_length: 50,
});

/** Epsilon of all layer normalisations. */
export const EPSILON = 1e-5;

/** Added to masked attention scores; finite, as in the model itself. */
export const MASKED = -1e9;

/**
 * Names and shapes of all weights of the body. Weights of linear layers are `[in, out]`.
 *
 * @returns {{ name: string, size: number[] }[]}
 */
export function tensors({ dims, blocks, max_length } = shape) {
  const norm = (name) => [
    { name: `${name}.gamma`, size: [dims] },
    { name: `${name}.beta`, size: [dims] },
  ];
  const linear = (name) => [
    { name: `${name}.weight`, size: [dims, dims] },
    { name: `${name}.bias`, size: [dims] },
  ];
  const block = (name) => [
    ...norm(`${name}.attention_norm`),
    ...['query', 'key', 'value', 'output'].flatMap((part) => linear(`${name}.attention.${part}`)),
    ...norm(`${name}.feed_forward_norm`),
    ...linear(`${name}.feed_forward_in`),
    ...linear(`${name}.feed_forward_out`),
  ];
  return [
    { name: 'Sasrec.positions', size: [max_length, dims] },
    ...Array.from({ length: blocks }, (_, at) => block(`Sasrec.blocks.${at}`)).flat(),
    ...norm('Sasrec.output_norm'),
  ];
}
