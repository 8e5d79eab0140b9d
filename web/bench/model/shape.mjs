/**
 * The model all runtimes compute, as the `config` of a manifest spells it: a SASRec of the
 * size the demo trains.
 */
export const shape = Object.freeze({
  kind: 'sasrec',
  dims: 64,
  blocks: 2,
  heads: 2,
  max_length: 50,
});

/** Added to the variance before its root is taken; the same in every layer normalisation. */
export const EPSILON = 1e-5;

/** Added to an attention score that is masked out: finite, as in the model itself. */
export const MASKED = -1e9;

/**
 * Every weight of the body: its name in the weight file, and its sizes. A linear layer's
 * weight is `[in, out]`.
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
