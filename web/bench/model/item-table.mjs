/**
 * The item table file of a release: item count and dimensions (`u32`), then per item an `f32`
 * scale and one `i8` per dimension; little-endian.
 */

const HEADER = 8;

/**
 * @param {Float32Array} values `[items, dims]`
 * @param {number} dims
 * @returns {Buffer}
 */
export function writeItemTable(values, dims) {
  const items = values.length / dims;
  const header = Buffer.alloc(HEADER);
  header.writeUInt32LE(items, 0);
  header.writeUInt32LE(dims, 4);
  return Buffer.concat([header, writeRows(values, dims)]);
}

/** The rows alone: per item an `f32` scale and one `i8` per dimension. */
export function writeRows(values, dims) {
  const items = values.length / dims;
  const file = Buffer.alloc(items * (4 + dims));
  for (let item = 0; item < items; item += 1) {
    const row = values.subarray(item * dims, (item + 1) * dims);
    const scale = Math.fround(
      row.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127,
    );
    const at = item * (4 + dims);
    file.writeFloatLE(scale, at);
    for (let dim = 0; dim < dims; dim += 1) {
      file.writeInt8(Math.round(row[dim] / scale), at + 4 + dim);
    }
  }
  return file;
}

/**
 * @param {ArrayBuffer} file
 * @returns {{ dims: number, rows: Float32Array }} dequantised rows `[items, dims]`
 */
export function readItemTable(file) {
  const view = new DataView(file);
  const [items, dims] = [view.getUint32(0, true), view.getUint32(4, true)];
  const rows = new Float32Array(items * dims);
  for (let item = 0; item < items; item += 1) {
    const at = HEADER + item * (4 + dims);
    const scale = view.getFloat32(at, true);
    const values = new Int8Array(file, at + 4, dims);
    for (let dim = 0; dim < dims; dim += 1) rows[item * dims + dim] = scale * values[dim];
  }
  return { dims, rows };
}
