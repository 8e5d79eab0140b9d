/**
 * Memory of a page and its worker after garbage collection: JavaScript heaps, external buffers
 * and WebAssembly memory.
 */
export class Memory {
  #session;
  #worker = null;
  #lastId = 0;
  #waiting = new Map();

  /** Attaches to a page; must be called before the page starts its worker. */
  static async of(page) {
    const memory = new Memory();
    const session = await page.context().newCDPSession(page);
    memory.#session = session;
    session.on('Target.attachedToTarget', ({ sessionId, targetInfo }) => {
      if (targetInfo.type === 'worker') memory.#worker = sessionId;
    });
    session.on('Target.receivedMessageFromTarget', ({ message }) => memory.#answered(message));
    // Messages of the worker are wrapped in messages of the page session.
    await session.send('Target.setAutoAttach', {
      autoAttach: true,
      waitForDebuggerOnStart: false,
      flatten: false,
    });
    return memory;
  }

  /** @returns {Promise<{ page: number, worker: number, wasm: number, total: number }>} bytes */
  async measure() {
    const page = await heap((method) => this.#session.send(method));
    const worker = await heap((method) => this.#ask(method));
    const wasm = await this.#wasm();
    return { page, worker, wasm, total: page + worker + wasm };
  }

  async #wasm() {
    const { result } = await this.#ask('Runtime.evaluate', {
      expression: 'WebAssembly.Memory.prototype',
    });
    const { objects } = await this.#ask('Runtime.queryObjects', {
      prototypeObjectId: result.objectId,
    });
    const sum = await this.#ask('Runtime.callFunctionOn', {
      objectId: objects.objectId,
      functionDeclaration: `function () {
        return this.reduce((bytes, { buffer }) => bytes + buffer.byteLength, 0);
      }`,
      returnByValue: true,
    });
    return sum.result.value;
  }

  #ask(method, params = {}) {
    if (this.#worker === null) throw new Error('the page has no worker');
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, method });
      this.#session
        .send('Target.sendMessageToTarget', {
          sessionId: this.#worker,
          message: JSON.stringify({ id, method, params }),
        })
        .catch(reject);
    });
  }

  #answered(message) {
    const { id, result, error } = JSON.parse(message);
    const call = this.#waiting.get(id);
    if (call === undefined) return;
    this.#waiting.delete(id);
    if (error === undefined) call.resolve(result);
    else call.reject(new Error(`${call.method}: ${error.message}`));
  }
}

/** Minimum of several measurements: some memory is released only after a delay. */
async function heap(ask) {
  const samples = [];
  for (let time = 0; time < 3; time += 1) {
    await new Promise((done) => setTimeout(done, 500));
    await ask('HeapProfiler.collectGarbage');
    const usage = await ask('Runtime.getHeapUsage');
    samples.push(usage.usedSize + usage.embedderHeapUsedSize + usage.backingStorageSize);
  }
  return Math.min(...samples);
}

/**
 * Creates a recommender in a tab, clicks one item after another, and measures memory.
 *
 * @param {import('./package-page.mjs').Tab} tab
 * @param {object} options of the recommender
 * @param {string[]} items clicked in this order, repeatedly
 * @param {number[]} marks numbers of clicks after which memory is measured, once learning and
 *   saving have finished
 */
export async function memoryAfterClicks(tab, options, items, marks) {
  const memory = await Memory.of(tab.page);
  await tab.page.evaluate(
    async ([given, list]) => {
      // Not `open_`: the updates it records would be counted.
      window.rec = await window.tandem.createRecommender(given);
      let learnt = performance.now();
      window.rec.on('learn', () => {
        learnt = performance.now();
      });
      window.clickOn = async (from, to) => {
        for (let click = from; click < to; click += 1) {
          await window.rec.track({ type: 'click', item: list[click % list.length] });
        }
        // No learning step for three seconds: learning and saving have finished.
        while (performance.now() - learnt < 3_000) {
          await new Promise((done) => setTimeout(done, 250));
        }
      };
    },
    [options, items],
  );
  const found = [];
  let clicks = 0;
  for (const mark of marks) {
    await tab.page.evaluate(([from, to]) => window.clickOn(from, to), [clicks, mark]);
    clicks = mark;
    found.push(await memory.measure());
  }
  return found;
}
