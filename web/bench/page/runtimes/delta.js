import { shape } from '../../model/shape.mjs';

const { dims } = shape;

/**
 * The personal delta for a runtime that brings none: rows of touched items and a low-rank
 * adapter in plain memory, changed by gradient descent with decay.
 */
export class Delta {
  #touched;

  /** @param {ReturnType<import('../workload.js').freshDelta>} stored without touched rows */
  constructor({ down, up }) {
    this.#touched = new Map();
    this.down = Float32Array.from(down); // [dims, rank]
    this.up = Float32Array.from(up); // [rank, dims]
  }

  /** `base` `[keys, dims]` plus what was learnt. */
  rows(keys, base) {
    const rows = base.slice();
    keys.forEach((key, at) => {
      const learnt = this.#touched.get(key);
      if (learnt === undefined) return;
      for (let i = 0; i < dims; i += 1) rows[at * dims + i] += learnt[i];
    });
    return rows;
  }

  /** The rows of a click's history and of its candidates, the latter through the adapter. */
  effective({ keys, rows, history, candidates }) {
    const learnt = this.rows(keys, rows);
    const pick = (positions) => {
      const picked = new Float32Array(positions.length * dims);
      positions.forEach((position, at) => {
        picked.set(learnt.subarray(position * dims, (position + 1) * dims), at * dims);
      });
      return picked;
    };
    const chosen = pick(candidates);
    for (let at = 0; at < chosen.length; at += dims) this.#adapt(chosen.subarray(at, at + dims));
    return { history: pick(history), candidates: chosen };
  }

  #adapt(row) {
    const rank = this.down.length / dims;
    const inner = new Float32Array(rank);
    for (let i = 0; i < dims; i += 1) {
      for (let k = 0; k < rank; k += 1) inner[k] += row[i] * this.down[i * rank + k];
    }
    for (let k = 0; k < rank; k += 1) {
      for (let i = 0; i < dims; i += 1) row[i] += inner[k] * this.up[k * dims + i];
    }
  }

  /** A copy one step further; `gradient` holds rows, then both matrices of the adapter. */
  descended(keys, gradient, { row_rate, adapter_rate, decay, max_norm }) {
    const shorten = Math.min(1, max_norm / Math.hypot(...gradient));
    const next = new Delta(this);
    for (const [key, row] of this.#touched) next.#touched.set(key, row.slice());
    const keepRow = 1 - row_rate * decay;
    keys.forEach((key, at) => {
      const row = next.#touched.get(key) ?? new Float32Array(dims);
      for (let i = 0; i < dims; i += 1) {
        row[i] = keepRow * row[i] - row_rate * shorten * gradient[at * dims + i];
      }
      next.#touched.set(key, row);
    });
    const down = gradient.subarray(keys.length * dims);
    const up = down.subarray(this.down.length);
    const keepUp = 1 - adapter_rate * decay;
    for (let i = 0; i < this.down.length; i += 1) next.down[i] -= adapter_rate * shorten * down[i];
    for (let i = 0; i < this.up.length; i += 1) {
      next.up[i] = keepUp * next.up[i] - adapter_rate * shorten * up[i];
    }
    return next;
  }

  replace(other) {
    this.#touched = other.#touched;
    this.down = other.down;
    this.up = other.up;
  }
}
