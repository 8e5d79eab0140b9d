import type { Ledger, LedgerEntry } from '../shared/update.js';

/** Requests that are listed; of older ones only the number and the bytes are kept. */
export const LISTED = 500;
/** Bytes of their bodies; the newest is listed however long it is. */
export const LISTED_BYTES = 64_000;

/** What left the device. The newest are listed in full, so that a page can show them. */
export class LedgerBook {
  #entries: LedgerEntry[] = [];
  #dropped = 0;
  #bytes = 0;
  /** Bytes of the bodies that are listed. */
  #listed = 0;

  /** Notes a request that is about to be sent; the returned function notes its answer. */
  note(request: Omit<LedgerEntry, 'at' | 'bytes' | 'status'>): (status: number) => void {
    const bytes = request.body === null ? 0 : new TextEncoder().encode(request.body).length;
    const entry: LedgerEntry = { ...request, at: Date.now(), bytes, status: null };
    this.#entries.push(entry);
    this.#bytes += bytes;
    this.#listed += bytes;
    while (this.#tooMuch()) {
      this.#listed -= this.#entries.shift()?.bytes ?? 0;
      this.#dropped += 1;
    }
    return (status) => {
      entry.status = status;
    };
  }

  #tooMuch(): boolean {
    const { length } = this.#entries;
    return length > LISTED || (length > 1 && this.#listed > LISTED_BYTES);
  }

  read(): Ledger {
    const entries = this.#entries.map((entry) => ({ ...entry }));
    return { entries, dropped: this.#dropped, bytes: this.#bytes };
  }
}
