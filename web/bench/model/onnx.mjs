import { FLOAT, Graph, INT64 } from './onnx-graph.mjs';
import { readSafetensors } from './safetensors.mjs';
import { EPSILON, MASKED, shape } from './shape.mjs';

/**
 * The model as an ONNX file: inputs `history` `[length, dims]` and `candidates` `[count, dims]`,
 * output `scores` `[count]`. Length (up to `max_length`) and count are dynamic; no padding.
 *
 * @param {Uint8Array} body a weight file
 * @returns {Uint8Array}
 */
export function onnxModel(body) {
  const graph = new Graph();
  for (const [name, { size, values }] of readSafetensors(body)) graph.floats(name, size, values);
  const last = history(graph);
  const column = graph.node('Gemm', ['candidates', last], { transB: 1 }); // [count, 1]
  graph.node('Reshape', [column, graph.ints('flat', [-1])], {}, ['scores']);
  return graph.file(
    { history: ['length', shape.dims], candidates: ['count', shape.dims] },
    { scores: { type: FLOAT, size: ['count'] } },
  );
}

/**
 * Exact search as an ONNX file: input `query` `[1, dims]`, outputs `scores` and `positions`
 * `[k]`, best first. The rows are a constant right operand `[dims, items]`, which
 * onnxruntime packs when it loads the model: three times as fast as rows on the left.
 *
 * @param {Float32Array} rows `[items, dims]`
 * @param {number} k
 * @returns {Uint8Array}
 */
export function searchModel(rows, k) {
  const { dims } = shape;
  const graph = new Graph();
  const table = graph.floats('table', [dims, rows.length / dims], transposed(rows, dims));
  const products = graph.node('MatMul', ['query', table]); // [1, items]
  const scores = graph.node('Reshape', [products, graph.ints('flat', [-1])]);
  graph.node('TopK', [scores, graph.ints('k', [k])], { axis: 0 }, ['scores', 'positions']);
  return graph.file(
    { query: [1, dims] },
    { scores: { type: FLOAT, size: [k] }, positions: { type: INT64, size: [k] } },
  );
}

/** `[items, dims]` to `[dims, items]`. */
function transposed(rows, dims) {
  const items = rows.length / dims;
  const columns = new Float32Array(rows.length);
  for (let item = 0; item < items; item += 1) {
    for (let dim = 0; dim < dims; dim += 1) columns[dim * items + item] = rows[item * dims + dim];
  }
  return columns;
}

/** Hidden state of the newest item, `[1, dims]`. */
function history(graph) {
  const { dims, blocks, max_length } = shape;
  const [zero, rows] = [graph.ints('zero', [0]), graph.ints('rows', [0])];
  const length = graph.node('Shape', ['history'], { end: 1 });
  const positions = graph.node('Slice', ['Sasrec.positions', zero, length, rows]);
  const both = graph.node('Concat', [length, length], { axis: 0 });
  const future = Float32Array.from({ length: max_length ** 2 }, (_, at) =>
    at % max_length > Math.floor(at / max_length) ? MASKED : 0,
  );
  const square = graph.floats('future', [max_length, max_length], future);
  const mask = graph.node('Slice', [square, graph.ints('origin', [0, 0]), both]); // [length, length]
  const scaled = graph.node('Mul', ['history', graph.scalar('root_of_dims', Math.sqrt(dims))]);
  let hidden = graph.node('Add', [scaled, positions]); // [length, dims]
  for (let at = 0; at < blocks; at += 1) {
    hidden = block(graph, `Sasrec.blocks.${at}`, hidden, mask);
  }
  const newest = graph.node('Gather', [hidden, graph.ints('newest', [-1])], { axis: 0 });
  return norm(graph, 'Sasrec.output_norm', newest);
}

function block(graph, name, input, mask) {
  const { dims, heads } = shape;
  const width = dims / heads;
  const normed = norm(graph, `${name}.attention_norm`, input);
  const split = graph.ints('split', [-1, heads, width]);
  const head = (part, order) => {
    const projected = linear(graph, `${name}.attention.${part}`, normed);
    return graph.node('Transpose', [graph.node('Reshape', [projected, split])], { perm: order });
  };
  const products = graph.node('MatMul', [head('query', [1, 0, 2]), head('key', [1, 2, 0])]); // [heads, length, length]
  const scaled = graph.node('Div', [products, graph.scalar('root_of_width', Math.sqrt(width))]);
  const weights = graph.node('Softmax', [graph.node('Add', [scaled, mask])], { axis: -1 });
  const context = graph.node('MatMul', [weights, head('value', [1, 0, 2])]); // [heads, length, width]
  const together = graph.node('Transpose', [context], { perm: [1, 0, 2] });
  const joined = graph.node('Reshape', [together, graph.ints('join', [-1, dims])]);
  const hidden = graph.node('Add', [input, linear(graph, `${name}.attention.output`, joined)]);

  const inner = norm(graph, `${name}.feed_forward_norm`, hidden);
  const active = graph.node('Relu', [linear(graph, `${name}.feed_forward_in`, inner)]);
  return graph.node('Add', [hidden, linear(graph, `${name}.feed_forward_out`, active)]);
}

const linear = (graph, name, input) =>
  graph.node('Gemm', [input, `${name}.weight`, `${name}.bias`]);

const norm = (graph, name, input) =>
  graph.node('LayerNormalization', [input, `${name}.gamma`, `${name}.beta`], {
    axis: -1,
    epsilon: EPSILON,
  });
