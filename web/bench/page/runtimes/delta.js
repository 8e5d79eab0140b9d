import { shape } from '../../model/shape.mjs';

const { dims } = shape;

/**
 * The personal delta for a runtime that brings none: rows of touched items, a low-rank adapter
 * and a preference in plain memory, changed by gradient descent.
 */
export class Delta {
  #touched = new Map();
  #lessons = [];

  /** @param {ReturnType<import('../workload.js').freshDelta>} stored without touched rows */
  constructor({ down, up, preference }) {
    this.down = Float32Array.from(down); // [dims, rank]
    this.up = Float32Array.from(up); // [rank, dims]
    this.preference = preference?.slice() ?? new Float32Array(dims);
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

  /** The rows of a click, through the adapter. */
  adapted({ keys, rows }) {
    const adapted = this.rows(keys, rows);
    for (let at = 0; at < adapted.length; at += dims) this.#adapt(adapted.subarray(at, at + dims));
    return adapted;
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
    next.#lessons = this.#lessons.slice();
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

  /**
   * One step of the preference on a click and the newest before it. A lesson holds adapted
   * rows, their scores without the preference, and the position of what was clicked.
   */
  prefer(lesson, { preference_rate, forgetting, replay }) {
    this.#lessons = [...this.#lessons, lesson].slice(-replay);
    const squares = lesson.rows.reduce((sum, value) => sum + value * value, 0);
    const gradient = new Float32Array(dims);
    for (const { rows, scores, target } of this.#lessons) {
      softmax(this.#lean(rows, scores)).forEach((share, at) => {
        const pull = at === target ? share - 1 : share;
        for (let i = 0; i < dims; i += 1) gradient[i] += pull * rows[at * dims + i];
      });
    }
    const meanSquare = (squares * dims) / lesson.rows.length;
    const step = preference_rate / meanSquare / this.#lessons.length;
    for (let i = 0; i < dims; i += 1) {
      this.preference[i] = (1 - forgetting) * this.preference[i] - step * gradient[i];
    }
  }

  /** Loss of a lesson in nats. */
  loss({ rows, scores, target }) {
    return -Math.log(softmax(this.#lean(rows, scores))[target]);
  }

  #lean(rows, scores) {
    return Float64Array.from(scores, (score, at) => {
      let sum = score;
      for (let i = 0; i < dims; i += 1) sum += this.preference[i] * rows[at * dims + i];
      return sum;
    });
  }

  replace(other) {
    this.#touched = other.#touched;
    this.#lessons = other.#lessons;
    this.down = other.down;
    this.up = other.up;
    this.preference = other.preference;
  }
}

function softmax(scores) {
  const largest = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - largest));
  const sum = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / sum);
}
