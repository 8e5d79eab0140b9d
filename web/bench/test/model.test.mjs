import { expect, test } from 'vitest';
import { readItemTable, writeItemTable } from '../model/item-table.mjs';
import { onnxModel, searchModel } from '../model/onnx.mjs';
import { bytes, float, integer, message, text } from '../model/protobuf.mjs';
import { readSafetensors, writeSafetensors } from '../model/safetensors.mjs';
import { shape, tensors } from '../model/shape.mjs';
import { syntheticBody, syntheticRows } from '../model/synthetic.mjs';

test('fields are encoded as in the Protocol Buffers documentation', () => {
  expect([...integer(1, 150)]).toEqual([0x08, 0x96, 0x01]);
  expect([...text(2, 'testing')]).toEqual([0x12, 7, ...Buffer.from('testing')]);
  expect([...message(3, [integer(1, 150)])]).toEqual([0x1a, 3, 0x08, 0x96, 0x01]);
  // Sign extension of negative numbers takes all ten bytes.
  expect([...integer(1, -1)]).toEqual([0x08, ...new Array(9).fill(0xff), 0x01]);
  expect([...float(2, 1)]).toEqual([0x15, 0, 0, 0x80, 0x3f]);
  // From field 16 on, a tag takes two bytes.
  expect([...bytes(20, Uint8Array.of(7))]).toEqual([0xa2, 0x01, 1, 7]);
});

test('a weight file is read back unchanged', () => {
  const written = [
    { name: 'b', size: [2, 1], values: Float32Array.of(1.5, -2) },
    { name: 'a', size: [1], values: Float32Array.of(0.25) },
  ];
  const file = writeSafetensors(written);
  expect(new DataView(file.buffer).getBigUint64(0, true) % 8n).toBe(0n);
  const read = [...readSafetensors(file)].map(([name, tensor]) => ({ name, ...tensor }));
  expect(read).toEqual(written);
});

test('the number of weights is that of a SASRec with this shape', () => {
  const { dims, blocks, max_length } = shape;
  const linear = dims * dims + dims;
  const norm = 2 * dims;
  const expected = max_length * dims + blocks * (6 * linear + 2 * norm) + norm;
  const read = readSafetensors(syntheticBody(1));
  const found = [...read.values()].reduce((sum, { values }) => sum + values.length, 0);
  expect(found).toBe(expected);
  expect([...read.keys()]).toEqual(tensors().map(({ name }) => name));
});

test('weights depend on the seed only', () => {
  expect(syntheticBody(1)).toEqual(syntheticBody(1));
  expect(syntheticBody(1)).not.toEqual(syntheticBody(2));
});

test('the ONNX file contains every weight exactly once', () => {
  const body = syntheticBody(1);
  const file = Buffer.from(onnxModel(body));
  for (const [name, { values }] of readSafetensors(body)) {
    const raw = Buffer.from(values.buffer);
    const first = file.indexOf(raw);
    expect(first, name).toBeGreaterThan(0);
    expect(file.indexOf(raw, first + 1), name).toBe(-1);
  }
});

test('an item table is read back with at most half a quantisation step of error', () => {
  const written = syntheticRows(3, 5);
  const { dims, rows } = readItemTable(new Uint8Array(writeItemTable(written, shape.dims)).buffer);
  expect(dims).toBe(shape.dims);
  expect(rows.length).toBe(written.length);
  for (let item = 0; item < 3; item += 1) {
    const row = written.subarray(item * dims, (item + 1) * dims);
    const step = Math.max(...row.map(Math.abs)) / 127;
    row.forEach((value, dim) => {
      expect(Math.abs(rows[item * dims + dim] - value)).toBeLessThanOrEqual(0.501 * step);
    });
  }
});

test('the ONNX file for search contains the transposed rows', () => {
  const rows = Float32Array.from({ length: 2 * shape.dims }, (_, at) => at);
  const file = Buffer.from(searchModel(rows, 1));
  const columns = Float32Array.from(rows, (_, at) => (at % 2) * shape.dims + (at >> 1));
  expect(file.indexOf(Buffer.from(columns.buffer))).toBeGreaterThan(0);
});
