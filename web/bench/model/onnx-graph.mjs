import { bytes, float, integer, join, message, text } from './protobuf.mjs';

/** Values of ONNX enums (`onnx.proto3`). */
export const FLOAT = 1;
export const INT64 = 7;
const ATTRIBUTE = { float: 1, int: 2, ints: 7 };

/** Collects nodes and constants; names refer to tensors. */
export class Graph {
  #nodes = [];
  #constants = new Map();

  /** @returns {string} name of the first output */
  node(type, inputs, attributes = {}, outputs = [`${type}_${this.#nodes.length}`]) {
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
    const fields = [
      ...inputs.map((input) => text(1, input)),
      ...outputs.map((output) => text(2, output)),
    ];
    this.#nodes.push(message(1, [...fields, text(3, outputs[0]), text(4, type), ...named]));
    return outputs[0];
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

  /**
   * @param {Record<string, (string | number)[]>} inputs shapes of `f32` inputs by name; strings
   *   are dynamic sizes
   * @param {Record<string, { type: number, size: (string | number)[] }>} outputs by name
   */
  file(inputs, outputs) {
    const value = (field, name, { type: element, size }) => {
      const sides = size.map((side) =>
        message(1, [typeof side === 'string' ? text(2, side) : integer(1, side)]),
      );
      const type = message(1, [integer(1, element), message(2, sides)]);
      return message(field, [text(1, name), message(2, [type])]);
    };
    const graph = [
      ...this.#nodes,
      text(2, 'bench'),
      ...this.#constants.values(),
      ...Object.entries(inputs).map(([name, size]) => value(11, name, { type: FLOAT, size })),
      ...Object.entries(outputs).map(([name, output]) => value(12, name, output)),
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
