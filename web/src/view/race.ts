import { milliseconds } from '../figures.ts';
import type { ShopState } from '../shop.ts';
import { h, setAttribute, setText } from './dom.ts';

/** Width of the track in milliseconds; it grows with a slower answer. */
const SCALE_MS = 500;
/** Time between two steps of the growing bar, in milliseconds. */
const STEP_MS = 50;
/** Below this factor the difference is not worth a sentence. */
const NOTABLE = 2;

interface View {
  element: HTMLElement;
  render(state: ShopState): void;
}

/**
 * How long each side took to answer the last click, on one scale. The bar of the cloud-only side
 * grows while its request is under way.
 */
export function race(): View {
  const device = lane('Tandem', 'race-tandem');
  const cloud = lane('Cloud only', 'race-cloud');
  const verdict = h('strong', { class: 'race-verdict', 'data-testid': 'race-verdict' });
  const element = h(
    'section',
    { class: 'savings race', 'aria-labelledby': 'race-title' },
    h(
      'div',
      { class: 'savings-head' },
      h('h2', { id: 'race-title' }, 'Click to new list'),
      verdict,
    ),
    device.element,
    cloud.element,
  );
  let timer = 0;
  let scale = SCALE_MS;

  function grow(since: number): void {
    const ms = performance.now() - since;
    scale = Math.max(scale, ms);
    cloud.show(ms / scale, `${(ms / 1000).toFixed(1)} s …`);
    timer = window.setTimeout(() => grow(since), STEP_MS);
  }

  return {
    element,
    render({ clicks, cloud: other, comparing, delayMs }) {
      element.hidden = !comparing;
      window.clearTimeout(timer);
      const last = clicks.at(-1);
      if (last === undefined) {
        device.show(0, '');
        cloud.show(0, '');
        setText(verdict, '');
        return;
      }
      scale = Math.max(SCALE_MS, delayMs * 1.5, other.lastMs ?? 0);
      device.show(last.shownMs / scale, milliseconds(last.shownMs));
      setAttribute(cloud.element, 'data-problem', other.problem);
      setAttribute(cloud.element, 'data-waiting', other.requestedAt === null ? null : 'true');
      if (other.requestedAt !== null) {
        setText(verdict, '');
        grow(other.requestedAt);
      } else if (other.problem !== null) {
        cloud.show(1, other.problem === 'offline' ? 'no network' : 'no answer');
        setText(verdict, '');
      } else {
        cloud.show((other.lastMs ?? 0) / scale, milliseconds(other.lastMs));
        setText(verdict, verdictOf(last.shownMs, other.lastMs));
      }
    },
  };
}

/** `24 × sooner`; empty if the device was not clearly sooner. */
export function verdictOf(deviceMs: number, cloudMs: number | null): string {
  if (cloudMs === null || deviceMs <= 0) return '';
  const times = cloudMs / deviceMs;
  return times < NOTABLE ? '' : `${Math.floor(times)} × sooner`;
}

/** One bar with its name and its time. */
function lane(
  name: string,
  id: string,
): { element: HTMLElement; show(share: number, time: string): void } {
  const bar = h('span', { class: 'lane-bar' });
  const time = h('span', { class: 'lane-time', 'data-testid': id });
  const element = h(
    'p',
    { class: `lane of-${id}` },
    h('span', { class: 'lane-name' }, name),
    h('span', { class: 'lane-track', 'aria-hidden': 'true' }, bar),
    time,
  );
  return {
    element,
    show(share, text) {
      bar.hidden = text === '';
      // Through the style object: the policy of the site forbids style attributes in markup.
      bar.style.inlineSize = `${(Math.min(1, share) * 100).toFixed(2)}%`;
      setText(time, text === '' ? '–' : text);
    },
  };
}
