import { type DeliveredUpdate, TandemError } from '@tandem-rec/client';

/** Code and message of an error of any kind. */
export function described(error: unknown): { code: string; message: string } {
  if (error instanceof TandemError) return { code: error.code, message: error.message };
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'unreachable', message };
}

function newList(items: DeliveredUpdate['items']): string {
  const listed = items.filter((item) => item.listed).length;
  const found = items.length - listed;
  const films = listed === 1 ? '1 film' : `${listed} films`;
  return found === 0
    ? `New list of ${films} from the cloud.`
    : `New list of ${films} from the cloud, and ${found} found on this device.`;
}

/** Description of an update, for screen readers. */
export function announce({ cause, connection, decision, items }: DeliveredUpdate): string {
  switch (cause) {
    case 'request':
      return connection.state === 'online'
        ? newList(items)
        : `The server did not respond. ${items.length} films of the last list remain.`;
    case 'connection':
      return connection.state === 'offline' ? 'Offline.' : 'Online.';
    case 'event':
      return `List re-ranked. ${decision.reason}.`;
    case 'restart':
      return 'The small model was restarted. Your history is kept.';
    case 'catalogue':
      return 'The catalogue has changed. Your history is kept.';
    case 'model':
      return 'Switched to another language model.';
    case 'undo':
    case 'search':
    case 'stock':
    case 'tab':
    case 'retry':
    case 'reset':
    case 'import':
      return '';
  }
}
