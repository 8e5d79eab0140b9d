import type { Ledger as LedgerContent, LedgerEntry } from './update.js';

/** Number of requests that are listed; older ones are only counted. */
export const LISTED = 500;
/** Bytes of their bodies. The newest request is listed whatever its size. */
export const LISTED_BYTES = 64_000;

/** What was sent from the device. The newest requests are listed in full, for the page to show. */
export class Ledger {
  #entries: LedgerEntry[] = [];
  #dropped = 0;
  #bytes = 0;
  /** Bytes of the listed bodies. */
  #listed = 0;

  /** Notes a request that is about to be sent; the returned function notes its status. */
  note(request: Omit<LedgerEntry, 'at' | 'status'>): (status: number) => void {
    const { bytes } = request;
    const entry: LedgerEntry = { ...request, at: Date.now(), status: null };
    this.#entries.push(entry);
    this.#bytes += bytes;
    this.#listed += bytes;
    while (this.#overflows()) {
      this.#listed -= this.#entries.shift()?.bytes ?? 0;
      this.#dropped += 1;
    }
    return (status) => {
      entry.status = status;
    };
  }

  #overflows(): boolean {
    const { length } = this.#entries;
    return length > LISTED || (length > 1 && this.#listed > LISTED_BYTES);
  }

  read(): LedgerContent {
    const entries = this.#entries.map((entry) => ({ ...entry }));
    return { entries, dropped: this.#dropped, bytes: this.#bytes };
  }
}
