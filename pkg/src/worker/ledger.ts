import type { Ledger, LedgerEntry } from '../shared/update.js';

/** Requests that are listed; of older ones only the number and the bytes are kept. */
export const LISTED = 500;

/** What left the device. The newest are listed in full, so that a page can show them. */
export class LedgerBook {
  #entries: LedgerEntry[] = [];
  #dropped = 0;
  #bytes = 0;

  /** Notes a request that is about to be sent; the returned function notes its answer. */
  note(request: Omit<LedgerEntry, 'at' | 'bytes' | 'status'>): (status: number) => void {
    const bytes = request.body === null ? 0 : new TextEncoder().encode(request.body).length;
    const entry: LedgerEntry = { ...request, at: Date.now(), bytes, status: null };
    this.#entries.push(entry);
    this.#bytes += bytes;
    if (this.#entries.length > LISTED) {
      this.#entries.shift();
      this.#dropped += 1;
    }
    return (status) => {
      entry.status = status;
    };
  }

  read(): Ledger {
    const entries = this.#entries.map((entry) => ({ ...entry }));
    return { entries, dropped: this.#dropped, bytes: this.#bytes };
  }
}
