import type { Device } from '@tandem-rec/client';
import type { Settings, ShopState } from '../shop-state.ts';
import { h, setAttribute, setText } from './dom.ts';

/** Actions of the settings. */
export interface ControlActions {
  switchDevice(device: Device): void;
  chooseModel(name: string): void;
  changeSettings(changes: Partial<Settings>): void;
}

interface View {
  element: HTMLElement;
  render(state: ShopState): void;
}

/** Device, language model, call budget, fusion weight, learning and search. */
export function controls(actions: ControlActions): View {
  const device = h('strong', { 'data-testid': 'status-device' });
  const without = h('span', { class: 'quiet field-note' });
  const cpu = deviceButton('cpu', 'CPU');
  const webgpu = deviceButton('webgpu', 'WebGPU');
  const select = h('select', {
    id: 'model',
    'data-testid': 'model',
    onchange: () => actions.chooseModel(select.value),
  });
  const budget = range('budget', { min: 0, max: 30, step: 1 }, (callsPerMinute) =>
    actions.changeSettings({ callsPerMinute }),
  );
  const alpha = range('alpha', { min: 0, max: 1, step: 0.05 }, (value) =>
    actions.changeSettings({ alpha: value }),
  );
  const learning = toggle('toggle-learning', 'Learning from clicks', (on) =>
    actions.changeSettings({ learning: on }),
  );
  const search = toggle('toggle-search', 'Search on this device', (on) =>
    actions.changeSettings({ search: on ? 'auto' : 'off' }),
  );
  const modelField = h(
    'div',
    { class: 'field' },
    h('label', { for: 'model' }, 'Language model'),
    select,
  );
  const alphaField = field('alpha', 'Weight of the language model', alpha.input, alpha.output);
  const element = h(
    'section',
    { class: 'tile controls', 'aria-labelledby': 'controls-title' },
    h('h3', { id: 'controls-title' }, 'Settings'),
    h(
      'div',
      { class: 'field' },
      h('span', {}, 'Computed on ', device),
      h('div', { class: 'segmented', role: 'group', 'aria-label': 'Compute backend' }, cpu, webgpu),
      without,
    ),
    modelField,
    field('budget', 'Calls per minute', budget.input, budget.output),
    alphaField,
    learning,
    search,
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

  let shownModels = '';
  /** The control that had the focus when all were disabled, and lost it by that. */
  let focused: HTMLElement | null = null;
  return {
    element,
    render({ phase, device: used, deviceNote, switching, models, model, settings, catalogue }) {
      const busy = phase !== 'ready' || switching;
      const { activeElement } = document;
      if (busy && activeElement instanceof HTMLElement && element.contains(activeElement)) {
        focused = activeElement;
      }
      setText(device, used === 'cpu' ? 'CPU' : 'WebGPU');
      // Its line is always there: the settings below must not move.
      setText(without, deviceNote === null ? '' : 'WebGPU unavailable');
      setAttribute(without, 'title', deviceNote);
      for (const [kind, button] of [
        ['cpu', cpu],
        ['webgpu', webgpu],
      ] as const) {
        setAttribute(button, 'aria-pressed', String(used === kind));
        button.disabled = busy;
      }
      const names = models.map(({ name }) => name);
      if (names.join() !== shownModels) {
        shownModels = names.join();
        select.replaceChildren(...names.map((name) => h('option', { value: name }, name)));
      }
      modelField.hidden = names.length < 2;
      select.disabled = busy;
      select.value = model ?? names[0] ?? '';
      const calibrated = catalogue?.calibration;
      budget.show(
        settings.callsPerMinute ?? calibrated?.callsPerMinute ?? 30,
        settings.callsPerMinute === null && calibrated?.callsPerMinute == null ? 'no limit' : null,
        busy,
      );
      // Only the weighted rule has a weight.
      alphaField.hidden = calibrated?.alpha == null;
      alpha.show(settings.alpha ?? calibrated?.alpha ?? 0, null, busy);
      learning.show(settings.learning, busy);
      search.show(settings.search !== 'off', busy || calibrated?.searches === false);
      if (busy || focused === null) return;
      // Unless the visitor has moved on.
      if (document.activeElement === document.body) focused.focus({ preventScroll: true });
      focused = null;
    },
  };
}

function field(id: string, label: string, ...content: HTMLElement[]): HTMLElement {
  return h('div', { class: 'field' }, h('label', { for: id }, label), ...content);
}

/** Time after the last change of a slider: each arrow key is a change of its own. */
const SETTLED_MS = 300;

/** A slider that reports its value when it rests. */
function range(
  id: string,
  limits: { min: number; max: number; step: number },
  change: (value: number) => void,
): {
  input: HTMLInputElement;
  output: HTMLElement;
  show(value: number, words: string | null, disabled: boolean): void;
} {
  const output = h('output', { for: id });
  let timer = 0;
  const input = h('input', {
    type: 'range',
    id,
    ...limits,
    'data-testid': id,
    oninput: () => setText(output, input.value),
    onchange: () => {
      window.clearTimeout(timer);
      timer = window.setTimeout(() => change(Number(input.value)), SETTLED_MS);
    },
  });
  let shown = '';
  return {
    input,
    output,
    show(value, words, disabled) {
      input.disabled = disabled;
      const key = `${value} ${words}`;
      // Not while the visitor is dragging.
      if (key === shown) return;
      shown = key;
      input.value = String(value);
      setText(output, words ?? String(value));
    },
  };
}

function toggle(
  testId: string,
  name: string,
  change: (on: boolean) => void,
): HTMLButtonElement & { show(on: boolean, disabled: boolean): void } {
  let current = true;
  const button = h(
    'button',
    {
      type: 'button',
      class: 'switch',
      role: 'switch',
      'data-testid': testId,
      onclick: () => change(!current),
    },
    name,
  );
  return Object.assign(button, {
    show(on: boolean, disabled: boolean): void {
      current = on;
      setAttribute(button, 'aria-checked', String(on));
      button.disabled = disabled;
    },
  });
}
