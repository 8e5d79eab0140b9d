import { shape } from '../../model/shape.mjs';

const { dims } = shape;

/**
 * The personal delta for runtimes without one: deltas of touched rows, a low-rank adapter and a
 * preference vector, trained by gradient descent.
 */
export class Delta {
  #touched = new Map();
  #examples = [];

  /** @param {ReturnType<import('../workload.js').freshDelta>} stored without touched rows */
  constructor({ down, up, preference }) {
    this.down = Float32Array.from(down); // [dims, rank]
    this.up = Float32Array.from(up); // [rank, dims]
    this.preference = preference?.slice() ?? new Float32Array(dims);
  }

  /** `base` `[keys, dims]` plus the row deltas. */
  rows(keys, base) {
    const rows = base.slice();
    keys.forEach((key, at) => {
      const learnt = this.#touched.get(key);
      if (learnt === undefined) return;
      for (let i = 0; i < dims; i += 1) rows[at * dims + i] += learnt[i];
    });
    return rows;
  }

  /** Rows of a training example with row deltas and adapter applied. */
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

  /** A copy after one step; `gradient` contains row gradients, then both adapter matrices. */
  descended(keys, gradient, { row_rate, adapter_rate, decay, max_norm }) {
    const shorten = Math.min(1, max_norm / Math.hypot(...gradient));
    const next = new Delta(this);
    next.#examples = this.#examples.slice();
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
   * One step of the preference on a training example and the most recent ones before it. An
   * example has adapted rows, their scores without the preference, and the target position.
   */
  preferenceStep(example, { preference_rate, preference_decay, replay }) {
    this.#examples = [...this.#examples, example].slice(-replay);
    const squares = example.rows.reduce((sum, value) => sum + value * value, 0);
    const gradient = new Float32Array(dims);
    for (const { rows, scores, target } of this.#examples) {
      softmax(this.#addPreferenceLogits(rows, scores)).forEach((share, at) => {
        const logitGradient = at === target ? share - 1 : share;
        for (let i = 0; i < dims; i += 1) gradient[i] += logitGradient * rows[at * dims + i];
      });
    }
    const meanSquare = (squares * dims) / example.rows.length;
    const step = preference_rate / meanSquare / this.#examples.length;
    for (let i = 0; i < dims; i += 1) {
      this.preference[i] = (1 - preference_decay) * this.preference[i] - step * gradient[i];
    }
  }

  /** Loss of an example in nats. */
  loss({ rows, scores, target }) {
    return -Math.log(softmax(this.#addPreferenceLogits(rows, scores))[target]);
  }

  #addPreferenceLogits(rows, scores) {
    return Float64Array.from(scores, (score, at) => {
      let sum = score;
      for (let i = 0; i < dims; i += 1) sum += this.preference[i] * rows[at * dims + i];
      return sum;
    });
  }

  replace(other) {
    this.#touched = other.#touched;
    this.#examples = other.#examples;
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
