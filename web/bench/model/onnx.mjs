import { bytes, float, integer, join, message, text } from './protobuf.mjs';
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
  graph.node('Reshape', [column, graph.ints('flat', [-1])], {}, 'scores');
  return graph.file({ history: ['length', shape.dims], candidates: ['count', shape.dims] });
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

/** Values of ONNX enums (`onnx.proto3`). */
const FLOAT = 1;
const INT64 = 7;
const ATTRIBUTE = { float: 1, int: 2, ints: 7 };

/** Collects nodes and constants; names refer to tensors. */
class Graph {
  #nodes = [];
  #constants = new Map();

  /** @returns {string} name of the output */
  node(type, inputs, attributes = {}, output = `${type}_${this.#nodes.length}`) {
    const named = Object.entries(attributes).map(([name, value]) => {
      // The only float attribute used here.
      if (name === 'epsilon') {
        return message(5, [text(1, name), float(2, value), integer(20, ATTRIBUTE.float)]);
      }
      if (Array.isArray(value)) {
        const items = value.map((item) => integer(8, item));
        return message(5, [text(1, name), ...items, integer(20, ATTRIBUTE.ints)]);
      }
      return message(5, [text(1, name), integer(3, value), integer(20, ATTRIBUTE.int)]);
    });
    const fields = [...inputs.map((input) => text(1, input)), text(2, output), text(3, output)];
    this.#nodes.push(message(1, [...fields, text(4, type), ...named]));
    return output;
  }

  floats(name, size, values) {
    return this.#constant(name, FLOAT, size, values);
  }

  scalar(name, value) {
    return this.floats(name, [], Float32Array.of(value));
  }

  ints(name, values) {
    return this.#constant(name, INT64, [values.length], BigInt64Array.from(values, BigInt));
  }

  #constant(name, type, size, values) {
    const raw = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    const sides = size.map((side) => integer(1, side));
    this.#constants.set(
      name,
      message(5, [...sides, integer(2, type), text(8, name), bytes(9, raw)]),
    );
    return name;
  }

  /** @param {Record<string, (string | number)[]>} inputs shapes by name; strings are dynamic */
  file(inputs) {
    const value = (field, name, size) => {
      const sides = size.map((side) =>
        message(1, [typeof side === 'string' ? text(2, side) : integer(1, side)]),
      );
      const type = message(1, [integer(1, FLOAT), message(2, sides)]);
      return message(field, [text(1, name), message(2, [type])]);
    };
    const graph = [
      ...this.#nodes,
      text(2, 'sasrec'),
      ...this.#constants.values(),
      ...Object.entries(inputs).map(([name, size]) => value(11, name, size)),
      value(12, 'scores', ['count']),
    ];
    const irVersion = 8;
    const operators = 17; // the first opset with LayerNormalization
    return join([
      integer(1, irVersion),
      text(2, 'tandem-bench'),
      message(7, graph),
      message(8, [text(1, ''), integer(2, operators)]),
    ]);
  }
}
