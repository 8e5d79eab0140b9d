/**
 * What a page and its one worker hold in memory after everything was collected that can be:
 * heaps of JavaScript, what lies outside of them, and the memory of WebAssembly.
 */
export class Memory {
  #session;
  #worker = null;
  #lastId = 0;
  #waiting = new Map();

  /** Watches a page that has not started its worker yet. */
  static async of(page) {
    const memory = new Memory();
    const session = await page.context().newCDPSession(page);
    memory.#session = session;
    session.on('Target.attachedToTarget', ({ sessionId, targetInfo }) => {
      if (targetInfo.type === 'worker') memory.#worker = sessionId;
    });
    session.on('Target.receivedMessageFromTarget', ({ message }) => memory.#answered(message));
    // A worker has no session of its own here: its messages are wrapped in the page's.
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

/** The least of several readings: what was just used is let go only after a while. */
async function heap(ask) {
  const readings = [];
  for (let time = 0; time < 3; time += 1) {
    await new Promise((done) => setTimeout(done, 500));
    await ask('HeapProfiler.collectGarbage');
    const usage = await ask('Runtime.getHeapUsage');
    readings.push(usage.usedSize + usage.embedderHeapUsedSize + usage.backingStorageSize);
  }
  return Math.min(...readings);
}

/**
 * Opens a recommender in a tab and clicks, each click once the one before is answered.
 *
 * @param {import('./package-page.mjs').Tab} tab
 * @param {object} options of the recommender
 * @param {string[]} items clicked in their order, and again from the first
 * @param {number[]} marks measured after so many clicks, everything learnt and kept
 */
export async function memoryAfterClicks(tab, options, items, marks) {
  const memory = await Memory.of(tab.page);
  await tab.page.evaluate(
    async ([given, list]) => {
      // Not `open_`: what that writes down of every update would count.
      window.rec = await window.tandem.createRecommender(given);
      let learnt = performance.now();
      window.rec.on('learn', () => {
        learnt = performance.now();
      });
      window.clickOn = async (from, to) => {
        for (let click = from; click < to; click += 1) {
          await window.rec.track({ type: 'click', item: list[click % list.length] });
        }
        // All is learnt once nothing has been for a while, and kept a second after.
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
