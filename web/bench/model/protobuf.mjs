/**
 * The part of the Protocol Buffers encoding that an ONNX file needs. A message is a list of
 * fields, each created by one of these functions.
 */

const VARINT = 0;
const BYTES = 2;
const FIXED32 = 5;

/** @param {number | bigint} value negative numbers take ten bytes, as the format requires */
function varint(value) {
  const bytes = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}

const tag = (field, type) => varint((field << 3) | type);

/** An integer field. */
export const integer = (field, value) => join([tag(field, VARINT), varint(value)]);

/** A 32-bit floating-point field. */
export const float = (field, value) =>
  join([tag(field, FIXED32), new Uint8Array(Float32Array.of(value).buffer)]);

/** A bytes field. */
export const bytes = (field, value) => join([tag(field, BYTES), varint(value.length), value]);

/** A string field, UTF-8. */
export const text = (field, value) => bytes(field, new TextEncoder().encode(value));

/** A nested message field. */
export const message = (field, fields) => bytes(field, join(fields));

/** @param {Uint8Array[]} parts */
export function join(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
