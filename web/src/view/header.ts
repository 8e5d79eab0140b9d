import type { Device } from '@tandem-rec/client';
import { bytes } from '../figures.ts';
import type { ShopState } from '../shop.ts';
import { h, setAttribute, setText } from './dom.ts';

/** Actions of the header. */
export interface HeaderActions {
  switchDevice(device: Device): void;
  setOffline(offline: boolean): void;
  chooseModel(name: string): void;
}

const connectionWords = {
  online: 'Online',
  offline: 'Offline',
  failing: 'Not responding',
} as const;

/** Shop name, compute backend, connection status, call and traffic counters. */
export function header(actions: HeaderActions): {
  element: HTMLElement;
  render(state: ShopState): void;
} {
  let offline = false;
  const device = h('strong', { 'data-testid': 'status-device' });
  const without = h('span', { class: 'quiet' }, ' WebGPU unavailable');
  const cpu = deviceButton('cpu', 'CPU');
  const webgpu = deviceButton('webgpu', 'WebGPU');
  const connection = h('strong', { 'data-testid': 'status-connection' });
  const toggle = h(
    'button',
    {
      type: 'button',
      class: 'switch',
      role: 'switch',
      'data-testid': 'toggle-offline',
      onclick: () => actions.setOffline(!offline),
    },
    'Offline',
  );
  let shown: readonly string[] = [];
  const select = h('select', {
    'data-testid': 'model',
    'aria-label': 'Language model in the cloud',
    onchange: () => actions.chooseModel(select.value),
  });
  const calls = h('strong', { 'data-testid': 'status-calls' });
  const traffic = h('strong', { 'data-testid': 'status-bytes' });
  const element = h(
    'header',
    { class: 'header' },
    h(
      'a',
      { class: 'brand', href: './', 'aria-label': 'Tandem Films, start page' },
      h('span', { class: 'brand-mark', 'aria-hidden': 'true' }),
      'Tandem Films',
    ),
    h(
      'dl',
      { class: 'status' },
      fact('Compute backend', device, without),
      fact('Server', connection),
      fact('LLM calls', calls),
      fact('Traffic', traffic),
    ),
    select,
    h(
      'div',
      { class: 'controls' },
      h('div', { class: 'segmented', role: 'group', 'aria-label': 'Compute backend' }, cpu, webgpu),
      toggle,
    ),
  );

  function deviceButton(kind: Device, name: string): HTMLButtonElement {
    return h(
      'button',
      {
        type: 'button',
        'data-testid': `device-${kind}`,
        onclick: () => actions.switchDevice(kind),
      },
      name,
    );
  }

  return {
    element,
    render({ phase, device: used, deviceNote, switching, update, models, model }) {
      const state = phase === 'ready' ? update?.connection.state : undefined;
      offline = state === 'offline';
      setAttribute(element, 'data-phase', phase);
      setText(device, used === 'cpu' ? 'CPU' : 'WebGPU');
      without.hidden = deviceNote === null;
      setAttribute(without, 'title', deviceNote);
      for (const [kind, button] of [
        ['cpu', cpu],
        ['webgpu', webgpu],
      ] as const) {
        setAttribute(button, 'aria-pressed', String(used === kind));
        button.disabled = phase !== 'ready' || switching;
      }
      setText(connection, state === undefined ? '–' : connectionWords[state]);
      setAttribute(connection, 'data-state', state ?? null);
      setAttribute(toggle, 'aria-checked', String(offline));
      toggle.disabled = phase !== 'ready' || switching;
      const names = models.map(({ name }) => name);
      if (names.join() !== shown.join()) {
        shown = names;
        select.replaceChildren(...names.map((name) => h('option', { value: name }, name)));
      }
      select.hidden = names.length < 2;
      select.disabled = phase !== 'ready' || switching;
      select.value = model ?? names[0] ?? '';
      setText(calls, String(update?.stats.calls ?? 0));
      const { bytesUp = 0, bytesDown = 0 } = update?.stats ?? {};
      setText(traffic, `↑ ${bytes(bytesUp)}  ↓ ${bytes(bytesDown)}`);
      setAttribute(traffic, 'aria-label', `${bytes(bytesUp)} sent, ${bytes(bytesDown)} received`);
    },
  };
}

function fact(name: string, ...values: HTMLElement[]): HTMLElement {
  return h('div', {}, h('dt', {}, name), h('dd', {}, ...values));
}
