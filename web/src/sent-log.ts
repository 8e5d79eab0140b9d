import type { Ledger, LedgerEntry } from '@tandem-rec/client';

/** Number of requests that are listed; older ones are only counted. */
const LISTED = 500;

/** What was sent to the server since the page was opened. */
export interface Sent {
  /** By the package; `null` while it is not there. */
  tandem: Ledger | null;
  /** By the cloud-only side. */
  comparison: Ledger;
}

export const nothingSent: Ledger = { entries: [], dropped: 0, bytes: 0 };

/** Two ledgers as one, oldest request first. */
export function joined(one: Ledger, other: Ledger): Ledger {
  const entries = [...one.entries, ...other.entries].sort((a, b) => a.at - b.at);
  const listed = entries.slice(-LISTED);
  return {
    entries: listed,
    dropped: one.dropped + other.dropped + entries.length - listed.length,
    bytes: one.bytes + other.bytes,
  };
}

/** The requests of the cloud-only side. Clearing the history does not clear it. */
export class SentLog {
  #ledger = nothingSent;

  /** Notes a request that is about to be sent; the returned function notes its status. */
  note(url: string, body: string): (status: number) => void {
    const bytes = new TextEncoder().encode(body).length;
    const entry: LedgerEntry = {
      ...{ at: Date.now(), method: 'POST', url, why: 'comparison', body, bytes, status: null },
    };
    this.#ledger = joined(this.#ledger, { entries: [entry], dropped: 0, bytes });
    return (status) => {
      entry.status = status;
    };
  }

  read(): Ledger {
    return this.#ledger;
  }
}
