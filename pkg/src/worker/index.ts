/** Entry of the module worker: everything heavy happens behind this file. */
import type { ToWorker } from '../shared/messages.js';
import { loadEngine } from './engine.js';
import { Host } from './host.js';

declare const self: DedicatedWorkerGlobalScope;

// The timings of its requests would stay for as long as the worker, and nobody reads them.
performance.setResourceTimingBufferSize(0);

const host = new Host(
  { postMessage: (message, transfer = []) => self.postMessage(message, transfer) },
  loadEngine,
);
self.addEventListener('message', (event: MessageEvent<ToWorker>) => host.receive(event.data));
