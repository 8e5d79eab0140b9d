import { readSafetensors } from '../../model/safetensors.mjs';
import { EPSILON, MASKED, shape } from '../../model/shape.mjs';
import { freshDelta, learning } from '../workload.js';
import { Delta } from './delta.js';

/**
 * TensorFlow.js: inference, and the learning step with automatic differentiation.
 *
 * @param {'cpu' | 'wasm' | 'webgpu'} backend single-threaded
 */
export async function open(backend) {
  const tf = await load(backend);
  await use(tf, backend);
  const response = await fetch('/model/body.safetensors');
  const weights = readSafetensors(new Uint8Array(await response.arrayBuffer()));
  const network = new Network(tf, weights);
  const delta = new Delta(freshDelta());
  const upload = (values) => tf.tensor2d(values, [values.length / shape.dims, shape.dims]);

  const rerank = async (history, candidates) => {
    const scores = tf.tidy(() => network.score(upload(history), upload(candidates)));
    const values = await scores.data();
    scores.dispose();
    return values;
  };
  return {
    rerank,
    /** The user embedding. */
    encode: async (history) => tf.tidy(() => network.newest(upload(history))),
    click: (_, { history }, candidates) => rerank(history, candidates),
    /** Selects this backend; only one can be active. */
    activate: () => use(tf, backend),
    /** The same step as `Scorer::learn`: loss, gradient, descent, loss after the step. */
    async learn(newest, click) {
      const { keys, target } = click;
      const read = tf.tidy(() => gradient(tf, newest, delta, click));
      const values = await read.data();
      read.dispose();
      const stepped = delta.descended(keys, values.subarray(1), learning);
      const rows = stepped.adapted(click);
      const product = tf.tidy(() => tf.matMul(upload(rows), newest, false, true));
      const example = { rows, scores: await product.data(), target };
      product.dispose();
      stepped.preferenceStep(example, learning);
      delta.replace(stepped);
      return { before: values[0], after: stepped.loss(example) };
    },
  };
}

/** All backends share one core, which supports one active backend. */
async function load(backend) {
  const tf = await import(`/tensorflow/${backend}.js`);
  if (backend === 'wasm') {
    tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
    tf.setWasmPaths('/vendor/@tensorflow/tfjs-backend-wasm/dist/');
  }
  return tf;
}

async function use(tf, backend) {
  if (tf.getBackend() === backend) return;
  if (!(await tf.setBackend(backend))) throw new Error(`TensorFlow.js has no backend ${backend}`);
  await tf.ready();
}

class Network {
  #tf;
  #weights = new Map();
  #future;

  constructor(tf, weights) {
    this.#tf = tf;
    for (const [name, { size, values }] of weights) {
      this.#weights.set(name, tf.keep(tf.tensor(values, size)));
    }
    const { max_length } = shape;
    const future = Float32Array.from({ length: max_length ** 2 }, (_, at) =>
      at % max_length > Math.floor(at / max_length) ? MASKED : 0,
    );
    this.#future = tf.keep(tf.tensor2d(future, [max_length, max_length]));
  }

  /** Rows `[length, dims]` and `[count, dims]` to scores `[count]`. */
  score(history, candidates) {
    const tf = this.#tf;
    return tf.reshape(tf.matMul(candidates, this.newest(history), false, true), [-1]);
  }

  /** Hidden state of the newest item, `[1, dims]`. */
  newest(history) {
    const tf = this.#tf;
    const [length, dims] = history.shape;
    const positions = tf.slice(this.#weights.get('Sasrec.positions'), [0, 0], [length, dims]);
    const mask = tf.slice(this.#future, [0, 0], [length, length]);
    let hidden = tf.add(tf.mul(history, Math.sqrt(dims)), positions);
    for (let at = 0; at < shape.blocks; at += 1) {
      hidden = this.#block(`Sasrec.blocks.${at}`, hidden, mask);
    }
    return this.#norm('Sasrec.output_norm', tf.slice(hidden, [length - 1, 0], [1, dims]));
  }

  #block(name, input, mask) {
    const tf = this.#tf;
    const { dims, heads } = shape;
    const [length] = input.shape;
    const width = dims / heads;
    const normed = this.#norm(`${name}.attention_norm`, input);
    const split = (part) => {
      const projected = this.#linear(`${name}.attention.${part}`, normed);
      return tf.transpose(tf.reshape(projected, [length, heads, width]), [1, 0, 2]);
    };
    const products = tf.matMul(split('query'), split('key'), false, true); // [heads, length, length]
    const weights = tf.softmax(tf.add(tf.div(products, Math.sqrt(width)), mask));
    const context = tf.transpose(tf.matMul(weights, split('value')), [1, 0, 2]);
    const joined = tf.reshape(context, [length, dims]);
    const hidden = tf.add(input, this.#linear(`${name}.attention.output`, joined));

    const inner = this.#norm(`${name}.feed_forward_norm`, hidden);
    const active = this.#linear(`${name}.feed_forward_in`, inner, 'relu');
    return tf.add(hidden, this.#linear(`${name}.feed_forward_out`, active));
  }

  #norm(name, input) {
    const tf = this.#tf;
    const { mean, variance } = tf.moments(input, -1, true);
    const normal = tf.mul(tf.sub(input, mean), tf.rsqrt(tf.add(variance, EPSILON)));
    return tf.add(
      tf.mul(normal, this.#weights.get(`${name}.gamma`)),
      this.#weights.get(`${name}.beta`),
    );
  }

  /** One kernel for product, bias and activation. */
  #linear(name, a, activation = 'linear') {
    return this.#tf.fused.matMul({
      a,
      b: this.#weights.get(`${name}.weight`),
      bias: this.#weights.get(`${name}.bias`),
      activation,
    });
  }
}

/** Loss and gradients in one tensor: each readback from a GPU is a round trip. */
function gradient(tf, newest, delta, { keys, rows, target }) {
  const { dims } = shape;
  const { rank } = learning;
  const user = tf.add(newest, tf.tensor2d(delta.preference, [1, dims]));
  const loss = (rows, down, up) => {
    const adapted = tf.add(rows, tf.matMul(tf.matMul(rows, down), up));
    const scores = tf.reshape(tf.matMul(adapted, user, false, true), [-1]);
    return tf.reshape(tf.neg(tf.slice(tf.logSoftmax(scores), [target], [1])), []);
  };
  const { value, grads } = tf.valueAndGrads(loss)([
    tf.tensor2d(delta.rows(keys, rows), [keys.length, dims]),
    tf.tensor2d(delta.down, [dims, rank]),
    tf.tensor2d(delta.up, [rank, dims]),
  ]);
  return tf.concat([value, ...grads].map((part) => tf.reshape(part, [-1])));
}
