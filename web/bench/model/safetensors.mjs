/**
 * Writes a safetensors file: header length (8 bytes), JSON header, values.
 *
 * @param {{ name: string, size: number[], values: Float32Array }[]} tensors
 * @returns {Uint8Array}
 */
export function writeSafetensors(tensors) {
  const header = {};
  let end = 0;
  for (const { name, size, values } of tensors) {
    header[name] = {
      dtype: 'F32',
      shape: size,
      data_offsets: [end, end + values.byteLength],
    };
    end += values.byteLength;
  }
  // Padding keeps the values aligned to 8 bytes.
  const text = JSON.stringify(header);
  const json = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 8) * 8));
  const file = new Uint8Array(8 + json.length + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
  file.set(json, 8);
  for (const { name, values } of tensors) {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    file.set(bytes, 8 + json.length + header[name].data_offsets[0]);
  }
  return file;
}

/**
 * @param {Uint8Array} file
 * @returns {Map<string, { size: number[], values: Float32Array }>}
 */
export function readSafetensors(file) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const start = 8 + Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, start)));
  const tensors = new Map();
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    if (dtype !== 'F32') throw new Error(`tensor ${name} is of type ${dtype}, expected F32`);
    const [from, to] = data_offsets;
    const values = new Float32Array(file.slice(start + from, start + to).buffer);
    tensors.set(name, { size: shape, values });
  }
  return tensors;
}
