/** Entry of the module worker. */
import type { ToWorker } from '../shared/messages.js';
import { loadEngine } from './engine.js';
import { Host } from './host.js';

declare const self: DedicatedWorkerGlobalScope;

// The browser would store the timings of all requests as long as the worker lives.
performance.setResourceTimingBufferSize(0);

const host = new Host(
  { postMessage: (message, transfer = []) => self.postMessage(message, transfer) },
  loadEngine,
);
self.addEventListener('message', (event: MessageEvent<ToWorker>) => host.receive(event.data));
