/**
 * As much of the Protocol Buffers encoding as a model file needs. A message is a list of
 * fields, each made by one of the functions below.
 */

const VARINT = 0;
const BYTES = 2;
const FIXED32 = 5;

/** @param {number | bigint} value negative ones take ten bytes, as the format says */
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

/** A whole number. */
export const integer = (field, value) => join([tag(field, VARINT), varint(value)]);

/** A 32-bit floating-point number. */
export const float = (field, value) =>
  join([tag(field, FIXED32), new Uint8Array(Float32Array.of(value).buffer)]);

/** Bytes as they are. */
export const bytes = (field, value) => join([tag(field, BYTES), varint(value.length), value]);

/** Text in UTF-8. */
export const text = (field, value) => bytes(field, new TextEncoder().encode(value));

/** A message inside a message. */
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
